import { expect, test } from 'vitest'
import type { OwnerId, UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { UserRegister, type UserRegisterDeps } from '../../../src/daemon/user-register.ts'
import type { Decision } from '../../../src/membership/audit.ts'
import { Users } from '../../../src/membership/users.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import { manualClock } from '../../tools/clock.ts'

const ROOT = { actor: 'root', role: 'admin' } as const
const GUEST = `guest:${'c'.repeat(32)}` as UserId

async function bench() {
  const decisions: Decision[] = []
  const audit = async (decision: Decision): Promise<void> => void decisions.push(decision)
  const users = await Users.open({
    store: controlStore(memoryKeyValue()),
    clock: manualClock(),
    random: systemRandom(),
    audit
  })
  const owners: OwnerId[] = ['user:ada' as OwnerId, 'user:bob' as OwnerId, GUEST, 'group:lab' as OwnerId]
  const shown: string[] = []
  const rows = owners.map((owner) => ({ signed: { value: { workspace: owner as unknown as WorkspaceId, owner } } }))
  const deps = {
    accounts: { users },
    groups: { forget: async (name: string) => void shown.push(`forget ${name}`) },
    table: { all: () => rows.values() },
    quotas: { of: () => 10 },
    doors: { breakOff: (workspace: WorkspaceId, which: string) => void shown.push(`break ${workspace} ${which}`) },
    routeBook: { endSessionsOf: (user: string) => void shown.push(`end sessions of ${user}`) },
    director: { touch: (workspace: WorkspaceId) => void shown.push(`touch ${workspace}`) }
  }
  return { register: new UserRegister(deps as unknown as UserRegisterDeps), users, shown, decisions }
}

test('users are listed with where they come from, and guests while they are blocked', async () => {
  const { register, users } = await bench()
  await register.add(ROOT, { name: 'ada' })
  await users.bySignOn('bob')
  await users.byProvider('lab', { subject: '1', name: 'eve' }, () => true)
  expect(register.list().map(({ name, source, workspaces }) => [name, source, workspaces])).toEqual([
    ['ada', 'token', 1],
    ['bob', 'sign-on', 1],
    ['eve', 'lab', 0]
  ])
  expect(await register.block(ROOT, GUEST, true)).toMatchObject({ name: GUEST, source: 'guest', blocked: true })
  expect(register.list()).toHaveLength(4)
  expect(await register.block(ROOT, GUEST, false)).toMatchObject({ name: GUEST, blocked: false })
  expect(register.list()).toHaveLength(3)
})

test('who is shut out loses what is open: requests into their own workspaces, and connections into shared ones', async () => {
  const { register, shown, decisions } = await bench()
  await register.add(ROOT, { name: 'ada' })
  await register.block(ROOT, 'ada', true)
  const out = ['end sessions of user:ada', 'break user:ada all', 'touch user:ada', 'touch group:lab']
  expect(shown).toEqual(out)
  await register.block(ROOT, 'ada', false)
  expect(shown).toEqual(out)
  await register.remove(ROOT, 'ada')
  expect(shown).toEqual([...out, 'forget ada', ...out])
  shown.length = 0
  await register.add(ROOT, { name: 'ada' })
  await register.renewToken(ROOT, 'ada')
  expect(shown).toEqual(out)
  shown.length = 0
  await register.block(ROOT, GUEST, true)
  expect(shown).toEqual([`end sessions of ${GUEST}`, `break ${GUEST} all`, `touch ${GUEST}`, 'touch group:lab'])
  expect(decisions.at(-1)).toMatchObject({ actor: 'root', action: 'guest.block', target: GUEST })
})

test('an admin says who a user is at a provider, so that their workspaces of before are theirs again', async () => {
  const { register, users } = await bench()
  expect(await register.add(ROOT, { name: 'ada', provider: 'lab', subject: '7' })).toEqual({ name: 'ada', token: '' })
  expect((await users.byProvider('lab', { subject: '7', name: 'other' }, () => false)).name).toBe('ada')
  const again = { name: 'bob', provider: 'lab', subject: '7' }
  await expect(register.add(ROOT, again)).rejects.toMatchObject({ code: 'NAME_TAKEN' })
  await expect(register.add(ROOT, { ...again, name: 'ada', subject: '8' })).rejects.toMatchObject({
    code: 'NAME_TAKEN'
  })
  await expect(register.add(ROOT, { name: 'bob', subject: '8' })).rejects.toMatchObject({ code: 'BAD_USAGE' })
})

test('a named user goes by the name and by the id; a guest by the whole id alone', async () => {
  const { register } = await bench()
  await register.add(ROOT, { name: 'ada' })
  expect(await register.block(ROOT, 'user:ada', true)).toMatchObject({ name: 'ada', blocked: true })
  for (const name of ['guest:', 'guest:abc', 'guest:../x']) {
    await expect(register.block(ROOT, name, true)).rejects.toMatchObject({ code: 'BAD_USAGE' })
  }
  await expect(register.block(ROOT, 'nobody', true)).rejects.toMatchObject({ code: 'NOT_FOUND' })
})
