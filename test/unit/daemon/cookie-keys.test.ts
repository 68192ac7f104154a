import { expect, test } from 'vitest'
import type { UserId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { CookieKeyRing, type CookieKeyRingDeps } from '../../../src/daemon/cookie-keys.ts'
import { SessionCookies } from '../../../src/routing/cookie.ts'
import { manualClock } from '../../tools/clock.ts'

const DAY_MS = 86_400_000
const GUEST = `guest:${'c'.repeat(32)}` as UserId

function folder(): CookieKeyRingDeps['folder'] & {
  readonly files: Map<string, Uint8Array>
  modes: unknown[]
  fails: boolean
} {
  const files = new Map<string, Uint8Array>()
  return {
    files,
    modes: [],
    fails: false,
    read: async (name) => files.get(name) ?? null,
    async writeAtomic(name, bytes, options) {
      if (this.fails) throw new Error('the disk is full')
      files.set(name, Buffer.from(bytes))
      this.modes.push(options?.mode)
    },
    async remove(name) {
      files.delete(name)
    }
  }
}

const bench = () => ({ folder: folder(), clock: manualClock(), random: systemRandom(), log: silent })
const cookieOf = (cookies: SessionCookies, now: number): string => cookies.issue(GUEST, now).split(';')[0] ?? ''
const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex')
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Time passes as it does: in small steps. */
async function pass({ clock }: Pick<ReturnType<typeof bench>, 'clock'>, days: number): Promise<void> {
  for (let quarter = 0; quarter < 4 * days; quarter++) {
    clock.advance(DAY_MS / 4)
    await turn()
  }
}

test('the keys are made once, for this user alone, and are there after a restart', async () => {
  const deps = bench()
  const first = await CookieKeyRing.open(deps)
  const again = await CookieKeyRing.open(deps)
  expect(first.current).toHaveLength(32)
  expect(hex(again.current)).toBe(hex(first.current))
  expect(deps.folder.modes.every((mode) => mode === 0o600)).toBe(true)
})

test('the one key of before stays good, and its file goes', async () => {
  const deps = bench()
  const old = new Uint8Array(32).fill(5)
  deps.folder.files.set('cookie.key', old)
  const before = new SessionCookies({ current: old, previous: [] }, { secure: false })
  const cookie = cookieOf(before, deps.clock.wall())
  const cookies = new SessionCookies(await CookieKeyRing.open(deps), { secure: false })
  expect(cookies.read(cookie, deps.clock.wall())).toMatchObject({ user: GUEST })
  expect([...deps.folder.files.keys()]).toEqual(['cookie-keys'])
})

test('a running coordinator takes a new key each 30 days; cookies of the ones before are known and renewed, for 60 days more', async () => {
  const deps = bench()
  const ring = await CookieKeyRing.open(deps)
  let changes = 0
  ring.onChange(() => {
    changes += 1
  })
  const cookies = new SessionCookies(ring, { secure: false })
  const cookie = cookieOf(cookies, deps.clock.wall())
  expect(cookies.read(cookie, deps.clock.wall())).toEqual({ user: GUEST, renew: false })
  const first = ring.current
  await pass(deps, 30.5)
  expect(changes).toBe(1)
  expect(ring.current).not.toEqual(first)
  expect(cookies.read(cookie, deps.clock.wall())).toEqual({ user: GUEST, renew: true })
  expect(hex((await CookieKeyRing.open(deps)).current)).toBe(hex(ring.current))
  await pass(deps, 59)
  expect(cookies.read(cookie, deps.clock.wall())).toEqual({ user: GUEST, renew: true })
  await pass(deps, 2)
  expect(cookies.read(cookie, deps.clock.wall())).toBeNull()
  ring.close()
})

test('time while the coordinator is away does not count, and what was counted before does', async () => {
  const deps = bench()
  const first = await CookieKeyRing.open(deps)
  await pass(deps, 20)
  first.close()
  deps.clock.advance(300 * DAY_MS)
  const next = await CookieKeyRing.open(deps)
  await pass(deps, 9)
  expect(hex(next.current)).toBe(hex(first.current))
  await pass(deps, 2)
  expect(hex(next.current)).not.toBe(hex(first.current))
  next.close()
})

test('keys that somebody has who is trusted no more sign nothing from then on, and are known for a day', async () => {
  const deps = bench()
  const ring = await CookieKeyRing.open(deps)
  const cookies = new SessionCookies(ring, { secure: false })
  const cookie = cookieOf(cookies, deps.clock.wall())
  const first = hex(ring.current)
  await ring.replace()
  expect(hex(ring.current)).not.toBe(first)
  const renewed = cookieOf(cookies, deps.clock.wall())
  await pass(deps, 0.75)
  expect(cookies.read(cookie, deps.clock.wall())).toEqual({ user: GUEST, renew: true })
  await pass(deps, 0.75)
  expect([cookies.read(cookie, deps.clock.wall()), ring.previous]).toEqual([null, []])
  expect(cookies.read(renewed, deps.clock.wall())).toMatchObject({ user: GUEST })
  expect((await CookieKeyRing.open(deps)).previous).toEqual([])
  ring.close()
})

test('the keys of an earlier version stay, whatever the time of day is', async () => {
  const deps = bench()
  const [current, retired] = [new Uint8Array(32).fill(5), new Uint8Array(32).fill(6)]
  const text = (key: Uint8Array): string => Buffer.from(key).toString('base64')
  const keys = [
    { key: text(current), createdAt: 1, retiredAt: null },
    { key: text(retired), createdAt: 0, retiredAt: 1 }
  ]
  deps.folder.files.set('cookie-keys', Buffer.from(JSON.stringify({ keys })))
  const ring = await CookieKeyRing.open(deps)
  expect([hex(ring.current), ...ring.previous.map(hex)]).toEqual([hex(current), hex(retired)])
})

test('a clock that jumps by years shuts nobody out, however often it does', async () => {
  const deps = bench()
  const start = deps.clock.wall()
  const ring = await CookieKeyRing.open(deps)
  const cookies = new SessionCookies(ring, { secure: false })
  const cookie = cookieOf(cookies, start)
  await pass(deps, 31)
  ring.close()
  for (const jump of [3650 * DAY_MS, 0, -3650 * DAY_MS, 0]) {
    deps.clock.setWall(start + jump)
    const again = await CookieKeyRing.open(deps)
    await turn()
    deps.clock.advance(DAY_MS / 4)
    await turn()
    again.close()
    const reopened = new SessionCookies(again, { secure: false })
    expect(reopened.read(cookie, deps.clock.wall()), String(jump)).toMatchObject({ user: GUEST })
  }
})

test('where a new key cannot be kept, the one of before goes on, and it is tried again', async () => {
  const deps = bench()
  const ring = await CookieKeyRing.open(deps)
  const first = ring.current
  deps.folder.fails = true
  await pass(deps, 31)
  expect(ring.current).toBe(first)
  deps.folder.fails = false
  deps.clock.advance(DAY_MS)
  await turn()
  expect(ring.current).not.toEqual(first)
  ring.close()
})

test.each(['', 'x', '{}', '{"keys":[]}', '{"keys":[{"key":"!","createdAt":0,"retiredAt":null}]}'])(
  'keys that cannot be read are told, not made anew: "%s"',
  async (text) => {
    const deps = bench()
    deps.folder.files.set('cookie-keys', Buffer.from(text))
    await expect(CookieKeyRing.open(deps)).rejects.toMatchObject({ code: 'INTEGRITY' })
  }
)
