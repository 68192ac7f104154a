import { expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { UserId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { type Accounts, openAccounts } from '../../../src/membership/accounts.ts'
import type { Decision } from '../../../src/membership/audit.ts'
import { CONSOLE_LIMITS } from '../../../src/membership/console-access.ts'
import { type ControlStore, controlStore } from '../../../src/store/control-store.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'

interface Bench {
  readonly accounts: Accounts
  readonly store: ControlStore
  readonly clock: ManualClock
  readonly decisions: Decision[]
  reopened(): Promise<Accounts>
}

async function bench(): Promise<Bench> {
  const store = controlStore(memoryKeyValue())
  const clock = manualClock()
  const decisions: Decision[] = []
  const audit = async (decision: Decision): Promise<void> => void decisions.push(decision)
  const deps = { store, clock, random: systemRandom(), audit, log: silent }
  return { accounts: await openAccounts(deps), store, clock, decisions, reopened: () => openAccounts(deps) }
}

const ada = { user: 'user:ada' as UserId }

test('a user is known by the token that was shown once, also after a restart, and by nothing else', async () => {
  const { accounts, store, reopened } = await bench()
  const { token } = await accounts.users.add('ada', 'root')
  expect(token).toMatch(/^ndu_[A-Za-z0-9_-]{43}$/)
  expect(accounts.users.byToken(token)).toEqual(ada)
  expect((await reopened()).users.byToken(token)).toEqual(ada)
  for (const wrong of ['', 'ada', token.slice(0, -1), `${token}x`, token.toLowerCase()]) {
    expect(accounts.users.byToken(wrong)).toBeNull()
  }
  for await (const { value } of store.list('')) expect(Buffer.from(value).includes(token)).toBe(false)
  expect(JSON.stringify(accounts.users.list())).not.toContain('hash')
})

test('a blocked user is told apart from an unknown one, and may come back; a removed one is unknown', async () => {
  const { accounts, reopened } = await bench()
  const { token } = await accounts.users.add('ada', 'root')
  await accounts.users.block('ada', 'root')
  expect(accounts.users.byToken(token)).toBe('blocked')
  expect(accounts.users.isBlocked(ada.user)).toBe(true)
  expect(accounts.users.blocked()).toEqual([ada.user])
  expect((await reopened()).users.byToken(token)).toBe('blocked')
  await accounts.users.unblock('ada', 'root')
  expect(accounts.users.blocked()).toEqual([])
  expect(accounts.users.byToken(token)).toEqual(ada)
  await accounts.users.remove('ada', 'root')
  expect(accounts.users.byToken(token)).toBeNull()
  expect(accounts.users.blocked(), 'front doors hear of it').toEqual([ada.user])
  expect(accounts.users.isBlocked(ada.user)).toBe(true)
  expect((await reopened()).users.list()).toEqual([])
  await expect(accounts.users.block('ada', 'root')).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('a name is taken once, however many ask at the same time', async () => {
  const { accounts } = await bench()
  const outcomes = await Promise.allSettled([1, 2, 3].map(() => accounts.users.add('ada', 'root')))
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  await expect(accounts.users.add('ada', 'root')).rejects.toMatchObject({ code: 'NAME_TAKEN' })
})

test.each(['', 'Ada', '-ada', 'a/b', 'a b', '../x', 'ü', 'x'.repeat(65)])('%j is no name of a user', async (name) => {
  const { accounts } = await bench()
  await expect(accounts.users.add(name, 'root')).rejects.toMatchObject({ code: 'BAD_USAGE' })
})

test('who could not be kept durably cannot come in', async () => {
  const { accounts, store } = await bench()
  store.transact = async () => {
    throw new NodeDaemonError('NO_SPACE', 'the disk is full')
  }
  await expect(accounts.users.add('ada', 'root')).rejects.toMatchObject({ code: 'NO_SPACE' })
  expect(accounts.users.list()).toEqual([])
})

test('the first start makes one admin, and no later start another', async () => {
  const { accounts, reopened } = await bench()
  const first = await accounts.admins.ensureFirst()
  expect(first?.token).toMatch(/^nda_[A-Za-z0-9_-]{43}$/)
  const again = (await reopened()).admins
  expect(await again.ensureFirst()).toBeNull()
  expect(again.byToken(first?.token ?? '')).toMatchObject({ name: 'admin', role: 'admin' })
})

test('the last admin cannot be removed, whatever other roles there are', async () => {
  const { accounts } = await bench()
  await accounts.admins.ensureFirst()
  await accounts.admins.add('vera', 'operator', 'admin')
  await expect(accounts.admins.remove('admin', 'vera')).rejects.toMatchObject({ code: 'REFUSED_BY_POLICY' })
  await accounts.admins.add('ada', 'admin', 'admin')
  const both = await Promise.allSettled([
    accounts.admins.remove('admin', 'ada'),
    accounts.admins.remove('ada', 'admin')
  ])
  expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
  await accounts.admins.remove('vera', 'ada')
  expect(accounts.admins.list()).toMatchObject([{ name: 'ada', role: 'admin' }])
})

test('tokens of users and of admins do not pass for one another, and no admin is called like the log’s own actors', async () => {
  const { accounts } = await bench()
  const user = await accounts.users.add('ada', 'root')
  const admin = await accounts.admins.add('ada', 'viewer', 'root')
  expect([accounts.admins.byToken(user.token), accounts.users.byToken(admin.token)]).toEqual([null, null])
  await expect(accounts.admins.add('local', 'admin', 'root')).rejects.toMatchObject({ code: 'NAME_TAKEN' })
})

test('every change stands in the audit log, and never a token', async () => {
  const { accounts, decisions } = await bench()
  const { token } = await accounts.users.add('ada', 'root')
  await accounts.users.block('ada', 'root')
  await accounts.users.block('ada', 'root')
  await accounts.users.remove('ada', 'bob')
  await accounts.admins.add('vera', 'viewer', 'root')
  expect(decisions.map(({ actor, action, target }) => `${actor} ${action} ${target}`)).toEqual([
    'root user.add ada',
    'root user.block ada',
    'bob user.remove ada',
    'root admin.add vera'
  ])
  expect(JSON.stringify(decisions)).not.toContain(token)
})

test('a console link signs in once, and not after its time', async () => {
  const { accounts, clock } = await bench()
  await accounts.admins.ensureFirst()
  const { secret, expiresAt } = accounts.console.createLink('admin')
  expect(expiresAt).toBe(clock.wall() + CONSOLE_LIMITS.linkMs)
  const session = accounts.console.redeemLink(secret)
  expect(session).toMatchObject({ name: 'admin', role: 'admin' })
  expect(accounts.console.redeemLink(secret)).toBeNull()
  const late = accounts.console.createLink('admin')
  clock.advance(CONSOLE_LIMITS.linkMs)
  expect(accounts.console.redeemLink(late.secret)).toBeNull()
  expect(() => accounts.console.createLink('nobody')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }))
})

test('a session lasts twelve hours, has a secret of its own for changes, and ends by itself or on request', async () => {
  const { accounts, clock } = await bench()
  await accounts.admins.ensureFirst()
  const [one, two] = [
    accounts.console.createSession({ name: 'admin' }),
    accounts.console.createSession({ name: 'admin' })
  ]
  expect(new Set([one.id, two.id, one.csrf, two.csrf]).size).toBe(4)
  expect(accounts.console.session(one.id)).toEqual(one)
  accounts.console.endSession(one.id)
  expect([accounts.console.session(one.id), accounts.console.session(one.csrf)]).toEqual([null, null])
  clock.advance(CONSOLE_LIMITS.sessionMs - 1)
  expect(accounts.console.session(two.id)).toEqual(two)
  clock.advance(1)
  expect(accounts.console.session(two.id)).toBeNull()
})

test('setting the clock neither ends nor prolongs a session', async () => {
  const { accounts, clock } = await bench()
  await accounts.admins.ensureFirst()
  const { id } = accounts.console.createSession({ name: 'admin' })
  clock.setWall(clock.wall() + 10 * 365 * 86_400_000)
  expect(accounts.console.session(id)).not.toBeNull()
  clock.setWall(0)
  clock.advance(CONSOLE_LIMITS.sessionMs)
  expect(accounts.console.session(id)).toBeNull()
})

test('a removed admin’s sessions and links end, and do not pass to a later one of the same name', async () => {
  const { accounts } = await bench()
  await accounts.admins.ensureFirst()
  await accounts.admins.add('vera', 'operator', 'admin')
  const { id } = accounts.console.createSession({ name: 'vera' })
  const { secret } = accounts.console.createLink('vera')
  await accounts.admins.remove('vera', 'admin')
  await accounts.admins.add('vera', 'viewer', 'admin')
  expect([accounts.console.session(id), accounts.console.redeemLink(secret)]).toEqual([null, null])
})

test('the oldest sessions of an admin end for newer ones, and only that admin’s', async () => {
  const { accounts } = await bench()
  await accounts.admins.ensureFirst()
  await accounts.admins.add('vera', 'viewer', 'admin')
  const other = accounts.console.createSession({ name: 'vera' })
  const ids = Array.from(
    { length: CONSOLE_LIMITS.sessionsMax + 1 },
    () => accounts.console.createSession({ name: 'admin' }).id
  )
  const alive = ids.filter((id) => accounts.console.session(id) !== null)
  expect(alive).toEqual(ids.slice(1))
  expect(accounts.console.session(other.id)).not.toBeNull()
})

test('wrong secrets are limited by address, and the limit passes with time', async () => {
  const { accounts, clock } = await bench()
  const attempts = (address: string, times: number): boolean[] =>
    Array.from({ length: times }, () => accounts.console.attempt(address))
  expect(attempts('192.0.2.1', 11)).toEqual([...Array.from({ length: 10 }, () => true), false])
  expect(accounts.console.attempt('::ffff:192.0.2.1')).toBe(false)
  expect(accounts.console.attempt('192.0.2.2')).toBe(true)
  clock.advance(6000)
  expect(attempts('192.0.2.1', 2)).toEqual([true, false])
})

test('the addresses of one IPv6 network count as one, and their number is bounded', async () => {
  const { accounts } = await bench()
  const last = Array.from({ length: 11 }, (_, index) =>
    accounts.console.attempt(`2001:db8:0:1::${index.toString(16)}`)
  ).at(-1)
  expect(last).toBe(false)
  expect(accounts.console.attempt('2001:db8::1:0:0:0:9')).toBe(false)
  expect(accounts.console.attempt('2001:db8:0:2::1')).toBe(true)
  for (let index = 0; index < 10_001; index++)
    accounts.console.attempt(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`)
  expect(accounts.console.attempt('2001:db8:0:1::1')).toBe(true)
})
