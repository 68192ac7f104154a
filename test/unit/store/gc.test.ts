import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Block, RAW_CODEC } from '../../../src/core/blocks.ts'
import type { Clock } from '../../../src/core/clock.ts'
import { codeOf } from '../../../src/core/errors.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import type { Disk } from '../../../src/store/disk.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { memoryIndex } from '../../../src/store/memory-index.ts'
import { nodeDisk } from '../../../src/store/node-disk.ts'
import { type IndexPlace, levelIndex, type RepositoryDeps } from '../../../src/store/open-repository.ts'
import { packPath } from '../../../src/store/pack-files.ts'
import type { GcReport, MainRepository, RetentionPolicy } from '../../../src/store/repository.ts'
import { historyRows } from '../../../src/store/rows.ts'
import {
  accept,
  depsOf,
  handClock,
  headAfter,
  readClosure,
  sealOf,
  seeded,
  snapshot,
  temporaryFolder,
  workspace
} from './support.ts'

const A = workspace('a')
const B = workspace('b')
const HOUR = 3_600_000
const MINUTE = 60_000
/** Only the newest of each of the last two minutes that have any. */
const SHORT: RetentionPolicy = { minutes: 2, hours: 0, days: 0, weeks: 0, months: 0 }

interface Place {
  readonly disk: Disk
  readonly index: IndexPlace
}

const places: readonly [string, () => Promise<Place>][] = [
  ['memory', async () => ({ disk: memoryDisk(), index: memoryIndex() })],
  [
    'a real folder',
    async () => {
      const folder = await temporaryFolder()
      const disk = nodeDisk(folder)
      onTestFinished(() => disk.close())
      return { disk, index: levelIndex(join(folder, 'repository/index')) }
    }
  ]
]

interface World extends Place {
  readonly clock: Clock & { pass(ms: number): void }
  readonly repository: MainRepository
  open(more?: Partial<RepositoryDeps>): Promise<MainRepository>
}

async function newWorld(makePlace: () => Promise<Place>): Promise<World> {
  const place = await makePlace()
  const clock = handClock()
  const open = async (more: Partial<RepositoryDeps> = {}): Promise<MainRepository> => {
    const repository = await openRepository(depsOf(place.disk, place.index, { clock, packBytes: 100_000, ...more }))
    onTestFinished(() => repository.close())
    return repository
  }
  return { ...place, clock, open, repository: await open() }
}

/** Publishes `count` heads, a minute apart, each with 20 kB that no other has. */
async function history(
  { repository, clock }: Pick<World, 'repository' | 'clock'>,
  count: number,
  id: WorkspaceId = A,
  from: SignedHead | null = null
): Promise<SignedHead[]> {
  const heads: SignedHead[] = []
  for (let turn = 1; turn <= count; turn++) {
    const previous = heads.at(-1) ?? from
    const seed = (previous?.value.sequence ?? 0) * 100 + Number.parseInt(id[0] ?? '0', 16)
    const { root, blocks } = await snapshot({ same: 'same in all', own: seeded(seed).bytes(20_000) })
    const head = await headAfter(previous, root, { workspace: id })
    clock.pass(MINUTE)
    await repository.publish(head, blocks, accept)
    heads.push(head)
  }
  return heads
}

const sequences = async (repository: MainRepository, id: WorkspaceId = A): Promise<number[]> =>
  (await repository.history(id, { limit: 999 })).map(({ value }) => value.sequence)

const gc = (repository: MainRepository, full = true): Promise<GcReport> => repository.gc({ policy: SHORT, full })

async function packSizes(disk: Disk): Promise<number> {
  const names = await disk.list('repository/packs')
  const sizes = await Promise.all(names.map((name) => disk.size(`repository/packs/${name}`)))
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
}

