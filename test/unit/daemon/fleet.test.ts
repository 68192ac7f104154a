import { expect, test } from 'vitest'
import type { PeerIdText, UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { Fleet } from '../../../src/daemon/fleet.ts'
import { OwnershipTable } from '../../../src/handover/ownership-table.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import type { AcknowledgeLevel } from '../../../src/wire/control.ts'
import { manualClock } from '../../tools/clock.ts'
import { FILES, peerOf } from '../handover/fleet.ts'
import { workspace } from '../store/support.ts'
import { COORDINATOR } from '../sync/support.ts'

type Labels = Readonly<Record<string, string>>

/** Workspaces at the instance `a`, which is connected at first. */
async function bench(ids: readonly WorkspaceId[]) {
  const clock = manualClock()
  const table = await OwnershipTable.open(controlStore(memoryKeyValue()), COORDINATOR)
  for (const [index, id] of ids.entries()) {
    await table.create(id, { service: FILES, owner: `user:u${index}` as UserId, home: peerOf('a'), createdAtMs: 1 })
  }
  const connected = new Set<PeerIdText>([peerOf('a')])
  const labels: { told: Labels; given: Labels } = { told: {}, given: {} }
  const session = (peer: PeerIdText) => (connected.has(peer) ? { hello: { labels: labels.told } } : null)
  const control = { session, sessions: () => [] }
  const over = { dead: false, lease: false, past: false }
  const level: { now: AcknowledgeLevel } = { now: 'replicated' }
  const fleet = new Fleet({
    leadsPast: () => over.past,
    levelOf: () => level.now,
    declared: () => null,
    registry: { get: () => ({ labels: labels.given }) } as never,
    control: () => control as never,
    table,
    detector: () => ({ isDead: () => over.dead, isLeaseOver: () => over.lease }) as never,
    clock
  })
  const told = (id: WorkspaceId, unsyncedBytes: number, unsyncedAgeMs: number): void =>
    fleet.noteUsage([{ workspace: id, usedBytes: 0, files: 0, unsyncedBytes, unsyncedAgeMs }])
  return { clock, connected, fleet, labels, level, over, told }
}

test('what an instance said before it went away grows older; what it had synced stays synced', async () => {
  const [a, b] = [workspace('a'), workspace('b')]
  const { clock, connected, fleet, told } = await bench([a, b])
  told(a, 500, 2000)
  told(b, 0, 0)
  clock.advance(10_000)
  expect(fleet.unsynced([a, b])).toEqual({ bytes: 500, ageMs: 2000 })
  connected.clear()
  expect([fleet.unsynced([a]), fleet.unsynced([b])]).toEqual([
    { bytes: 500, ageMs: 12_000 },
    { bytes: 0, ageMs: 0 }
  ])
  clock.advance(5000)
  expect(fleet.unsynced([a, b])).toEqual({ bytes: 500, ageMs: 17_000 })
})

test('the worst are those whose changes have waited longest; of those without any, none', async () => {
  const ids = ['a', 'b', 'c', 'd'].map(workspace)
  const { fleet, told } = await bench(ids)
  for (const [index, id] of ids.entries()) told(id, 10, index * 1000)
  expect(fleet.worstUnsynced(2)).toEqual([
    { name: ids[3], bytes: 10, ageMs: 3000 },
    { name: ids[2], bytes: 10, ageMs: 2000 }
  ])
  expect(fleet.worstUnsynced(20)).toHaveLength(3)
})

test('a workspace of a local service passes from a lost home only when its lease is over; any other one at once', async () => {
  const { connected, fleet, level, over } = await bench([])
  const at = { service: FILES, home: peerOf('a') }
  const may = (): boolean => fleet.mayTakeOver(at)
  level.now = 'local'
  expect(may()).toBe(true)
  // Expelled, and its connection not cut yet.
  over.dead = true
  expect(may()).toBe(false)
  connected.clear()
  expect([may(), fleet.mayTakeOver({ ...at, home: null })]).toEqual([false, true])
  level.now = 'replicated'
  expect(may()).toBe(true)
  level.now = 'local'
  over.lease = true
  expect(may()).toBe(true)
})

test('a workspace that users reach past the front door passes from a lost home only when its lease is over', async () => {
  const { connected, fleet, over } = await bench([])
  const may = (): boolean => fleet.mayTakeOver({ service: FILES, home: peerOf('a') })
  connected.clear()
  over.dead = true
  expect(may()).toBe(true)
  over.past = true
  expect(may()).toBe(false)
  over.lease = true
  expect(may()).toBe(true)
})

test('an instance is in the zone that it says, unless an admin says otherwise; an empty label is none', async () => {
  const { fleet, labels } = await bench([])
  const zones = [
    [{}, {}],
    [{ zone: 'hall' }, {}],
    [{ zone: 'hall' }, { zone: 'attic' }],
    [{ zone: 'hall' }, { zone: '' }],
    [{ zone: '' }, {}]
  ] as const
  const seen = zones.map(([told, given]) => {
    labels.told = told
    labels.given = given
    return fleet.zoneOf(peerOf('a'))
  })
  expect(seen).toEqual([null, 'hall', 'attic', null, null])
})
