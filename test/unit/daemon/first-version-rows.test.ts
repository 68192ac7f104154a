import { expect, test } from 'vitest'
import { createIdentity, parsePeerId } from '../../../src/core/identity.ts'
import { type KeyValue, memoryKeyValue, prefixed } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { DrainRows } from '../../../src/daemon/drain-rows.ts'
import { KnownMembers } from '../../../src/daemon/known-members.ts'
import { LastWords } from '../../../src/handover/last-words.ts'
import { OwnershipTable } from '../../../src/handover/ownership-table.ts'
import { countHomes, decodeRecord } from '../../../src/handover/resident-record.ts'
import { MemberRegistry } from '../../../src/membership/registry.ts'
import { Services } from '../../../src/routing/services.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import { manualClock } from '../../tools/clock.ts'
import rows from './first-version-rows.json' with { type: 'json' }

// What a coordinator with two instances, and one of these, kept in the first version. Rows that came later are not there.
const COORDINATOR = parsePeerId('12D3KooWSyDR2LJdtrAANbK6Nr4AoKRYJVTRqCbB3PmSuv8Sm3Tk')
const ALPHA = parsePeerId('12D3KooWPY2Ay51w4ZjkX388cRHCuqnULZ6qyUvYQfQ95uDe4ava')
const audit = async (): Promise<void> => undefined

async function kept(stored: Readonly<Record<string, string>>): Promise<KeyValue> {
  const state = memoryKeyValue()
  const put = Object.entries(stored).map(([key, value]) => [key, Buffer.from(value, 'base64')] as const)
  await state.write({ put }, { durable: true })
  return state
}

async function opened() {
  const store = controlStore(await kept(rows.coordinator))
  const identity = { ...(await createIdentity()), peerId: COORDINATOR }
  const clock = manualClock()
  const registry = await MemberRegistry.open({ store, identity, clock, random: systemRandom(), audit, log: silent })
  return { store, registry, table: await OwnershipTable.open(store, identity) }
}

test('a coordinator knows its members and who writes what, and signs on from its last numbers', async () => {
  const { registry, table } = await opened()
  expect(registry.members().map(({ name, state }) => [name, state])).toEqual([
    ['alpha', 'approved'],
    ['beta', 'approved']
  ])
  expect([registry.memberListNumber, registry.standing(ALPHA), table.number, table.size]).toEqual([3, 'member', 4, 2])
  expect(table.homesOf(ALPHA)).toHaveLength(1)
  const [home] = table.homesOf(ALPHA)
  expect(home?.signed.value).toMatchObject({ service: 'files', owner: 'user:bob', epoch: 1 })
  expect(table.epochAfter(1)).toBe(2)
})

test('an instance that was drained then takes workspaces again when it comes back', async () => {
  const { store } = await opened()
  await store.put(`drained/${ALPHA}`, Buffer.from('1795193868521'), { ifRevision: 0 })
  const drains = new DrainRows(store)
  expect([await drains.drained(), await drains.running()]).toEqual([[{ peer: ALPHA, stays: false }], []])
})

test('its services are those of a first start, and nobody has said a last word', async () => {
  const { store } = await opened()
  const services = await Services.open({ store, audit, workspaces: () => 2, hasGroup: () => false }, 'local')
  expect(services.levels()).toEqual([{ name: 'files', acknowledge: 'local' }])
  expect(services.strictest()).toBe('local')
  await expect(LastWords.open({ store, log: silent })).resolves.toBeDefined()
})

test('an instance knows what it holds, and takes the list of which it kept the number alone', async () => {
  const state = await kept(rows.instance)
  const residents = prefixed(state, 'resident/')
  expect(await countHomes(residents)).toBe(2)
  for await (const [workspace, bytes] of residents.entries({ prefix: '' })) {
    const { role, ownership, head, suspect } = await decodeRecord(bytes, COORDINATOR)
    expect([role, ownership.value.workspace, ownership.value.home, suspect]).toEqual(['home', workspace, ALPHA, false])
    expect(head?.value.sequence).toBeGreaterThan(0)
  }
  const members = await KnownMembers.open(state, COORDINATOR)
  expect([members.number, members.list, members.certificate]).toEqual([3, null, null])
  const { registry } = await opened()
  expect(await members.note(registry.memberList())).toBe(true)
  expect((await KnownMembers.open(state, COORDINATOR)).peers()).toHaveLength(2)
})
