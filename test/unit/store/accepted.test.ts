import { expect, onTestFinished, test } from 'vitest'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { memoryIndex } from '../../../src/store/memory-index.ts'
import { verdictNote } from '../../../src/store/notes.ts'
import { PACKS_FOLDER } from '../../../src/store/pack-files.ts'
import { openPacks } from '../../../src/store/packs.ts'
import { type MainRepository, RETENTION, type RetentionPolicy } from '../../../src/store/repository.ts'
import { accept, depsOf, handClock, headAfter, seeded, snapshot, workspace } from './support.ts'

const A = workspace('a')
const HOUR = 3_600_000
const DAY = 24 * HOUR
const DAYS: RetentionPolicy = { minutes: 0, hours: 0, days: 30, weeks: 0, months: 0 }

interface World {
  readonly clock: ReturnType<typeof handClock>
  readonly repository: MainRepository
  publish(createdAtMs: number): Promise<SignedHead>
}

async function newWorld(): Promise<World> {
  const clock = handClock()
  const repository = await openRepository(depsOf(memoryDisk(), memoryIndex(), { clock, packBytes: 20_000 }))
  onTestFinished(() => repository.close())
  let last: SignedHead | null = null
  const publish = async (createdAtMs: number): Promise<SignedHead> => {
    const sequence = (last?.value.sequence ?? 0) + 1
    const { root, blocks } = await snapshot({ diary: seeded(sequence).bytes(1000) })
    last = await headAfter(last, root, { workspace: A, createdAtMs })
    await repository.publish(last, blocks, accept)
    return last
  }
  return { clock, repository, publish }
}

const sequences = async (repository: MainRepository, id: WorkspaceId = A): Promise<number[]> =>
  (await repository.history(id, { limit: 999 })).map(({ value }) => value.sequence)

test.each([
  ['to come', (now: number, turn: number) => now + (turn + 1) * 32 * DAY],
  ['long ago', (now: number, turn: number) => now - turn * 32 * DAY]
])('a writer that claims times %s wipes no history, also after a rebuild', async (_, claim) => {
  const { clock, repository, publish } = await newWorld()
  for (let day = 0; day < 365; day += 5) {
    clock.pass(5 * DAY)
    await publish(clock.wall())
  }
  clock.pass(2 * HOUR)
  await repository.gc({ policy: RETENTION })
  const honest = await sequences(repository)
  for (let turn = 0; turn < 130; turn++) await publish(claim(clock.wall(), turn))
  for (const step of ['live', 'rebuilt', 'rebuilt from packs that were written anew']) {
    if (step !== 'live') await repository.reindex()
    clock.pass(2 * HOUR)
    await repository.gc({ policy: RETENTION, full: true })
    const left = (await sequences(repository)).filter((sequence) => honest.includes(sequence))
    expect(left.length, step).toBeGreaterThan(honest.length - 5)
  }
})

test('heads in one minute are one moment, whatever times their writer claims', async () => {
  const { clock, repository, publish } = await newWorld()
  for (let day = 0; day < 20; day++) await publish(clock.wall() - day * DAY)
  for (const step of ['live', 'rebuilt']) {
    if (step === 'rebuilt') await repository.reindex()
    clock.pass(2 * HOUR)
    await repository.gc({ policy: DAYS })
    expect(await sequences(repository), step).toEqual([20])
  }
})

/** What is kept of packs whose notes do not tell yet when heads were accepted. */
async function keptOf(claims: readonly ((now: number) => number)[]): Promise<number[]> {
  const clock = handClock()
  const disk = memoryDisk()
  await disk.makeFolder(PACKS_FOLDER)
  const packs = await openPacks(disk)
  let last: SignedHead | null = null
  for (const claim of claims) {
    const { root, blocks } = await snapshot({ diary: 'the same' })
    last = await headAfter(last, root, { workspace: A, createdAtMs: claim(clock.wall()) })
    await packs.append([...blocks, verdictNote(last.cid, 'accepted'), last], () => undefined)
  }
  await packs.commit()
  const repository = await openRepository(depsOf(disk, memoryIndex(), { clock }))
  onTestFinished(() => repository.close())
  clock.pass(2 * HOUR)
  await repository.gc({ policy: DAYS })
  return await sequences(repository)
}

const daysAgo = (days: number) => (now: number) => now - days * DAY

test('where no note tells the time, the claimed one counts as far as it can be true', async () => {
  expect(await keptOf([30, 20, 10, 0].map(daysAgo))).toEqual([4, 3, 2, 1])
  expect(await keptOf([30, 20, -900, -990, 10, 0].map(daysAgo))).toEqual([6, 5, 4, 1])
  expect(await keptOf([30, 20, 900, 990, 0].map(daysAgo))).toEqual([5, 4, 1])
  expect(await keptOf([-9, 30, 0].map(daysAgo))).toEqual([3, 2, 1])
})
