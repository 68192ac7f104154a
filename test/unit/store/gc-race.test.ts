import { setImmediate } from 'node:timers/promises'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { expect, test } from 'vitest'
import { type Block, blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import type { Random } from '../../../src/core/random.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import type { Disk } from '../../../src/store/disk.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { memoryIndex } from '../../../src/store/memory-index.ts'
import type { IndexPlace } from '../../../src/store/open-repository.ts'
import { packPath } from '../../../src/store/pack-files.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import { accept, depsOf, handClock, headAfter, readClosure, seeded, snapshot, workspace } from './support.ts'

const HOUR = 3_600_000
const WORKSPACES = [workspace('a'), workspace('b')]
const TURNS = 20
const CONTENTS = 12
const POLICY = { minutes: 1, hours: 0, days: 0, weeks: 0, months: 0 }

/** Files come and go, so that what was given back is wanted again; nodes are shared between snapshots. */
const SNAPSHOTS = await Promise.all(
  Array.from({ length: CONTENTS }, (_, index) =>
    snapshot({ one: seeded(index).bytes(900), two: seeded((index * 3) % CONTENTS).bytes(900), three: 'same' })
  )
)

/** Others may come before and after every call: as chance says. */
function slow(random: Random, disk: Disk, index: IndexPlace): { disk: Disk; index: IndexPlace } {
  const pause = async (): Promise<void> => {
    for (let turns = Math.floor(random.fraction() * 4); turns > 0; turns--) await setImmediate()
  }
  const paused = async <T>(work: () => Promise<T>): Promise<T> => {
    await pause()
    const result = await work()
    await pause()
    return result
  }
  return {
    disk: {
      ...disk,
      append: (path, parts) => paused(() => disk.append(path, parts)),
      sync: (path) => paused(() => disk.sync(path)),
      rename: (from, to) => paused(() => disk.rename(from, to)),
      read: (path, offset, length) => paused(() => disk.read(path, offset, length))
    },
    index: {
      ...index,
      open: async () => {
        const level = await index.open()
        return {
          ...level,
          get: (key) => paused(() => level.get(key)),
          getMany: (keys) => paused(() => level.getMany(keys)),
          write: (changes, options) => paused(() => level.write(changes, options))
        }
      }
    }
  }
}

interface Race {
  readonly repository: MainRepository
  readonly random: Random
  readonly clock: ReturnType<typeof handClock>
  /** The newest head that was acknowledged. */
  readonly acknowledged: Map<WorkspaceId, SignedHead>
  left: number
}

/** Asks what is missing, sends a part before the head and the rest with it, and expects what was called held to be held. */
async function write(race: Race, id: WorkspaceId): Promise<void> {
  const { repository, random, clock, acknowledged } = race
  for (let turn = 0; turn < TURNS; turn++) {
    const chosen = SNAPSHOTS[Math.floor(random.fraction() * CONTENTS)]
    if (chosen === undefined) throw new Error('no snapshot')
    const previous = acknowledged.get(id) ?? null
    const head = await headAfter(previous, chosen.root, { workspace: id, createdAtMs: turn })
    const asked = clock.now()
    // Half of the time everything is sent without asking: what is kept so must stay as well.
    const cids = chosen.blocks.map(({ cid }) => cid)
    const missing = new Set((random.fraction() < 0.5 ? await repository.missing(id, cids) : cids).map(String))
    const wanted = chosen.blocks.filter(({ cid }) => missing.has(String(cid)))
    const some = wanted.filter(() => random.fraction() < 0.5)
    await repository.keep(id, some)
    for (let turns = Math.floor(random.fraction() * 30); turns > 0; turns--) await setImmediate()
    const rest = wanted.filter((block) => !some.includes(block))
    await publish(race, head, rest, asked, chosen.blocks)
    acknowledged.set(id, head)
  }
  race.left--
}

async function publish(
  { repository, clock }: Race,
  head: SignedHead,
  rest: readonly Block[],
  asked: number,
  all: readonly Block[]
): Promise<void> {
  try {
    await repository.publish(head, rest, accept)
  } catch (error) {
    if (codeOf(error) !== 'INCOMPLETE' || clock.now() - asked < HOUR) throw error
    await repository.publish(head, all, accept)
  }
}

async function clearUp({ repository, clock, random }: Race, isOver: () => boolean): Promise<number> {
  let rewritten = 0
  while (!isOver()) {
    clock.pass((random.fraction() < 0.5 ? 0.15 : 1.2) * HOUR)
    rewritten += (await repository.gc({ policy: POLICY, full: random.fraction() < 0.7 })).packsRewritten
    await setImmediate()
  }
  return rewritten
}

async function race(seed: number): Promise<number> {
  const random = seeded(seed)
  const clock = handClock()
  const place = slow(random, memoryDisk(), memoryIndex())
  const repository = await openRepository(depsOf(place.disk, place.index, { clock, packBytes: 5000 }))
  const state: Race = { repository, random, clock, acknowledged: new Map(), left: WORKSPACES.length }
  const writing = Promise.all(WORKSPACES.map((id) => write(state, id)))
  const [rewritten] = await Promise.all([clearUp(state, () => state.left === 0), writing])
  for (const step of ['live', 'rebuilt']) {
    if (step === 'rebuilt') await repository.reindex()
    for (const id of WORKSPACES) {
      expect(String((await repository.tip(id))?.tip.cid), step).toBe(String(state.acknowledged.get(id)?.cid))
      for (const head of await repository.history(id, { limit: 999 }))
        await readClosure(repository, id, head.value.root)
    }
    expect(await repository.verify(), step).toMatchObject({ damaged: [], repaired: 0 })
    expect(await repository.damaged(), step).toEqual([])
  }
  await repository.close()
  return rewritten
}

/** Lets `during` run once, while a pack is being written anew. */
function whileRewriting(disk: Disk, during: () => Promise<void>): Disk {
  let begun = false
  const sync = async (path: string): Promise<void> => {
    await disk.sync(path)
    if (begun || !path.endsWith('.new')) return
    begun = true
    await during()
  }
  return { ...disk, sync }
}

test('a head that comes while a pack is written anew is whole, however much was asked for meanwhile', async () => {
  const clock = handClock()
  const [A] = WORKSPACES as [WorkspaceId]
  const spare = await snapshot({ spare: seeded(7).bytes(30_000) })
  const disk = whileRewriting(memoryDisk(), async () => {
    for (let from = 0; from < 100_000; from += 5000) await repository.missing(A, inventedNames(from, 5000))
    await repository.publish(await headAfter(one, spare.root, { workspace: A }), spare.blocks, accept)
  })
  const repository = await openRepository(depsOf(disk, memoryIndex(), { clock, packBytes: 50_000 }))
  await repository.keep(A, spare.blocks)
  const first = await snapshot({ one: seeded(1).bytes(40_000) })
  const one = await headAfter(null, first.root, { workspace: A })
  await repository.publish(one, first.blocks, accept)
  clock.pass(3 * HOUR)
  await repository.gc({ policy: { ...POLICY, minutes: 9 }, full: true })
  expect((await repository.tip(A))?.tip.sequence).toBe(2)
  await readClosure(repository, A, spare.root)
  await repository.close()
})

function inventedNames(from: number, count: number): CID[] {
  return Array.from({ length: count }, (_, at) => {
    const digest = new Uint8Array(32)
    new DataView(digest.buffer).setUint32(0, from + at + 1)
    new DataView(digest.buffer).setUint32(4, from + at + 1)
    return CID.createV1(RAW_CODEC, createDigest(0x12, digest))
  })
}

test('a flood of names for one workspace does not keep what another one has no more use for', async () => {
  const clock = handClock()
  const [A, B] = WORKSPACES as [WorkspaceId, WorkspaceId]
  const repository = await openRepository(depsOf(memoryDisk(), memoryIndex(), { clock, packBytes: 50_000 }))
  for (const id of [A, B]) await repository.keep(id, (await snapshot({ spare: seeded(8).bytes(40_000), id })).blocks)
  clock.pass(3 * HOUR)
  for (let from = 0; from < 100_000; from += 5000) await repository.missing(B, inventedNames(from, 5000))
  const report = await repository.gc({ policy: POLICY, full: true })
  expect(report.blocksDropped).toBeGreaterThan(0)
  const { root, blocks } = await snapshot({ spare: seeded(8).bytes(40_000), id: B })
  expect(await repository.missing(B, [root])).toEqual([])
  expect(
    (
      await repository.missing(
        A,
        blocks.map(({ cid }) => cid)
      )
    ).length
  ).toBe(blocks.length)
  await repository.close()
})

/** Lets `during` run once, while the gc looks for what is needed. */
function whileSurveying(index: IndexPlace, during: () => Promise<void>): IndexPlace {
  let begun = false
  return {
    ...index,
    open: async () => {
      const level = await index.open()
      return {
        ...level,
        async *entries(range) {
          if (range.prefix === 'b' && range.limit === 1000 && !begun) {
            begun = true
            await during()
          }
          yield* level.entries(range)
        }
      }
    }
  }
}

test('a block that is kept and found damaged while a gc looks for what is needed stays known as damaged', async () => {
  const clock = handClock()
  const disk = memoryDisk()
  const [A] = WORKSPACES as [WorkspaceId]
  const late = blockOf(RAW_CODEC, seeded(5).bytes(500))
  let found: readonly string[] = []
  const index = whileSurveying(memoryIndex(), async () => {
    await repository.keep(A, [late])
    await repository.flush()
    disk.flip(packPath(1), Buffer.from(await disk.read(packPath(1), 0, 1_000_000)).indexOf(late.bytes))
    expect(await repository.read(A, late.cid)).toBeNull()
    found = (await repository.damaged()).map(({ cid }) => String(cid))
  })
  const repository = await openRepository(depsOf(disk, index, { clock }))
  const { root, blocks } = await snapshot({ one: 'one' })
  await repository.publish(await headAfter(null, root, { workspace: A }), blocks, accept)
  clock.pass(3 * HOUR)
  await repository.gc({ policy: POLICY })
  expect(found).toEqual([String(late.cid)])
  expect((await repository.damaged()).map(({ cid }) => String(cid))).toEqual(found)
  await repository.close()
})

test('whatever comes between the steps of a gc: what was called held, or acknowledged, is there and whole', {
  timeout: 60_000
}, async () => {
  let rewritten = 0
  for (let seed = 1; seed <= 24; seed++) {
    rewritten += await race(seed).catch((error: unknown) => {
      throw new NodeDaemonError('UNEXPECTED', `seed ${seed}`, { cause: error })
    })
  }
  expect(rewritten).toBeGreaterThan(60)
})
