import { duplexPair } from 'node:stream'
import { expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { checkRouteLabel, RouteBook } from '../../../src/routing/routes/book.ts'
import type { IngressNews, RouteKind } from '../../../src/wire/ingress.ts'
import { ManualClock } from './federation.ts'

const ALPHA = '12D3KooWalpha' as PeerIdText
const URL = 'https://alpha.example.org'

/** An instance of which the test says what it offers and how it answers. */
class Scene {
  readonly clock = new ManualClock()
  readonly told: IngressNews[] = []
  offer: { readonly kind: RouteKind; readonly url: string } | null
  revision = 2
  connected = true
  label: string | undefined
  dials = 0
  /** The key that it says it knows; null: it cannot be reached. */
  answer: () => string | null = () => this.told.at(-1)?.key ?? ''
  readonly book: RouteBook

  constructor(kind: RouteKind | null) {
    this.offer = kind === null ? null : { kind, url: URL }
    this.book = new RouteBook({
      clock: this.clock,
      random: systemRandom(),
      log: silent,
      session: (peer) =>
        this.connected
          ? {
              peer,
              hello: { revision: this.revision, route: this.offer } as never,
              tellIngress: (news) => void this.told.push(news)
            }
          : null,
      labelOf: () => this.label,
      dial: async () => {
        this.dials += 1
        const key = this.answer()
        if (key === null) throw new NodeDaemonError('OUT_OF_REACH', 'nobody answers')
        return { stream: duplexPair()[0], key }
      },
      frontDoor: () => 'https://main.example.org'
    })
  }

  async pass(ms: number): Promise<void> {
    this.clock.pass(ms)
    await new Promise((resolve) => setImmediate(resolve))
  }

  get inUse(): RouteKind | undefined {
    return this.book.state(ALPHA)?.inUse
  }
}

test('an address is used once the instance has proven there that it knows the key', async () => {
  const scene = new Scene('redirect')
  let key = ''
  scene.answer = () => key
  scene.book.opened(ALPHA)
  expect(scene.told).toMatchObject([{ route: 'redirect', alone: true, frontDoor: 'https://main.example.org' }])
  await scene.pass(0)
  expect(scene.inUse).toBe('tunnel')
  expect(scene.book.redirectFor(ALPHA)).toBeNull()
  key = scene.told[0]?.key ?? ''
  await scene.pass(250)
  expect(scene.inUse).toBe('redirect')
  expect(scene.book.redirectFor(ALPHA)?.url).toBe(URL)
})

test('an address that does not answer any more is not used, and looked at again', async () => {
  const scene = new Scene('redirect')
  scene.book.opened(ALPHA)
  await scene.pass(0)
  scene.answer = () => null
  await scene.pass(60_000)
  expect(scene.book.redirectFor(ALPHA)).toBeNull()
  expect(scene.book.state(ALPHA)).toEqual({ asked: 'redirect', url: URL, inUse: 'tunnel', reason: 'nobody answers' })
  for (let looks = 0; looks < 20; looks++) await scene.pass(60_000)
  const before = scene.dials
  scene.answer = () => scene.told.at(-1)?.key ?? ''
  await scene.pass(60_000)
  expect(scene.dials).toBe(before + 1)
  expect(scene.inUse).toBe('redirect')
})

test('a key is in use for an hour, and the next one once it has arrived', async () => {
  const scene = new Scene('redirect')
  scene.book.opened(ALPHA)
  for (let minutes = 0; minutes < 60; minutes++) await scene.pass(60_000)
  expect(scene.told).toHaveLength(2)
  expect(scene.told[1]).toMatchObject({ alone: false })
  const before = scene.book.redirectFor(ALPHA)?.office
  scene.answer = () => scene.told[0]?.key ?? ''
  await scene.pass(60_000)
  expect(scene.book.redirectFor(ALPHA)?.office).toBe(before)
  scene.answer = () => scene.told[1]?.key ?? ''
  await scene.pass(250)
  expect(scene.book.redirectFor(ALPHA)?.office).not.toBe(before)
})

test('an instance that went away, offers nothing or is older is reached through the tunnel', async () => {
  const gone = new Scene('redirect')
  gone.book.opened(ALPHA)
  await gone.pass(0)
  gone.book.closed(ALPHA)
  gone.connected = false
  expect(gone.book.redirectFor(ALPHA)).toBeNull()
  const dials = gone.dials
  await gone.pass(600_000)
  expect(gone.dials).toBe(dials)

  const none = new Scene(null)
  none.book.opened(ALPHA)
  await none.pass(60_000)
  expect([none.told.length, none.dials, none.book.state(ALPHA)]).toEqual([0, 0, null])

  const older = new Scene('direct')
  older.revision = 1
  older.book.opened(ALPHA)
  await older.pass(60_000)
  expect([older.told.length, older.dials]).toEqual([0, 0])
})

test('an admin who says tunnel is heard by the instance too, and one who says nonsense is not heard', async () => {
  const scene = new Scene('redirect')
  scene.book.opened(ALPHA)
  await scene.pass(0)
  scene.label = 'tunnel'
  scene.book.relabelled(ALPHA)
  expect(scene.told.at(-1)).toMatchObject({ route: 'tunnel', alone: true })
  expect(scene.book.redirectFor(ALPHA)).toBeNull()
  expect(scene.book.state(ALPHA)).toMatchObject({ inUse: 'tunnel', reason: 'the label route=tunnel says so' })
  scene.label = 'pigeon'
  scene.book.relabelled(ALPHA)
  await scene.pass(0)
  expect(scene.inUse).toBe('redirect')
})

test('users may come past the front door to one that redirects, until it connects without, and to one that is unknown', async () => {
  const scene = new Scene('redirect')
  expect(scene.book.leadsPast(ALPHA)).toBe(true)
  scene.book.opened(ALPHA)
  scene.book.closed(ALPHA)
  expect(scene.book.leadsPast(ALPHA)).toBe(true)
  scene.offer = { kind: 'direct', url: URL }
  scene.book.opened(ALPHA)
  expect(scene.book.leadsPast(ALPHA)).toBe(false)
})

test('a label that says no route is refused, with those that there are', () => {
  expect(() => checkRouteLabel({ route: 'sideways' })).toThrow('"sideways" is no route')
  for (const route of ['tunnel', 'direct', 'redirect', null]) checkRouteLabel({ route, site: 'anywhere' })
})
