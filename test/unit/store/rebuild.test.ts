import type { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { type Block, DAG_PB_CODEC, RAW_CODEC } from '../../../src/core/blocks.ts'
import { batches } from '../../../src/core/parallel.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { type MemoryDisk, memoryDisk } from '../../../src/store/memory-disk.ts'
import { type MemoryIndex, memoryIndex } from '../../../src/store/memory-index.ts'
import { PACKS_FOLDER, packPath } from '../../../src/store/pack-files.ts'
import { type MainRepository, RETENTION } from '../../../src/store/repository.ts'
import {
  accept,
  depsOf,
  handClock,
  headAfter,
  readClosure,
  type Snapshot,
  seeded,
  snapshot,
  workspace
} from './support.ts'

const A = workspace('a')
const B = workspace('b')
const HOUR = 3_600_000

interface World {
  readonly index: MemoryIndex
  readonly disk: MemoryDisk
  readonly clock: ReturnType<typeof handClock>
  readonly repository: MainRepository
}

async function newWorld(packBytes: number): Promise<World> {
  const disk = memoryDisk()
  const clock = handClock()
  const index = memoryIndex()
  const repository = await openRepository(depsOf(disk, index, { clock, packBytes }))
  return { disk, index, clock, repository }
}

/** Keeps the blocks a few at a time, so that they lie in several packs, and publishes a head on them. */
async function publish(repository: MainRepository, { root, blocks }: Snapshot, atOnce = 1): Promise<SignedHead> {
  for (const some of batches(blocks, atOnce)) await repository.keep(A, some)
  const head = await headAfter(null, root, { workspace: A })
  await repository.publish(head, [], accept)
  return head
}

/** Something of another workspace, so that the packs before it are not the present one. */
async function publishOther(repository: MainRepository): Promise<void> {
  const { root, blocks } = await snapshot({ other: seeded(1_000_000).bytes(60_000) })
  await repository.publish(await headAfter(null, root, { workspace: B }), blocks, accept)
}

/** Lets one byte of each of these blocks rot, wherever they lie. */
async function rot(disk: MemoryDisk, blocks: readonly Block[]): Promise<void> {
  for (const name of await disk.list(PACKS_FOLDER)) {
    const path = `${PACKS_FOLDER}/${name}`
    const bytes = Buffer.from(await disk.read(path, 0, 10_000_000))
    for (const block of blocks) {
      const at = bytes.indexOf(block.bytes)
      if (at >= 0) disk.flip(path, at + block.bytes.length - 1)
    }
  }
}

async function notRead(repository: MainRepository, blocks: readonly Block[]): Promise<string[]> {
  const missing: string[] = []
  for (const { cid } of blocks) if ((await repository.read(A, cid)) === null) missing.push(String(cid))
  return missing
}

/** Keeps anew whatever is told to be damaged until nothing is. */
async function mend(repository: MainRepository, blocks: readonly Block[]): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const wanted = new Set((await repository.damaged()).map(({ cid }) => String(cid)))
    if (wanted.size === 0) return
    await repository.keep(
      A,
      blocks.filter(({ cid }) => wanted.has(String(cid)))
    )
    await repository.flush()
  }
}

/** The process is killed: all that was written is still there, and nothing was told to end. */
async function killed({ disk, index, clock }: World): Promise<MainRepository> {
  await index.crash({ ...seeded(1), fraction: () => 1 - 2 ** -30 })
  return await openRepository(depsOf(disk, index, { clock }))
}

const folderOf = (count: number, bytes: number): Promise<Snapshot> =>
  snapshot(Object.fromEntries(Array.from({ length: count }, (_, at) => [`f${at}`, seeded(at).bytes(bytes)])))

function blockNamed(blocks: readonly Block[], cid: CID): Block {
  const found = blocks.find((block) => block.cid.equals(cid))
  if (found === undefined) throw new Error(`no block ${cid}`)
  return found
}

test('a gc gives nothing back of what lies below a node that is damaged and with which the index was lost', async () => {
  const { repository, disk, clock } = await newWorld(50_000)
  const made = await folderOf(3, 40_000)
  await publish(repository, made)
  await publishOther(repository)
  const root = blockNamed(made.blocks, made.root)
  await rot(disk, [root])
  await repository.reindex()
  expect((await repository.damaged()).map(({ cid }) => String(cid))).toEqual([String(made.root)])
  clock.pass(3 * HOUR)
  for (const full of [false, true]) await repository.gc({ policy: RETENTION, full })

  await repository.keep(A, [root])
  await repository.flush()
  expect(await notRead(repository, made.blocks)).toEqual([])
  expect(await repository.damaged()).toEqual([])
  await repository.gc({ policy: RETENTION, full: true })
  await readClosure(repository, A, made.root)
})