describe.each(places)('gc on %s', (_, makePlace) => {
  test('thins history, gives the room back, and keeps every retained head whole, also over a rebuild', async () => {
    const { repository, clock, disk } = await newWorld(makePlace)
    const heads = await history({ repository, clock }, 12)
    clock.pass(2 * HOUR)
    const before = await packSizes(disk)
    const report = await gc(repository)
    expect(report).toMatchObject({ headsDropped: 10 })
    expect(report.freedBytes).toBeGreaterThan(180_000)
    expect(before - (await packSizes(disk))).toBeGreaterThan(180_000)
    const stats = await repository.stats()
    for (const step of ['live', 'rebuilt']) {
      if (step === 'rebuilt') await repository.reindex()
      expect(await sequences(repository), step).toEqual([12, 11])
      for (const head of heads.slice(-2)) await readClosure(repository, A, head.value.root)
      for (const head of heads.slice(0, -2)) expect(await repository.head(head.cid), step).toBeNull()
      expect(await repository.stats(), step).toEqual(stats)
      expect((await repository.verify()).damaged, step).toEqual([])
    }
    await history({ repository, clock }, 2, A, heads.at(-1))
    expect(await sequences(repository)).toEqual([14, 13, 12, 11])
  })

  test('again there is nothing to give back', async () => {
    const { repository, clock } = await newWorld(makePlace)
    await history({ repository, clock }, 6)
    clock.pass(2 * HOUR)
    await gc(repository)
    clock.pass(2 * HOUR)
    const nothing = { headsDropped: 0, blocksDropped: 0, freedBytes: 0, packsRewritten: 0 }
    expect(await gc(repository)).toEqual(nothing)
    await repository.reindex()
    clock.pass(2 * HOUR)
    expect(await gc(repository)).toEqual(nothing)
  })

  test('what came within the last hour stays, and so does all that was there at a start less than an hour ago', async () => {
    const world = await newWorld(makePlace)
    await history(world, 6)
    world.clock.pass(0.9 * HOUR)
    expect(await gc(world.repository)).toMatchObject({ headsDropped: 0, packsRewritten: 0 })
    await world.repository.close()
    const again = await world.open()
    world.clock.pass(0.9 * HOUR)
    expect(await gc(again)).toMatchObject({ headsDropped: 0, packsRewritten: 0 })
    world.clock.pass(0.2 * HOUR)
    expect(await gc(again)).toMatchObject({ headsDropped: 4 })
    expect(await sequences(again)).toEqual([6, 5])
  })

  test('diverged heads and the base of the present epoch are kept', async () => {
    const { repository, clock } = await newWorld(makePlace)
    const first = await history({ repository, clock }, 5)
    await repository.seal(A, 1, sealOf(A, 1))
    const base = first.at(-1) ?? null
    const lost = await snapshot({ own: seeded(77).bytes(30_000) })
    const diverged = await headAfter(base, lost.root, { workspace: A })
    await repository.keepDiverged(diverged, lost.blocks)
    const next = await snapshot({ own: seeded(78).bytes(30_000) })
    const second = await headAfter(base, next.root, { workspace: A, epoch: 2 })
    await repository.publish(second, next.blocks, accept)
    const last = await history({ repository, clock }, 5, A, second)
    clock.pass(2 * HOUR)
    expect(await gc(repository)).toMatchObject({ headsDropped: 8 })
    for (const step of ['live', 'rebuilt']) {
      if (step === 'rebuilt') await repository.reindex()
      expect(await sequences(repository), step).toEqual([11, 10, 5])
      await readClosure(repository, A, base?.value.root ?? fail())
      expect(
        (await repository.diverged(A)).map(({ cid }) => String(cid)),
        step
      ).toEqual([String(diverged.cid)])
      await readClosure(repository, A, lost.root)
      expect((await repository.seal(A, 1, sealOf(A, 1))).base, step).toMatchObject({ sequence: 5, epoch: 1 })
      expect((await repository.tip(A))?.tip.cid.equals(last.at(-1)?.cid ?? null), step).toBe(true)
    }
  })

  test('a seal keeps its base in mind, also once that has left the history', async () => {
    const { repository, clock } = await newWorld(makePlace)
    const [first] = await history({ repository, clock }, 1)
    await repository.seal(A, 1, sealOf(A, 1))
    await repository.seal(A, 2, sealOf(A, 2))
    const next = await snapshot({ own: seeded(78).bytes(30_000) })
    const second = await headAfter(first ?? null, next.root, { workspace: A, epoch: 3 })
    await repository.publish(second, next.blocks, accept)
    await repository.seal(A, 3, sealOf(A, 3))
    const other = await snapshot({ own: seeded(79).bytes(30_000) })
    const third = await headAfter(second, other.root, { workspace: A, epoch: 4 })
    await repository.publish(third, other.blocks, accept)
    clock.pass(2 * HOUR)
    expect(await gc(repository)).toMatchObject({ headsDropped: 1 })
    for (const step of ['live', 'rebuilt']) {
      if (step === 'rebuilt') await repository.reindex()
      expect(await sequences(repository), step).toEqual([3, 2])
      expect((await repository.seal(A, 1, sealOf(A, 1))).base, step).toMatchObject({ sequence: 1, epoch: 1 })
      expect((await repository.seal(A, 2, sealOf(A, 2))).base, step).toMatchObject({ sequence: 1, epoch: 1 })
      expect((await repository.seal(A, 3, sealOf(A, 3))).base, step).toMatchObject({ sequence: 2, epoch: 3 })
    }
  })

  test('blocks that no head ever named go after an hour, whether their workspace has heads or not', async () => {
    const { repository, clock } = await newWorld(makePlace)
    const { blocks } = await snapshot({ own: seeded(5).bytes(90_000) })
    const other = await snapshot({ own: seeded(6).bytes(90_000) })
    await history({ repository, clock }, 1)
    await repository.keep(A, blocks)
    await repository.keep(B, other.blocks)
    clock.pass(0.9 * HOUR)
    await gc(repository)
    expect(await repository.missing(B, cidsOf(other.blocks))).toEqual([])
    clock.pass(2.2 * HOUR)
    expect((await gc(repository)).freedBytes).toBeGreaterThan(180_000)
    expect(await repository.missing(A, cidsOf(blocks))).toEqual(cidsOf(blocks))
    expect(await repository.missing(B, cidsOf(other.blocks))).toEqual(cidsOf(other.blocks))
  })

  test('what was called held before a gc can be published after it', async () => {
    const { repository, clock } = await newWorld(makePlace)
    const heads = await history({ repository, clock }, 6)
    const old = heads[0]
    if (old === undefined) throw new Error('no head')
    clock.pass(2 * HOUR)
    const { blocks } = await snapshot({ same: 'same in all', own: seeded(0 * 100 + 10).bytes(20_000) })
    expect(await repository.missing(A, cidsOf(blocks))).toEqual([])
    await gc(repository)
    clock.pass(0.9 * HOUR)
    await gc(repository)
    const again = await headAfter(heads.at(-1) ?? null, old.value.root, { workspace: A })
    await repository.publish(again, [], accept)
    await readClosure(repository, A, old.value.root)
  })

  test('a node whose leaves were given back is not taken for whole', async () => {
    const { repository, clock } = await newWorld(makePlace)
    const heads = await history({ repository, clock }, 6)
    const old = heads[0]
    if (old === undefined) throw new Error('no head')
    clock.pass(2 * HOUR)
    // The root alone is asked for, and so only that must stay.
    await repository.missing(A, [old.value.root])
    await gc(repository)
    const again = await headAfter(heads.at(-1) ?? null, old.value.root, { workspace: A })
    expect(await repository.publish(again, [], accept).then(() => 'none', codeOf)).toBe('INCOMPLETE')
    const { blocks } = await snapshot({ same: 'same in all', own: seeded(0 * 100 + 10).bytes(20_000) })
    await repository.publish(again, blocks, accept)
    await readClosure(repository, A, old.value.root)
  })

  test('a head that is read out stays as long as that takes', async () => {
    const { repository, clock } = await newWorld(makePlace)
    const [old] = await history({ repository, clock }, 6)
    if (old === undefined) throw new Error('no head')
    clock.pass(2 * HOUR)
    const reading = repository.closure(old)
    const read: Block[] = []
    for await (const block of reading) {
      read.push(block)
      if (read.length === 1) await gc(repository)
    }
    const { blocks } = await snapshot({ same: 'same in all', own: seeded(10).bytes(20_000) })
    expect(read.map(({ cid }) => String(cid)).sort()).toEqual(blocks.map(({ cid }) => String(cid)).sort())
    expect(read[0]?.cid.equals(old.value.root)).toBe(true)
    await gc(repository)
    expect(await repository.head(old.cid)).toBeNull()
  })

  test('only packs with much to give back are rewritten unless all are asked for', async () => {
    const { repository, clock } = await newWorld(makePlace)
    const { root, blocks } = await snapshot({ own: seeded(50).bytes(85_000) })
    const spare = await snapshot({ own: seeded(51).bytes(4_000) })
    await repository.keep(A, spare.blocks)
    await repository.publish(await headAfter(null, root, { workspace: A }), blocks, accept)
    await history({ repository, clock }, 1, B)
    clock.pass(3 * HOUR)
    expect(await gc(repository, false)).toMatchObject({ packsRewritten: 0 })
    const report = await gc(repository, true)
    expect(report.packsRewritten).toBe(1)
    expect(report.freedBytes).toBeGreaterThan(4_000)
    await readClosure(repository, A, root)
  })
})

