import type { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { childrenOf } from '../../../src/content/nodes.ts'
import type { Block } from '../../../src/core/blocks.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { type MemoryDisk, memoryDisk } from '../../../src/store/memory-disk.ts'
import { type MemoryIndex, memoryIndex } from '../../../src/store/memory-index.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import { type Fault, Faults } from './faulty.ts'
import { accept, depsOf, headAfter, sealOf, seeded, snapshot, workspace } from './support.ts'

const A = workspace('a')
const B = workspace('b')

interface Step {
  readonly head: SignedHead
  readonly blocks: readonly Block[]
}

/** A workspace's life: three heads, a seal, a head that is too late, two heads of the next epoch. */
interface Story {
  readonly id: WorkspaceId
  readonly first: readonly Step[]
  readonly late: Step
  readonly second: readonly Step[]
}

async function storyOf(id: WorkspaceId): Promise<Story> {
  const step = async (previous: Step | null, content: string, epoch: number): Promise<Step> => {
    const { root, blocks } = await snapshot({ same: seeded(1).bytes(9000), own: `${id} ${content}` })
    return { head: await headAfter(previous?.head ?? null, root, { workspace: id, epoch }), blocks }
  }
  const one = await step(null, '1', 1)
  const two = await step(one, '2', 1)
  const three = await step(two, '3', 1)
  const late = await step(three, 'late', 1)
  const four = await step(three, '4', 2)
  const five = await step(four, '5', 2)
  return { id, first: [one, two, three], late, second: [four, five] }
}

const STORIES = [await storyOf(A), await storyOf(B)]

/** What the repository has said to be safe. */
interface Promised {
  readonly tips: Map<WorkspaceId, SignedHead>
  readonly sealed: Set<WorkspaceId>
  readonly diverged: Set<WorkspaceId>
}

const nothingPromised = (): Promised => ({ tips: new Map(), sealed: new Set(), diverged: new Set() })

async function live(repository: MainRepository, story: Story, promised: Promised): Promise<void> {
  const publish = async ({ head, blocks }: Step): Promise<void> => {
    await repository.keep(story.id, blocks.slice(0, 1))
    await repository.publish(head, blocks, accept)
    promised.tips.set(story.id, head)
  }
  for (const step of story.first) await publish(step)
  await repository.seal(story.id, 1, sealOf(story.id, 1))
  promised.sealed.add(story.id)
  await repository.keepDiverged(story.late.head, story.late.blocks)
  promised.diverged.add(story.id)
  for (const step of story.second) await publish(step)
}

async function readClosure(repository: MainRepository, id: WorkspaceId, cid: CID): Promise<void> {
  const bytes = await repository.read(id, cid)
  if (bytes === null) throw new Error(`${cid} is missing below a visible head`)
  for (const child of childrenOf({ cid, bytes })) await readClosure(repository, id, child)
}

async function expectKept(
  repository: MainRepository,
  { id, first, late, second }: Story,
  promised: Promised
): Promise<void> {
  const all = [...first, ...second].map(({ head }) => head)
  const tip = await repository.tip(id)
  const place = (head: SignedHead | undefined): number => all.findIndex(({ cid }) => head?.cid.equals(cid))
  expect(place(tip?.head)).toBeGreaterThanOrEqual(place(promised.tips.get(id)))
  const diverged = await repository.diverged(id)
  if (promised.diverged.has(id)) expect(diverged.map(({ cid }) => String(cid))).toEqual([String(late.head.cid)])
  for (const head of [...(await repository.history(id, { limit: 99 })), ...diverged]) {
    await readClosure(repository, id, head.value.root)
  }
  if (!promised.sealed.has(id)) return
  expect((await repository.seal(id, 1, failingSeal)).base?.cid.toString()).toBe(String(first.at(-1)?.head.cid))
  expect(await repository.publish(late.head, late.blocks, accept).then(() => 'none', codeOf)).toMatch(/SEALED/)
}

const failingSeal = (): Promise<never> => Promise.reject(new NodeDaemonError('UNEXPECTED', 'the seal is gone'))

/** Whatever happened, the story can be told to its end. */
async function goOn(repository: MainRepository, { id, first, second }: Story): Promise<void> {
  for (const { head, blocks } of first) await publishOrSealed(repository, head, blocks)
  await repository.seal(id, 1, sealOf(id, 1))
  for (const { head, blocks } of second) await repository.publish(head, blocks, accept)
  expect((await repository.tip(id))?.tip.sequence).toBe(5)
}

async function publishOrSealed(repository: MainRepository, head: SignedHead, blocks: readonly Block[]): Promise<void> {
  await repository.publish(head, blocks, accept).catch((error: unknown) => {
    if (codeOf(error) !== 'SEALED') throw error
  })
}

interface World {
  readonly disk: MemoryDisk
  readonly index: MemoryIndex
  readonly faults: Faults
}

const newWorld = (): World => ({ disk: memoryDisk(), index: memoryIndex(), faults: new Faults() })

const open = ({ disk, index, faults }: World): Promise<MainRepository> =>
  openRepository(depsOf(faults.disk(disk), faults.index(index), { packBytes: 30_000, checkpointBytes: 8_000 }))

/** Runs both stories until they end or the world does. */
async function run(world: World): Promise<Promised> {
  const promised = nothingPromised()
  try {
    const repository = await open(world)
    const ends = await Promise.allSettled(STORIES.map((story) => live(repository, story, promised)))
    if (ends.every(({ status }) => status === 'fulfilled')) await repository.close()
  } catch (error) {
    expect(codeOf(error)).toBe('UNEXPECTED')
  }
  return promised
}

async function callsOfAWholeRun(): Promise<number> {
  const world = newWorld()
  const promised = await run(world)
  expect(promised.tips.size).toBe(2)
  return world.faults.calls
}

const CALLS = await callsOfAWholeRun()
const FAULTS: readonly Fault[] = ['before', 'after', 'torn']

describe.each(FAULTS)('power is lost at any call (%s)', (fault) => {
  test('what was acknowledged is there, whole, after the next start, and after a rebuild', {
    timeout: 120_000
  }, async () => {
    for (let call = 1; call <= CALLS; call++) {
      for (const seed of [1, 2]) {
        const world = newWorld()
        Object.assign(world.faults, { at: call, fault })
        const promised = await run(world)
        const random = seeded(call * 10 + seed)
        world.disk.crash(random)
        await world.index.crash(random)
        world.faults.at = Number.POSITIVE_INFINITY

        await inContext(`call ${call} of ${CALLS}, ${fault}, seed ${seed}`, async () => {
          const repository = await open(world)
          for (const story of STORIES) await expectKept(repository, story, promised)
          await repository.reindex()
          for (const story of STORIES) await expectKept(repository, story, promised)
          for (const story of STORIES) await goOn(repository, story)
          await repository.close()
        })
      }
    }
  })
})

describe.each(FAULTS)('one call fails, and the process goes on (%s)', (fault) => {
  test('nothing that was acknowledged is lost, and the work can be ended', { timeout: 120_000 }, async () => {
    for (let call = 1; call <= CALLS; call++) {
      const world = newWorld()
      Object.assign(world.faults, { at: call, times: 1, fault })
      await inContext(`call ${call} of ${CALLS}, ${fault}`, async () => {
        const repository = await open(world).catch(() => open(world))
        const promised = nothingPromised()
        for (const story of STORIES) await live(repository, story, promised).catch(() => undefined)
        for (const story of STORIES) await expectKept(repository, story, promised)
        world.faults.at = Number.POSITIVE_INFINITY
        for (const story of STORIES) await goOn(repository, story)
        const random = seeded(call)
        world.disk.crash(random)
        await world.index.crash(random)
        const again = await open(world)
        for (const story of STORIES) expect((await again.tip(story.id))?.tip.sequence).toBe(5)
        await again.reindex()
        for (const story of STORIES) expect((await again.tip(story.id))?.tip.sequence).toBe(5)
        await again.close()
      })
    }
  })
})

async function inContext(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw new Error(what, { cause: error })
  }
}
