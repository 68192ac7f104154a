import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { systemRandom } from '../../../src/core/random.ts'
import { dress, partLines } from '../../../src/routing/routes/dress.ts'
import { backIn, ticketIn, withBack, withTicket } from '../../../src/routing/routes/marks.ts'
import { IngressSessions, SESSION_LIMITS } from '../../../src/routing/routes/sessions.ts'
import {
  TICKET_LIMITS,
  type Ticket,
  TicketCheck,
  type TicketKey,
  TicketOffice
} from '../../../src/routing/routes/tickets.ts'
import { ManualClock } from './federation.ts'

const LINES = ['x-node-daemon-service', 'files', 'x-remote-user', 'user:alice', 'x-workspace-id', 'a'.repeat(32)]
const FROM = 'https://main.example.org'

let clock: ManualClock
let key: TicketKey
let office: TicketOffice
let check: TicketCheck

const keyOf = (id: string): TicketKey => ({ id: id.repeat(16), secret: systemRandom().bytes(32), madeAt: clock.now() })

beforeEach(() => {
  clock = new ManualClock()
  clock.pass(123_456)
  key = keyOf('a')
  office = new TicketOffice(key, { clock, random: systemRandom() })
  check = new TicketCheck(clock)
  check.learn(key, true)
})

describe('a ticket', () => {
  test('of a front door says for a minute whose its requests are', () => {
    const text = office.direct(LINES)
    expect(check.direct(text)?.lines).toEqual(LINES)
    clock.pass(TICKET_LIMITS.directMs - 1)
    expect(check.direct(text)?.lines).toEqual(LINES)
    clock.pass(1)
    expect(check.direct(text)).toBeNull()
  })

  test('of a front door is the same for the same requests, and made anew before it ends', () => {
    const text = office.direct(LINES)
    clock.pass(30_000)
    expect(office.direct(LINES)).toBe(text)
    expect(office.direct([...LINES, 'x-node-daemon-epoch', '2'])).not.toBe(text)
    clock.pass(10_000)
    expect(office.direct(LINES)).not.toBe(text)
  })

  test('of a user counts once, and for half a minute', () => {
    const [first, second] = [office.redirect(FROM, LINES), office.redirect(FROM, LINES)]
    expect(check.redeem(first)).toMatchObject({ from: FROM, lines: LINES })
    expect(check.redeem(first)).toMatchObject({ why: 'used' })
    clock.pass(TICKET_LIMITS.redirectMs)
    expect(check.redeem(second)).toMatchObject({ why: 'expired', ticket: { from: FROM } })
  })

  test('is worth nothing for the other purpose, at another instance, and without its key', () => {
    const [direct, redirect] = [office.direct(LINES), office.redirect(FROM, LINES)]
    expect(check.direct(redirect)).toBeNull()
    expect(check.redeem(direct)).toMatchObject({ why: 'forged' })
    const other = new TicketCheck(clock)
    other.learn({ ...keyOf('b'), id: key.id }, true)
    expect(other.direct(direct)).toBeNull()
    expect(other.redeem(redirect)).toMatchObject({ why: 'forged' })
    check.forget()
    expect(check.direct(direct)).toBeNull()
  })

  test('of the key before counts still, unless the new one counts alone', () => {
    const direct = office.direct(LINES)
    const redirect = office.redirect(FROM, LINES)
    check.direct(direct)
    check.learn(keyOf('b'), false)
    expect(check.newest).toBe('b'.repeat(16))
    expect(check.direct(direct)?.lines).toEqual(LINES)
    check.learn(keyOf('c'), true)
    expect(check.direct(direct)).toBeNull()
    expect(check.redeem(redirect)).toMatchObject({ why: 'forged' })
  })

  test('of two front doors with one key are not taken for each other', () => {
    const other = new TicketOffice(key, { clock, random: systemRandom() })
    expect(check.redeem(office.redirect(FROM, LINES))).toMatchObject({ from: FROM })
    expect(check.redeem(other.redirect(FROM, LINES))).toMatchObject({ from: FROM })
  })

  test('that was changed in any way counts no more', () => {
    const genuine = [office.direct(LINES), office.redirect(FROM, LINES)]
    const counts = (text: string): boolean => check.direct(text) !== null || !('why' in check.redeem(text))
    const characters = fc.constantFrom(...'.-_AZaz09=+/ é')
    const change = fc.oneof(
      fc.record({ at: fc.nat(), put: characters }).map(({ at, put }) => (text: string): string => {
        const place = at % text.length
        return text.slice(0, place) + put + text.slice(place + 1)
      }),
      fc.record({ at: fc.nat(), put: characters }).map(({ at, put }) => (text: string): string => {
        const place = at % text.length
        return text.slice(0, place) + put + text.slice(place)
      }),
      fc.nat().map(
        (at) =>
          (text: string): string =>
            text.slice(0, at % text.length)
      ),
      fc.nat().map(
        (at) =>
          (text: string): string =>
            text.slice(1 + (at % text.length))
      ),
      fc.string().map(
        (more) =>
          (text: string): string =>
            text + more
      ),
      fc.constant((text: string): string => text.split('.').reverse().join('.')),
      fc.constant((text: string): string => `${key.id}.${text.split('.')[1]}.${genuine[0]?.split('.')[2]}`),
      fc.json({ maxDepth: 1 }).map((json) => (text: string): string => {
        const [id, , mac] = text.split('.')
        return `${id}.${Buffer.from(json).toString('base64url')}.${mac}`
      })
    )
    fc.assert(
      fc.property(fc.constantFrom(...genuine), change, (text, how) => {
        const forged = how(text)
        fc.pre(!genuine.includes(forged))
        expect(counts(forged)).toBe(false)
      }),
      { numRuns: 300 }
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(counts(text)).toBe(false)
      })
    )
    expect(genuine.map(counts)).toEqual([true, true])
  })
})