const cidsOf = (blocks: readonly Block[]): CID[] => blocks.map(({ cid }) => cid)

test('one gc at a time; one that is called off ends, and loses nothing', async () => {
  const { repository, clock } = await newWorld(async () => ({ disk: memoryDisk(), index: memoryIndex() }))
  const heads = await history({ repository, clock }, 6)
  clock.pass(2 * HOUR)
  const stop = new AbortController()
  const first = repository.gc({ policy: SHORT, signal: stop.signal })
  expect(await gc(repository).then(() => 'none', codeOf)).toBe('BUSY')
  stop.abort()
  expect(await first.then(() => 'none', codeOf)).toBe('ABORTED')
  expect((await gc(repository)).packsRewritten).toBeGreaterThan(0)
  await readClosure(repository, A, heads.at(-1)?.value.root ?? fail())
})

test('a long history is thinned page by page, as if it were looked at as a whole', async () => {
  const inner = memoryIndex()
  let pageMax = 0
  const index: IndexPlace = {
    destroy: () => inner.destroy(),
    async open() {
      const level = await inner.open()
      return {
        ...level,
        async *entries(range) {
          let count = 0
          for await (const entry of level.entries(range)) {
            count++
            if (range.prefix === historyRows(A)) pageMax = Math.max(pageMax, count)
            yield entry
          }
        }
      }
    }
  }
  const { repository, clock } = await newWorld(async () => ({ disk: memoryDisk(), index }))
  const { root, blocks } = await snapshot({ same: 'same in all' })
  let last: SignedHead | null = null
  for (let turn = 0; turn < 2100; turn++) {
    last = await headAfter(last, root, { workspace: A })
    clock.pass(MINUTE)
    await repository.publish(last, blocks, accept)
  }
  clock.pass(2 * HOUR)
  const report = await repository.gc({ policy: { ...SHORT, minutes: 1500 } })
  expect(report.headsDropped).toBe(600)
  expect(pageMax).toBeLessThanOrEqual(1000)
  const left = await repository.history(A, { limit: 3000 })
  expect(left.map(({ value }) => value.sequence)).toEqual(Array.from({ length: 1500 }, (_, at) => 2100 - at))
  const page = await repository.history(A, { limit: 2, before: 1000 })
  expect(page.map(({ value }) => value.sequence)).toEqual([999, 998])
})

