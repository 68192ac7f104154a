import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Block } from '../../../src/core/blocks.ts'
import { type Signed, seal } from '../../../src/core/envelope.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { silent } from '../../../src/core/log.ts'
import { headRecord, type Receipt, type SignedHead } from '../../../src/core/records.ts'
import type { NearBlocks } from '../../../src/sync/members.ts'
import { type Applied, StandbySync } from '../../../src/sync/standby.ts'
import type { Worktree } from '../../../src/worktree/worktree.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import {
  ALPHA,
  BETA,
  emptyTree,
  homeOf,
  memoryRepository,
  type NearRepository,
  nearRepository,
  nextEpoch,
  until,
  WORKSPACE,
  write
} from './support.ts'

const NOBODY: NearBlocks = { want: async () => [], close: async () => undefined }

interface Writer {
  readonly near: NearRepository
  /** Writes files at the home and publishes them. */
  publish(files: Readonly<Record<string, string>>): Promise<SignedHead>
}

async function writer(): Promise<Writer> {
  const near = nearRepository(await memoryRepository(), homeOf(ALPHA))
  const { folder, worktree } = await emptyTree()
  let last: SignedHead | null = null
  return {
    near,
    async publish(files) {
      await write(folder, files)
      const inline: Parameters<NearRepository['publish']>[1][number][] = []
      const snapshot = await worktree.snapshot('all', (block) => void inline.push(block))
      const head: SignedHead = await seal(
        headRecord,
        {
          workspace: WORKSPACE,
          epoch: near.ownership.epoch,
          sequence: (last?.value.sequence ?? 0) + 1,
          root: snapshot.root,
          previous: last?.cid ?? null,
          createdAtMs: 1,
          files: snapshot.files,
          bytes: snapshot.bytes,
          unsettled: []
        },
        ALPHA
      )
      await near.publish(head, inline)
      await snapshot.commit()
      last = head
      return head
    }
  }
}

interface Bench extends Writer {
  readonly standby: StandbySync
  readonly folder: string
  readonly clock: ManualClock
  readonly applied: { readonly head: SignedHead; readonly receipt: Signed<Receipt> }[]
  /** The same directory after a restart. */
  restarted(applied: Applied | null): StandbySync
}

async function bench(near: NearBlocks = NOBODY): Promise<Bench> {
  const from = await writer()
  const { folder, worktree } = await emptyTree()
  const clock = manualClock()
  const applied: Bench['applied'] = []
  const start = (before: Applied | null): StandbySync => {
    const standby = new StandbySync(
      {
        worktree: worktree as Worktree,
        remote: async () => from.near,
        identity: BETA,
        clock,
        log: silent,
        onApplied: async (head, receipt) => void applied.push({ head, receipt }),
        near: () => near
      },
      { workspace: WORKSPACE, applied: before }
    )
    standby.start()
    onTestFinished(() => standby.stop())
    return standby
  }
  return { ...from, standby: start(null), folder, clock, applied, restarted: start }
}

const read = (at: Bench, path: string): Promise<string> => readFile(join(at.folder, path), 'utf8')

test('a standby applies what it is told, remembers it, and then says so with its own receipt', async () => {
  const at = await bench()
  const head = await at.publish({ 'a.txt': 'a' })
  at.standby.told(head)
  await until(() => at.near.held.length === 1)
  expect(await read(at, 'a.txt')).toBe('a')
  expect(at.applied.map((one) => one.head.cid.toString())).toEqual([head.cid.toString()])
  const [receipt] = at.near.held
  expect(receipt?.signer).toBe(BETA.peerId)
  expect(receipt?.value).toMatchObject({ sequence: 1, role: 'instance', recipient: BETA.peerId, durability: 'fsynced' })
  expect(receipt?.value.head.equals(head.cid)).toBe(true)
})

/** After each head the standby waits a moment, so that those that follow at once are applied together. */
async function gathered(at: Bench): Promise<void> {
  await until(() => at.clock.waiting > 0)
  at.clock.advance(100)
}