test('nothing is taken out of the packs within an hour after a start', async () => {
  const { repository, clock } = await newWorld(50_000)
  await repository.keep(A, (await folderOf(3, 40_000)).blocks)
  await publishOther(repository)
  clock.pass(3 * HOUR)
  const first = await headAfter(null, (await snapshot({ a: 'a' })).root, { workspace: A })
  await repository.publish(first, (await snapshot({ a: 'a' })).blocks, accept)
  await repository.reindex()
  clock.pass(HOUR / 2)
  expect(await repository.gc({ policy: RETENTION, full: true })).toMatchObject({ blocksDropped: 0 })
  clock.pass(HOUR)
  expect((await repository.gc({ policy: RETENTION, full: true })).blocksDropped).toBeGreaterThan(3)
})

test('however many blocks are damaged when the index is built anew, all of the rest is found and all can be mended', async () => {
  const { repository, disk, clock } = await newWorld(100_000)
  const made = await folderOf(1400, 100)
  const leaves = made.blocks.filter(({ cid }) => cid.code === RAW_CODEC)
  const nodes = made.blocks.filter(({ cid }) => cid.code === DAG_PB_CODEC)
  await publish(repository, made, 100)
  await publishOther(repository)
  await rot(disk, [...leaves.slice(0, 1100), ...nodes.slice(0, 3)])
  await repository.reindex()
  await mend(repository, made.blocks)
  expect(await notRead(repository, made.blocks)).toEqual([])
  expect(await repository.damaged()).toEqual([])
  clock.pass(3 * HOUR)
  await repository.gc({ policy: RETENTION, full: true })
  await readClosure(repository, A, made.root)
})

test('a block that was kept anew just before the process was killed is damaged no more', async () => {
  const world = await newWorld(1_000_000)
  const made = await folderOf(3, 1000)
  await publish(world.repository, made)
  const leaf = blockNamed(made.blocks, made.blocks.find(({ cid }) => cid.code === RAW_CODEC)?.cid ?? made.root)
  await rot(world.disk, [leaf])
  expect((await world.repository.verify()).damaged).toEqual([String(leaf.cid)])
  await world.repository.keep(A, [leaf])
  const again = await killed(world)
  expect(await again.damaged()).toEqual([])
  expect(await notRead(again, made.blocks)).toEqual([])
})

test('a node that was kept anew just before the process was killed brings back all that lies below it', async () => {
  const world = await newWorld(1_000_000)
  const made = await folderOf(3, 1000)
  await publish(world.repository, made)
  await publishOther(world.repository)
  await rot(world.disk, [blockNamed(made.blocks, made.root)])
  await world.repository.reindex()
  expect((await notRead(world.repository, made.blocks)).length).toBeGreaterThan(3)
  await world.repository.keep(A, [blockNamed(made.blocks, made.root)])
  const again = await killed(world)
  expect(await again.damaged()).toEqual([])
  expect(await notRead(again, made.blocks)).toEqual([])
})

test.each(['while it runs', 'after it was closed'])(
  'a block that rots in the last commit takes nothing else along when the index is built anew (%s)',
  async (when) => {
    const world = await newWorld(1_000_000)
    const made = await folderOf(3, 1000)
    const head = await publish(world.repository, made)
    const [leaf] = made.blocks
    if (leaf === undefined) throw new Error('no leaf')
    if (when === 'after it was closed') await world.repository.close()
    await rot(world.disk, [leaf])
    if (when === 'while it runs') await world.repository.reindex()
    else await world.index.destroy()
    const repository =
      when === 'while it runs' ? world.repository : await openRepository(depsOf(world.disk, world.index))
    expect(String((await repository.tip(A))?.tip.cid)).toBe(String(head.cid))
    expect(await notRead(repository, made.blocks)).toEqual([String(leaf.cid)])
    await mend(repository, made.blocks)
    await readClosure(repository, A, made.root)
  }
)

test('opening and closing without a change leaves the packs as they are', async () => {
  const { disk, index, repository } = await newWorld(1_000_000)
  await publish(repository, await folderOf(3, 1000))
  await repository.close()
  const size = await disk.size(packPath(1))
  for (let turn = 0; turn < 3; turn++) await (await openRepository(depsOf(disk, index))).close()
  expect(await disk.size(packPath(1))).toBe(size)
  expect(await disk.list(PACKS_FOLDER)).toEqual(['00000001.car'])
})