describe('a mark', () => {
  test('is found at the end of an address alone', () => {
    fc.assert(
      fc.property(fc.webPath(), fc.option(fc.webQueryParameters()), (path, query) => {
        const url = `/${path}${query === null ? '' : `?${query}`}`
        expect(ticketIn(withTicket(url, 'a.b-c_D.9'))).toEqual({ url, value: 'a.b-c_D.9' })
        expect(backIn(withBack(url, 12))).toEqual({ url, epoch: 12 })
      })
    )
    for (const url of ['/', '/nd_ticket=a', '/?xnd_ticket=a', '/?nd_ticket=a&b=1', '/?nd_ticket=%41', 'nd_ticket=a']) {
      expect(ticketIn(url)).toBeNull()
    }
    for (const url of ['/?nd_back=', '/?nd_back=-1', '/?nd_back=1e3', '/?nd_back=1#']) expect(backIn(url)).toBeNull()
  })
})

describe('a session at an ingress', () => {
  const ticket = (user: string, prefix: string): Ticket => ({
    purpose: 'redirect',
    endsAt: 0,
    id: '',
    from: FROM,
    lines: ['x-remote-user', user, ...(prefix === '' ? [] : ['x-forwarded-prefix', prefix])]
  })
  const open = (secure = false): IngressSessions => new IngressSessions({ clock, random: systemRandom() }, { secure })
  const nameAndValue = (cookie: string | null): string => cookie?.split(';')[0] ?? ''

  test('has the services of one user, by the longest prefix', () => {
    const sessions = open()
    const cookie = nameAndValue(sessions.begin(undefined, ticket('user:alice', '')))
    expect(nameAndValue(sessions.begin(`a=b; ${cookie}`, ticket('user:alice', '/photos')))).toBe(cookie)
    expect(sessions.find(cookie, '/photos/1')?.lines).toContain('/photos')
    expect(sessions.find(cookie, '/photosets')?.lines).not.toContain('/photos')
    expect(sessions.begin(cookie, ticket('user:bob', ''))).toBeNull()
    expect(sessions.find(cookie, '/')?.lines).toContain('user:alice')
    clock.pass(SESSION_LIMITS.idleMs)
    const other = nameAndValue(sessions.begin(cookie, ticket('user:bob', '')))
    expect(sessions.find(other, '/photos')?.lines).toContain('user:bob')
  })

  test('is bound to https where that is spoken', () => {
    const secure = open(true)
    const cookie = secure.begin(undefined, ticket('user:alice', ''))
    expect(cookie).toMatch(/^__Host-nd_ingress=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Secure$/)
    expect(secure.find(nameAndValue(cookie).replace('__Host-', ''), '/')).toBeNull()
  })

  test('ends when it is not used, when it is old, and when it is told to', () => {
    const sessions = open()
    const cookie = nameAndValue(sessions.begin(undefined, ticket('user:alice', '')))
    for (let used = 0; used < SESSION_LIMITS.ageMs - SESSION_LIMITS.idleMs; used += SESSION_LIMITS.idleMs - 1) {
      expect(sessions.find(cookie, '/')).not.toBeNull()
      clock.pass(SESSION_LIMITS.idleMs - 1)
    }
    clock.pass(SESSION_LIMITS.idleMs - 1)
    expect(sessions.find(cookie, '/')).toBeNull()
    const idle = nameAndValue(sessions.begin(undefined, ticket('user:alice', '')))
    clock.pass(SESSION_LIMITS.idleMs)
    expect(sessions.find(idle, '/')).toBeNull()
    const told = nameAndValue(sessions.begin(undefined, ticket('user:alice', '')))
    const said = sessions.find(told, '/')
    if (said !== null) sessions.end(said)
    expect(sessions.find(told, '/')).toBeNull()
  })

  test('of one who came long ago goes for the room of another', () => {
    const sessions = open()
    const first = nameAndValue(sessions.begin(undefined, ticket('user:alice', '')))
    const second = nameAndValue(sessions.begin(undefined, ticket('user:bob', '')))
    sessions.find(first, '/')
    for (let count = 0; count < SESSION_LIMITS.sessions - 1; count++)
      sessions.begin(undefined, ticket('user:carol', ''))
    expect(sessions.find(first, '/')).not.toBeNull()
    expect(sessions.find(second, '/')).toBeNull()
  })
})

