import { expect, test } from 'vitest'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { Neighbourhood } from '../../../src/daemon/neighbourhood.ts'
import type { ControlServer, Session } from '../../../src/membership/control-server.ts'
import { Neighbours } from '../../../src/wire/generated/control.ts'
import type { NeighbourBytes } from '../../../src/wire/neighbours.ts'
import { manualClock } from '../../tools/clock.ts'

const peer = (name: string): PeerIdText => name as PeerIdText

interface Bench {
  readonly neighbourhood: Neighbourhood
  /** What each was told, as short texts. */
  readonly told: Map<string, string[]>
  readonly zones: Map<string, string>
  open(name: string, addresses: readonly string[]): void
  close(name: string): void
  /** Calls back once, when it is told the next time. */
  onTold(name: string, callback: () => void): void
  /** All that was told, without what is the same. */
  readonly bytes: ReadonlySet<Uint8Array>
  pass(): void
}

function told({ whole, zone, neighbours }: NeighbourBytes): string {
  const each = Neighbours.decode(neighbours).neighbours
  return `${whole ? 'all' : 'news'} for ${zone}: ${each.map((one) => `${one.peer}@${one.addresses.join('+')}/${one.zone}`).join(' ')}`
}

function bench(): Bench {
  const clock = manualClock()
  const sessions = new Map<PeerIdText, Session>()
  const zones = new Map<string, string>()
  const all = new Map<string, string[]>()
  const bytes = new Set<Uint8Array>()
  const callbacks = new Map<string, () => void>()
  const control: Pick<ControlServer, 'session' | 'sessions'> = {
    session: (one) => sessions.get(one) ?? null,
    sessions: () => [...sessions.values()]
  }
  const neighbourhood = new Neighbourhood({
    control: () => control as ControlServer,
    zoneOf: (one) => zones.get(one) ?? null,
    clock
  })
  return {
    neighbourhood,
    told: all,
    zones,
    open(name, addresses) {
      const heard: string[] = []
      all.set(name, heard)
      const session: Pick<Session, 'peer' | 'tellNeighbours'> & { hello: Pick<Session['hello'], 'addresses'> } = {
        peer: peer(name),
        hello: { addresses },
        tellNeighbours(news) {
          heard.push(told(news))
          bytes.add(news.neighbours)
          const callback = callbacks.get(name)
          callbacks.delete(name)
          callback?.()
        }
      }
      sessions.set(peer(name), session as Session)
      neighbourhood.opened(session as Session)
    },
    close(name) {
      sessions.delete(peer(name))
      neighbourhood.closed(peer(name))
    },
    onTold: (name, callback) => void callbacks.set(name, callback),
    bytes,
    pass: () => clock.advance(500)
  }
}

const AT = (octet: number): string => `/ip4/192.0.2.${octet}/tcp/9471`

test('who connects after a front door hears of it at once', () => {
  const at = bench()
  at.neighbourhood.door(peer('north'), [AT(9)])
  at.pass()
  at.open('quiet', [])
  expect(at.told.get('quiet')).toEqual([`all for null: north@${AT(9)}/`])
})

test('who connects hears at once of all that listen, and the others hear of it soon if it listens itself', () => {
  const at = bench()
  at.zones.set('a', 'hall')
  at.open('a', [AT(1)])
  at.pass()
  const [a, b] = [`a@${AT(1)}/hall`, `b@${AT(2)}/`]
  const before = at.told.get('a')?.length
  at.open('quiet', [])
  at.open('b', [AT(2)])
  expect(at.told.get('quiet')).toEqual([`all for null: ${a}`])
  expect(at.told.get('b')).toEqual([`all for null: ${a} ${b}`])
  expect(at.told.get('a')).toHaveLength(before ?? 0)
  at.pass()
  expect(at.told.get('a')?.slice(before)).toEqual([`news for hall: ${b}`])
  expect(at.told.get('quiet')?.slice(1)).toEqual([`news for null: ${b}`])
})

test('who goes away listens no more, and labels count from when they are set', () => {
  const at = bench()
  at.open('a', [AT(1)])
  at.open('b', [AT(2)])
  at.pass()
  at.zones.set('a', 'attic')
  at.neighbourhood.relabelled(peer('a'))
  at.pass()
  expect(at.told.get('b')?.at(-1)).toBe(`news for null: a@${AT(1)}/attic`)
  expect(at.told.get('a')?.at(-1)).toBe(`all for attic: a@${AT(1)}/attic b@${AT(2)}/`)
  at.close('a')
  at.pass()
  expect(at.told.get('b')?.at(-1)).toBe('news for null: a@/')
  expect(at.neighbourhood.neighbours.all().map((one) => one.peer)).toEqual(['b'])
})

test('the first of many that connect hear of all at once, the rest together; after that one hears at once again', () => {
  const at = bench()
  const names = Array.from({ length: 50 }, (_, index) => `m${index}`)
  for (const name of names) at.open(name, [])
  expect(names.filter((name) => at.told.get(name)?.length === 1)).toEqual(names.slice(0, 20))
  at.pass()
  for (const name of names) expect(at.told.get(name)).toEqual(['all for null: '])
  at.open('late', [])
  expect(at.told.get('late')).toEqual(['all for null: '])
})

test('many are told the same bytes, some at a time, and what changes meanwhile after it', () => {
  const at = bench()
  for (let index = 0; index < 20; index++) at.open('first', [])
  const names = Array.from({ length: 120 }, (_, index) => `m${index}`)
  for (const name of names) at.open(name, [AT(1)])
  const before = at.bytes.size
  at.pass()
  const all = names.map((name) => `${name}@${AT(1)}/`).join(' ')
  for (const name of names) expect(at.told.get(name)).toEqual([`all for null: ${all}`])
  expect(at.bytes.size - before).toBe(2)
  at.onTold('m0', () => at.close('m119'))
  at.close('m1')
  at.pass()
  at.pass()
  expect(at.told.get('m0')?.slice(1)).toEqual(['news for null: m1@/', 'news for null: m119@/'])
  expect(at.told.get('m118')?.slice(1)).toEqual(['news for null: m1@/', 'news for null: m119@/'])
  expect(at.told.get('m119')).toHaveLength(1)
})

test('what nobody else could dial is not passed on', () => {
  const at = bench()
  at.open('a', ['/ip4/127.0.0.1/tcp/1', AT(1), '/ip4/0.0.0.0/tcp/2', '/unix/tmp', 'nonsense', `${AT(1)}/ws`])
  expect(at.neighbourhood.neighbours.get(peer('a'))?.addresses).toEqual([AT(1)])
  at.open('b', ['/ip4/127.0.0.1/tcp/1'])
  expect(at.neighbourhood.neighbours.get(peer('b'))?.addresses).toEqual(['/ip4/127.0.0.1/tcp/1'])
  at.open('c', ['/ip4/0.0.0.0/tcp/2'])
  expect(at.neighbourhood.neighbours.get(peer('c'))).toBeNull()
})
