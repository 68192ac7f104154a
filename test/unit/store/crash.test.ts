import { describe, expect, test } from 'vitest'
import type { Block } from '../../../src/core/blocks.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import type { Random } from '../../../src/core/random.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { type MemoryDisk, memoryDisk } from '../../../src/store/memory-disk.ts'
import { type MemoryIndex, memoryIndex } from '../../../src/store/memory-index.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import { type Fault, Faults } from './faulty.ts'
import { accept, depsOf, handClock, headAfter, readClosure, sealOf, seeded, snapshot, workspace } from './support.ts'

const A = workspace('a')
const HOUR = 3_600_000
/** All heads here are of one minute, of which the newest stays. */
const POLICY = { minutes: 1, hours: 0, days: 0, weeks: 0, months: 0 }

interface Step {
  readonly head: SignedHead
  readonly blocks: readonly Block[]
}

async function step(previous: Step | null, content: string, epoch: number): Promise<Step> {
  const { root, blocks } = await snapshot({
    same: seeded(1).bytes(3000),
    own: seeded(content.charCodeAt(0)).bytes(5000)
  })
  return { head: await headAfter(previous?.head ?? null, root, { workspace: A, epoch }), blocks }
}

/** A workspace's life: three heads, a seal, a head that is too late, two heads of the next epoch; with two gcs. */
const ONE = await step(null, '1', 1)
const TWO = await step(ONE, '2', 1)
const THREE = await step(TWO, '3', 1)
const LATE = await step(THREE, 'late', 1)
const FOUR = await step(THREE, '4', 2)
const FIVE = await step(FOUR, '5', 2)
const FIRST = [ONE, TWO, THREE]
const SECOND = [FOUR, FIVE]
const ALL = [...FIRST, ...SECOND].map(({ head }) => String(head.cid))

/** What the repository has said to be safe. */
interface Promised {
  tip: SignedHead | null
  sealed: boolean
  diverged: boolean
  packsRewritten: number
}

interface World {
  readonly disk: MemoryDisk
  readonly index: MemoryIndex
  readonly faults: Faults
  readonly clock: ReturnType<typeof handClock>
}

const newWorld = (): World => ({ disk: memoryDisk(), index: memoryIndex(), faults: new Faults(), clock: handClock() })
const nothingPromised = (): Promised => ({ tip: null, sealed: false, diverged: false, packsRewritten: 0 })

const open = ({ disk, index, faults, clock }: World): Promise<MainRepository> =>
  openRepository(depsOf(faults.disk(disk), faults.index(index), { packBytes: 12_000, checkpointBytes: 8_000, clock }))

async function live(repository: MainRepository, clock: World['clock'], promised: Promised): Promise<void> {
  const publish = async ({ head, blocks }: Step): Promise<void> => {
    await repository.keep(A, blocks.slice(0, 1))
    await repository.publish(head, blocks, accept)
    promised.tip = head
  }
  const clearUp = async (): Promise<void> => {
    clock.pass(2 * HOUR)
    promised.packsRewritten += (await repository.gc({ policy: POLICY, full: true })).packsRewritten
  }
  for (const each of FIRST) await publish(each)
  await repository.seal(A, 1, sealOf(A, 1))
  promised.sealed = true
  await repository.keepDiverged(LATE.head, LATE.blocks)
  promised.diverged = true
  await clearUp()
  for (const each of SECOND) await publish(each)
  await clearUp()
}

const failingSeal = (): Promise<never> => Promise.reject(new NodeDaemonError('UNEXPECTED', 'the seal is gone'))

/** What the repository says of the workspace, once all that it says is checked. */
async function account(repository: MainRepository, promised: Promised): Promise<unknown> {
  const place = (head: SignedHead | null | undefined): number => ALL.indexOf(String(head?.cid))
  const tip = await repository.tip(A)
  expect(place(tip?.head)).toBeGreaterThanOrEqual(place(promised.tip))
  const diverged = (await repository.diverged(A)).map(({ cid }) => String(cid))
  if (promised.diverged) expect(diverged).toEqual([String(LATE.head.cid)])
  const history = await repository.history(A, { limit: 99 })
  expect(String(history[0]?.cid)).toBe(String(tip?.head.cid))
  for (const head of history) await readClosure(repository, A, head.value.root)
  if (diverged.length > 0) await readClosure(repository, A, LATE.head.value.root)
  let base: string | undefined
  if (promised.sealed) {
    base = String((await repository.seal(A, 1, failingSeal)).base?.cid)
    expect(base).toBe(String(THREE.head.cid))
    const late = await repository.publish(LATE.head, LATE.blocks, accept).then(() => 'none', codeOf)
    expect(late).toMatch(/SEALED/)
  }
  await repository.flush()
  return { tip: String(tip?.tip.cid), diverged, history: history.map(({ value }) => value.sequence), base }
}