test('of several heads that came meanwhile, the newest is applied', async () => {
  const at = await bench()
  const { promise: hold, resolve: release } = Promise.withResolvers<void>()
  at.near.beforeWant = () => hold
  at.standby.told(await at.publish({ 'a.txt': '1' }))
  const second = await at.publish({ 'a.txt': '2' })
  const third = await at.publish({ 'a.txt': '3' })
  at.standby.told(third)
  at.standby.told(second)
  release()
  await gathered(at)
  await until(() => at.near.held.some(({ value }) => value.sequence === 3))
  expect(await read(at, 'a.txt')).toBe('3')
  expect(at.near.held.map(({ value }) => value.sequence)).toEqual([1, 3])
})

test('an older head, or one of an epoch before, changes nothing', async () => {
  const at = await bench()
  const old = await at.publish({ 'a.txt': 'old' })
  await nextEpoch(at.near, ALPHA)
  at.standby.told(await at.publish({ 'a.txt': 'new' }))
  await until(() => at.near.held.length === 1)
  at.standby.told(old)
  const forged = await seal(headRecord, { ...old.value, sequence: 9 }, ALPHA)
  at.standby.told(forged)
  at.standby.told(await at.publish({ 'b.txt': 'b' }))
  await gathered(at)
  await until(() => at.near.held.length === 2)
  expect(at.applied.map(({ head }) => [head.value.epoch, head.value.sequence])).toEqual([
    [2, 2],
    [2, 3]
  ])
  expect(await read(at, 'a.txt')).toBe('new')
})

test('what fails is tried again', async () => {
  const at = await bench()
  let failures = 0
  at.near.beforeWant = async () => {
    if (failures++ === 0) throw new NodeDaemonError('CLOSED', 'the connection broke')
  }
  at.standby.told(await at.publish({ 'a.txt': 'a' }))
  await until(() => at.clock.waiting > 0)
  expect(at.near.held).toHaveLength(0)
  at.clock.advance(1000)
  await until(() => at.near.held.length === 1)
})

test('after a reconnection it asks for what it missed, and tells again what it holds', async () => {
  const at = await bench()
  const head = await at.publish({ 'a.txt': 'a' })
  await at.standby.refresh()
  await until(() => at.near.held.length === 1)
  await at.standby.refresh()
  expect(at.near.held.map(({ value }) => value.sequence)).toEqual([1, 1])
  await at.standby.stop()
  const [before] = at.applied
  if (before === undefined) throw new Error('nothing was applied')
  const next = at.restarted(before)
  await at.publish({ 'b.txt': 'b' })
  await next.refresh()
  await until(() => at.near.held.some(({ value }) => value.sequence === 2))
  expect(before.head.cid.equals(head.cid)).toBe(true)
  expect(await read(at, 'b.txt')).toBe('b')
})

test('what members near give is not asked of the repository; what they lack is', async () => {
  const asked: number[] = []
  const given: Block[] = []
  const near: NearBlocks = {
    want: async (cids) => {
      asked.push(cids.length)
      return given.filter(({ cid }) => cids.some((one) => one.equals(cid)))
    },
    close: async () => void asked.push(0)
  }
  const at = await bench(near)
  const first = await at.publish({ 'a.txt': 'a', 'b/c.txt': 'c' })
  for (const block of at.near.published.flatMap(({ inline }) => inline)) given.push(block)
  at.standby.told(first)
  await until(() => at.near.held.length === 1)
  expect(at.near.exchanges).toBe(0)
  expect(asked.at(-1)).toBe(0)
  given.length = 0
  await gathered(at)
  at.standby.told(await at.publish({ 'a.txt': 'other' }))
  await until(() => at.near.held.length === 2)
  expect(at.near.exchanges).toBe(1)
  expect(await read(at, 'a.txt')).toBe('other')
})
