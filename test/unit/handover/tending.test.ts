import { expect, onTestFinished, test } from 'vitest'
import type { UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { Tending } from '../../../src/handover/tending.ts'
import { bench, FILES, nameOf, peerOf, settled } from './fleet.ts'

/** Workspaces at home on `a`, all without a standby, and how often the instances were asked for. */
async function tending(count: number) {
  const at = await bench(['a'])
  const workspaces: WorkspaceId[] = []
  for (let number = 0; number < count; number++) {
    const id = number.toString(16).padStart(32, '0') as WorkspaceId
    const user = `user:of-${number}` as UserId
    await at.table.create(id, { service: FILES, owner: user, home: peerOf('a'), createdAtMs: 1 })
    await at.director.resume(id)
    workspaces.push(id)
  }
  await settled()
  const seen = { looks: 0, ends: 0 }
  const instances = {
    candidates: () => {
      seen.looks++
      return at.fleet.candidates()
    }
  }
  const tending = new Tending(
    { ...at, instances, usedBytes: () => 1000, onLooked: () => seen.ends++, log: silent },
    { standbys: 1 }
  )
  onTestFinished(() => tending.close())
  const standbys = (): string[] =>
    workspaces.map((workspace) => (at.table.get(workspace)?.signed.value.standbys ?? []).map(nameOf).join())
  return { ...at, tending, seen, standbys }
}

test('workspaces that lack a standby get one when an instance comes', async () => {
  const { tending: tends, fleet, standbys } = await tending(3)
  tends.look()
  await settled()
  expect(standbys()).toEqual(['', '', ''])
  fleet.serving.add('b')
  tends.look()
  await expect.poll(standbys).toEqual(['b', 'b', 'b'])
})

test('all who ask while one look is under way share the next one', async () => {
  const { tending: tends, seen, fleet, standbys } = await tending(3)
  fleet.serving.add('b')
  for (let asked = 0; asked < 50; asked++) tends.look()
  await expect.poll(() => seen.ends).toBe(2)
  await settled()
  expect([standbys(), seen.looks]).toEqual([['b', 'b', 'b'], 2])
})

test('a long look pauses again and again, and ends when the coordinator does', async () => {
  const { tending: tends, seen, clock } = await tending(450)
  tends.look()
  for (const pause of [1, 2]) {
    await settled()
    expect([pause, seen.ends, clock.waiting]).toEqual([pause, 0, 1])
    clock.advance(0)
  }
  await settled()
  expect([seen.ends, clock.waiting]).toEqual([1, 0])
  tends.look()
  await settled()
  await tends.close()
  expect(clock.waiting).toBe(0)
})

test('who asks at the moment at which one look ends is not forgotten', async () => {
  const { tending: tends, seen } = await tending(1)
  for (let turns = 0; turns < 12; turns++) {
    const before = seen.looks
    tends.look()
    for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    tends.look()
    await settled()
    expect(seen.looks - before).toBe(2)
  }
})

test('nothing changes while promotions are held', async () => {
  const { tending: tends, fleet, hold, standbys } = await tending(1)
  fleet.serving.add('b')
  hold.hold('mass-loss', 'most are gone')
  tends.look()
  await settled()
  expect(standbys()).toEqual([''])
})