/** Whatever happened, the story can be told to its end. */
async function goOn(repository: MainRepository, clock: World['clock']): Promise<void> {
  for (const { head, blocks } of FIRST) await publishUnlessPast(repository, head, blocks)
  await repository.seal(A, 1, sealOf(A, 1))
  for (const { head, blocks } of SECOND) await publishUnlessPast(repository, head, blocks)
  clock.pass(2 * HOUR)
  await repository.gc({ policy: POLICY, full: true })
  expect((await repository.tip(A))?.tip.sequence).toBe(5)
  const kept = (await repository.history(A, { limit: 9 })).map(({ value }) => value.sequence)
  expect(kept).toEqual([5, 3])
  await readClosure(repository, A, FIVE.head.value.root)
  expect((await repository.verify()).damaged).toEqual([])
}

async function publishUnlessPast(repository: MainRepository, head: SignedHead, blocks: readonly Block[]) {
  await repository.publish(head, blocks, accept).catch((error: unknown) => {
    if (codeOf(error) !== 'SEALED' && codeOf(error) !== 'CONFLICT') throw error
  })
}

/** Runs the story until it ends or the world does. */
async function run(world: World): Promise<Promised> {
  const promised = nothingPromised()
  try {
    const repository = await open(world)
    await live(repository, world.clock, promised)
    await repository.close()
  } catch (error) {
    expect(codeOf(error)).toMatch(/UNEXPECTED|BUSY/)
  }
  return promised
}

const WHOLE = newWorld()
const CALLS = await (async () => {
  const promised = await run(WHOLE)
  expect(promised.packsRewritten).toBeGreaterThan(2)
  return WHOLE.faults.calls
})()

/** Of what was not synced: all survives, nothing does, or what chance says. */
const SURVIVALS: readonly [string, (call: number) => Random][] = [
  ['kept', () => ({ ...seeded(1), fraction: () => 1 - 2 ** -30 })],
  ['dropped', () => ({ ...seeded(1), fraction: () => 0 })],
  ['kept in part', (call) => seeded(call)]
]

/** A crash before a call is the same as one after the call before it. */
describe.each(['after', 'torn'] as const)('power is lost at any call (%s)', (fault) => {
  test.each(SURVIVALS)(
    'what was acknowledged is there and whole, with what was not synced %s',
    async (name, chance) => {
      for (let call = 0; call <= CALLS; call++) {
        if (fault === 'torn' && !WHOLE.faults.appends.has(call)) continue
        const world = newWorld()
        Object.assign(world.faults, { at: Math.max(call, 1), fault: call === 0 ? 'before' : fault })
        const promised = await run(world)
        const random = chance(call)
        world.disk.crash(random)
        await world.index.crash(random)
        world.faults.at = Number.POSITIVE_INFINITY
        await inContext(`call ${call} of ${CALLS}, ${fault}, ${name}`, async () => {
          const repository = await open(world)
          const before = await account(repository, promised)
          const stats = await repository.stats()
          await repository.reindex()
          expect(await account(repository, promised)).toEqual(before)
          expect(await repository.stats()).toEqual(stats)
          await goOn(repository, world.clock)
          await repository.close()
        })
      }
    }
  )
})

interface Failing {
  readonly fault: Fault
  readonly code: 'UNEXPECTED' | 'NO_SPACE'
  readonly times: number
}

const FAILINGS: readonly Failing[] = [
  { fault: 'before', code: 'UNEXPECTED', times: 1 },
  { fault: 'after', code: 'UNEXPECTED', times: 1 },
  { fault: 'torn', code: 'UNEXPECTED', times: 1 },
  { fault: 'torn', code: 'NO_SPACE', times: 1 },
  { fault: 'before', code: 'NO_SPACE', times: Number.POSITIVE_INFINITY }
]

describe.each(FAILINGS)('any call fails and the process goes on ($fault, $code, $times times)', (failing) => {
  test('nothing that was acknowledged is lost, and the work can be ended', async () => {
    for (let call = 1; call <= CALLS; call++) {
      if (failing.fault === 'torn' && !WHOLE.faults.appends.has(call)) continue
      const world = newWorld()
      Object.assign(world.faults, { at: call, ...failing })
      await inContext(`call ${call} of ${CALLS}`, async () => {
        const promised = nothingPromised()
        let repository = await open(world).catch(() => null)
        if (repository !== null) await live(repository, world.clock, promised).catch(expectClear)
        world.faults.at = Number.POSITIVE_INFINITY
        repository ??= await open(world)
        await account(repository, promised)
        await goOn(repository, world.clock)
        const random = seeded(call)
        world.disk.crash(random)
        await world.index.crash(random)
        const again = await open(world)
        expect((await again.tip(A))?.tip.sequence).toBe(5)
        await again.reindex()
        expect((await again.tip(A))?.tip.sequence).toBe(5)
        await again.close()
      })
    }
  })

  function expectClear(error: unknown): void {
    expect(['BUSY', failing.code]).toContain(codeOf(error))
  }
})

async function inContext(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw new Error(what, { cause: error })
  }
}