test('a repository that is closed while it is cleared up leaves no half pack behind', async () => {
  const { repository, clock, disk, open } = await newWorld(async () => ({ disk: memoryDisk(), index: memoryIndex() }))
  const heads = await history({ repository, clock }, 30)
  clock.pass(2 * HOUR)
  const running = gc(repository).then(() => 'none', codeOf)
  await repository.close()
  expect(await running).toBe('CLOSED')
  expect((await disk.list('repository/packs')).filter((name) => !name.endsWith('.car'))).toEqual([])
  await readClosure(await open(), A, heads.at(-1)?.value.root ?? fail())
})

test('a gc that finds no room says so, loses nothing, and goes on once there is some', async () => {
  const disk = memoryDisk({ capacityBytes: 6_000_000 })
  const { repository, clock } = await newWorld(async () => ({ disk, index: memoryIndex() }))
  const heads = await history({ repository, clock }, 40)
  await disk.makeFolder('ballast')
  await disk.append('ballast/file', [new Uint8Array(2_000_000)])
  clock.pass(2 * HOUR)
  expect(await gc(repository).then(() => 'none', codeOf)).toBe('NO_SPACE')
  for (const head of heads.slice(-2)) await readClosure(repository, A, head.value.root)
  await disk.remove('ballast/file')
  expect((await gc(repository)).freedBytes).toBeGreaterThan(700_000)
  for (const head of heads.slice(-2)) await readClosure(repository, A, head.value.root)
})

test('a pack that was written anew is still a CAR with its old number and order', async () => {
  const { repository, clock, disk } = await newWorld(async () => ({ disk: memoryDisk(), index: memoryIndex() }))
  await history({ repository, clock }, 12)
  clock.pass(2 * HOUR)
  await gc(repository)
  const { CarReader } = await import('@ipld/car')
  const names = await disk.list('repository/packs')
  let leaves = 0
  for (const [index, name] of names.entries()) {
    expect(`repository/packs/${name}`).toBe(packPath(index + 1))
    const bytes = await disk.read(packPath(index + 1), 0, 10_000_000)
    for await (const { cid } of (await CarReader.fromBytes(bytes)).blocks()) if (cid.code === RAW_CODEC) leaves++
  }
  expect(leaves).toBeGreaterThan(2)
})

function fail(): never {
  throw new Error('there is no head')
}
