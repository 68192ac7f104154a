import { expect, test } from 'vitest'
import type { UserId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { type Accounts, openAccounts } from '../../../src/membership/accounts.ts'
import type { Decision } from '../../../src/membership/audit.ts'
import { USER_SESSION_LIMITS } from '../../../src/membership/user-sessions.ts'
import { type ControlStore, controlStore } from '../../../src/store/control-store.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'

const ADA = 'user:ada' as UserId
const GUEST = `guest:${'c'.repeat(32)}` as UserId
const DAY_MS = 86_400_000

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

const always = (): boolean => true

test('a session is its user, also after a restart, until it is ended, which lasts', async () => {
  const { accounts, reopened } = await bench()
  await accounts.users.add('ada', 'root')
  const id = await accounts.sessions.begin(ADA)
  const other = await accounts.sessions.begin(ADA)
  expect(accounts.sessions.find(id)).toBe(ADA)
  expect((await reopened()).sessions.find(id)).toBe(ADA)
  await accounts.sessions.end(id)
  await accounts.sessions.end(id)
  expect(accounts.sessions.find(id)).toBeNull()
  const later = (await reopened()).sessions
  expect([later.find(id), later.find(other)]).toEqual([null, ADA])
  expect(later.find('nothing')).toBeNull()
})

test('nobody who is not there, or is blocked, begins a session', async () => {
  const { accounts } = await bench()
  await expect(accounts.sessions.begin(ADA)).rejects.toMatchObject({ code: 'FORBIDDEN' })
  await expect(accounts.sessions.begin(GUEST)).rejects.toMatchObject({ code: 'FORBIDDEN' })
  await accounts.users.add('ada', 'root')
  await accounts.users.block('ada', 'root')
  await expect(accounts.sessions.begin(ADA)).rejects.toMatchObject({ code: 'FORBIDDEN' })
})

test('a new token ends the sessions of before, at once and for good', async () => {
  const { accounts, reopened } = await bench()
  const { token } = await accounts.users.add('ada', 'root')
  const before = await accounts.sessions.begin(ADA)
  const renewed = await accounts.users.renewToken('ada', 'root')
  expect(accounts.sessions.find(before)).toBeNull()
  expect(accounts.users.byToken(token)).toBeNull()
  const after = await accounts.sessions.begin(ADA)
  const { sessions, users } = await reopened()
  expect([sessions.find(before), sessions.find(after)]).toEqual([null, ADA])
  expect(users.byToken(renewed.token)).toEqual({ user: ADA })
})

test('all sessions end at once, for good, and new ones may begin', async () => {
  const { accounts, reopened } = await bench()
  await accounts.users.add('ada', 'root')
  await accounts.users.add('bob', 'root')
  const before = [await accounts.sessions.begin(ADA), await accounts.sessions.begin('user:bob' as UserId)]
  await accounts.sessions.endAll()
  const after = await accounts.sessions.begin(ADA)
  for (const { sessions } of [accounts, await reopened()]) {
    expect([...before, after].map((id) => sessions.find(id))).toEqual([null, null, ADA])
  }
})

test('a later user of the same name does not get into the sessions of a removed one', async () => {
  const { accounts, clock, reopened } = await bench()
  await accounts.users.add('ada', 'root')
  const id = await accounts.sessions.begin(ADA)
  await accounts.users.remove('ada', 'root')
  expect(accounts.sessions.find(id)).toBeNull()
  clock.advance(1)
  await accounts.users.add('ada', 'root')
  expect(accounts.sessions.find(id)).toBeNull()
  expect((await reopened()).sessions.find(id)).toBeNull()
})

test('one that is used stays, over restarts too; one that is not ends after 30 days and is forgotten', async () => {
  const { accounts, clock, store, reopened } = await bench()
  await accounts.users.add('ada', 'root')
  const used = await accounts.sessions.begin(ADA)
  const unused = await accounts.sessions.begin(ADA)
  for (let day = 0; day < 31; day++) {
    clock.advance(DAY_MS + 1)
    expect(accounts.sessions.find(used)).toBe(ADA)
  }
  expect(accounts.sessions.find(unused)).toBeNull()
  await accounts.sessions.end('a word that waits for those before it')
  const later = await reopened()
  expect(later.sessions.find(used)).toBe(ADA)
  const kept: string[] = []
  for await (const { key } of store.list('user-session/')) kept.push(key)
  expect(kept).toEqual([`user-session/${used}`])
})

test('a clock that was set back ends no session', async () => {
  const { accounts, clock, reopened } = await bench()
  await accounts.users.add('ada', 'root')
  const id = await accounts.sessions.begin(ADA)
  clock.setWall(clock.wall() - 3650 * DAY_MS)
  expect(accounts.sessions.find(id)).toBe(ADA)
  expect((await reopened()).sessions.find(id)).toBe(ADA)
})

test('of one user there are 16 at most: the one that was used least lately ends', async () => {
  const { accounts, clock, reopened } = await bench()
  await accounts.users.add('ada', 'root')
  const ids: string[] = []
  for (let count = 0; count <= USER_SESSION_LIMITS.perUser; count++) {
    ids.push(await accounts.sessions.begin(ADA))
    clock.advance(1)
  }
  const { sessions } = await reopened()
  expect(ids.map((id) => sessions.find(id) !== null)).toEqual([false, ...ids.slice(1).map(() => true)])
})

test('a person at a provider is one user for ever, whatever they are called there', async () => {
  const { accounts, decisions, reopened } = await bench()
  const person = { subject: '7', name: 'Ada Lovelace' }
  const both = await Promise.all([1, 2].map(() => accounts.users.byProvider('lab', person, always)))
  expect(both.map(({ name }) => name)).toEqual(['ada-lovelace', 'ada-lovelace'])
  expect(decisions).toMatchObject([{ actor: 'sign-in lab', action: 'user.add', target: 'ada-lovelace' }])
  const { users } = await reopened()
  expect((await users.byProvider('lab', { subject: '7', name: 'other' }, always)).name).toBe('ada-lovelace')
  expect((await users.byProvider('hub', person, always)).name).toBe('ada-lovelace-2')
  expect(users.byToken('')).toBeNull()
})

test('a name that a local user has, or whose files are still here, is never given to a person of a provider', async () => {
  const { accounts } = await bench()
  await accounts.users.add('ada', 'root')
  const isFree = (user: UserId): boolean => user !== 'user:ada-2'
  expect((await accounts.users.byProvider('lab', { subject: '7', name: 'ada' }, isFree)).name).toBe('ada-3')
})

test.each([
  ['Ada', 'ada'],
  ['ada@example.org', 'ada@example.org'],
  ['Zoë O’Neil', 'zoe-o-neil'],
  ['../../etc', 'etc'],
  ['-', 'user'],
  ['', 'user'],
  ['王', 'user'],
  ['x'.repeat(500), 'x'.repeat(56)]
])('somebody called %j elsewhere is called %s here', async (name, here) => {
  const { accounts } = await bench()
  expect((await accounts.users.byProvider('lab', { subject: '1', name }, always)).name).toBe(here)
})

test.each(['', 'x'.repeat(256)])('a person without a usable subject is nobody', async (subject) => {
  const { accounts } = await bench()
  const asked = accounts.users.byProvider('lab', { subject, name: 'ada' }, always)
  await expect(asked).rejects.toMatchObject({ code: 'BAD_REQUEST' })
})

test('a removed person of a provider who comes anew is somebody new', async () => {
  const { accounts, clock } = await bench()
  const person = { subject: '7', name: 'ada' }
  const { createdAt } = await accounts.users.byProvider('lab', person, always)
  const id = await accounts.sessions.begin(ADA)
  await accounts.users.remove('ada', 'root')
  clock.advance(1)
  const anew = await accounts.users.byProvider('lab', person, (user) => user !== ADA)
  expect(anew.name).toBe('ada-2')
  expect(anew.createdAt).not.toBe(createdAt)
  expect(accounts.sessions.find(id)).toBeNull()
})

test('the sign-on proxy names a local user or somebody new, and never one who signs in at a provider', async () => {
  const { accounts, decisions, reopened } = await bench()
  const { users } = accounts
  await users.add('ada', 'root')
  await users.byProvider('lab', { subject: '7', name: 'bob' }, always)
  expect(users.bySignOn('Ada')).toBe(ADA)
  expect(users.bySignOn('bob')).toBeNull()
  expect(await Promise.all([users.bySignOn('eve'), users.bySignOn('eve')])).toEqual(['user:eve', 'user:eve'])
  expect(users.bySignOn('eve')).toBe('user:eve')
  expect(decisions.filter(({ actor }) => actor === 'sign-on')).toHaveLength(1)
  expect((await reopened()).users.find('user:eve' as UserId)?.source).toEqual({ kind: 'sign-on' })
  for (const name of ['', 'a b', 'guest:x', '-']) expect(users.bySignOn(name)).toBeNull()
})

test('who signs in otherwise can be given a token, and a new one ends the one before', async () => {
  const { accounts, reopened } = await bench()
  await accounts.users.byProvider('lab', { subject: '7', name: 'ada' }, always)
  const first = await accounts.users.renewToken('ada', 'root')
  expect(accounts.users.byToken(first.token)).toEqual({ user: ADA })
  const second = await accounts.users.renewToken('ada', 'root')
  const { users } = await reopened()
  expect([users.byToken(first.token), users.byToken(second.token)]).toEqual([null, { user: ADA }])
  expect(accounts.users.byToken(first.token)).toBeNull()
  await expect(accounts.users.renewToken('bob', 'root')).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('a blocked guest stays blocked over a restart, and each change stands in the audit log once', async () => {
  const { accounts, decisions, reopened } = await bench()
  await accounts.users.guests.block(GUEST, 'root')
  await accounts.users.guests.block(GUEST, 'root')
  const { users } = await reopened()
  expect(users.isBlocked(GUEST)).toBe(true)
  expect(users.isBlocked(`guest:${'d'.repeat(32)}` as UserId)).toBe(false)
  await users.guests.unblock(GUEST, 'root')
  await users.guests.unblock(GUEST, 'root')
  expect((await reopened()).users.isBlocked(GUEST)).toBe(false)
  expect(decisions.map(({ action }) => action)).toEqual(['guest.block', 'guest.unblock'])
})

test('a user that an earlier version kept is one with a token', async () => {
  const { store, reopened } = await bench()
  const kept = { name: 'ada', hash: 'a'.repeat(64), createdAt: 1, blocked: false }
  await store.put('user/ada', Buffer.from(JSON.stringify(kept)), { ifRevision: 'any' })
  expect((await reopened()).users.list()).toMatchObject([{ name: 'ada', source: { kind: 'token' } }])
})
