import { expect, test } from 'vitest'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { DrainRows } from '../../../src/daemon/drain-rows.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import { ALPHA, BETA } from '../sync/support.ts'

const WISH = { deadlineMs: 600_000, to: null, toRepository: false, exits: true }
const yes = (): boolean => true
const no = (): boolean => false

test('a drain under way is there after a restart with the time that it has left, until it has ended', async () => {
  const store = controlStore(memoryKeyValue())
  const rows = new DrainRows(store)
  await rows.keepRunning({ peer: ALPHA.peerId, wish: WISH, actor: 'admin' }, yes)
  const left = { ...WISH, to: BETA.peerId, deadlineMs: 1000 }
  await rows.keepRunning({ peer: ALPHA.peerId, wish: left, actor: 'admin' }, yes)
  expect(await new DrainRows(store).running()).toEqual([{ peer: ALPHA.peerId, wish: left, actor: 'admin' }])
  // Another one has begun since.
  await rows.ended(ALPHA.peerId, () => false)
  expect(await new DrainRows(store).running()).toHaveLength(1)
  await rows.ended(ALPHA.peerId, yes)
  // What was still on its way when it ended must not bring it back.
  await rows.keepRunning({ peer: ALPHA.peerId, wish: left, actor: 'admin' }, () => false)
  expect(await new DrainRows(store).running()).toEqual([])
})

test('a drained instance is not draining, and is drained until it serves again', async () => {
  const store = controlStore(memoryKeyValue())
  const rows = new DrainRows(store)
  await rows.keepRunning({ peer: ALPHA.peerId, wish: WISH, actor: '' }, yes)
  await rows.keepDrained({ peer: ALPHA.peerId, stays: true }, no)
  await rows.keepDrained({ peer: BETA.peerId, stays: false }, no)
  expect(await rows.running()).toEqual([])
  const byPeer = new Map((await new DrainRows(store).drained()).map(({ peer, stays }) => [peer, stays]))
  expect(byPeer).toEqual(
    new Map([
      [ALPHA.peerId, true],
      [BETA.peerId, false]
    ])
  )
  await rows.serves(ALPHA.peerId, no)
  expect(await rows.drained()).toEqual([{ peer: BETA.peerId, stays: false }])
})

test('what an earlier version has written is read as the drain of an instance itself', async () => {
  const store = controlStore(memoryKeyValue())
  await store.put(`drained/${ALPHA.peerId}`, Buffer.from('1750000000000'), { ifRevision: 'any' })
  expect(await new DrainRows(store).drained()).toEqual([{ peer: ALPHA.peerId, stays: false }])
})