describe('the header lines of an ingress', () => {
  test('are those of the ticket, whatever else was said under such names', () => {
    const rawHeaders = [
      'Host',
      'a',
      'X_Remote_User',
      'user:bob',
      'X-Workspace-Id',
      'b',
      'Authorization',
      'c',
      'Cookie',
      'a=1; nd_ingress=2'
    ]
    rawHeaders.push(
      'Content-Length',
      '3',
      'X-Forwarded-For',
      '10.0.0.1',
      'Connection',
      'x-secret',
      'X-Secret',
      'd',
      'Accept',
      '*/*'
    )
    const headers: Record<string, string> = {}
    for (let index = 0; index < rawHeaders.length; index += 2) {
      headers[rawHeaders[index]?.toLowerCase() ?? ''] = rawHeaders[index + 1] ?? ''
    }
    const request = { rawHeaders, headers }
    dress(request, LINES, { forwarded: false })
    const expected = { accept: '*/*', 'content-length': '3', cookie: 'a=1', connection: 'x-secret', host: 'a' }
    expect(request.headers).toEqual({
      ...expected,
      'x-node-daemon-service': 'files',
      'x-remote-user': 'user:alice',
      'x-workspace-id': 'a'.repeat(32)
    })
    const kept = [
      'Host',
      'a',
      'Cookie',
      'a=1',
      'Content-Length',
      '3',
      'Connection',
      'x-secret',
      'Accept',
      '*/*',
      ...LINES
    ]
    expect(request.rawHeaders).toEqual(kept)
  })

  test('of which a ticket tells all that say whose a request is', () => {
    const others = ['Accept', '*/*', 'x-forwarded-for', '10.0.0.1']
    const bound = [...LINES, 'x-forwarded-prefix', '/photos', 'x-node-daemon-quota', '5']
    expect(partLines([...others, ...bound])).toEqual({ bound, others })
  })
})
