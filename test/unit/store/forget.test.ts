import { expect, onTestFinished, test } from 'vitest'
import { openRepository } from '../../../src/store/main-repository.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { memoryIndex } from '../../../src/store/memory-index.ts'
import { type MainRepository, RETENTION } from '../../../src/store/repository.ts'
import { accept, depsOf, handClock, headAfter, readClosure, sealOf, seeded, snapshot, workspace } from './support.ts'

const A = workspace('a')
const B = workspace('b')
const HOUR = 3_600_000

/** Two workspaces with a file that both have. A has history, a seal, and a head that diverged. */
async function world() {
  const [disk, index, clock] = [memoryDisk(), memoryIndex(), handClock()]
  const open = async (): Promise<MainRepository> => {
    const opened = await openRepository(depsOf(disk, index, { clock, packBytes: 100_000 }))
    onTestFinished(() => opened.close())
    return opened
  }
  const repository = await open()
  const tree = (seed: number) => snapshot({ both: seeded(1).bytes(30_000), own: seeded(seed).bytes(30_000) })
  const [one, two, other, mine] = [await tree(2), await tree(3), await tree(4), await tree(5)]
  const first = await headAfter(null, one.root, { workspace: A })
  await repository.publish(first, one.blocks, accept)
  await repository.publish(await headAfter(first, two.root, { workspace: A }), two.blocks, accept)
  await repository.seal(A, 1, sealOf(A, 1))
  const diverged = await headAfter(first, other.root, { workspace: A })
  await repository.keepDiverged(diverged, other.blocks)
  const kept = await headAfter(null, mine.root, { workspace: B })
  await repository.publish(kept, mine.blocks, accept)
  return { repository, clock, open, mine: mine.root, theirs: one.root }
}

const known = async (repository: MainRepository): Promise<unknown[]> => [
  await repository.tip(A),
  await repository.history(A, { limit: 10 }),
  await repository.diverged(A)
]

test('nothing of a forgotten workspace is known any more, also over a restart and a rebuild', async () => {
  const { repository, open } = await world()
  await repository.forget(A)
  await repository.forget(A)
  expect(await known(repository)).toEqual([null, [], []])
  expect(await repository.stats()).toMatchObject({ workspaces: 1, heads: 1 })
  const { logicalBytes } = await repository.stats()
  await repository.close()
  const again = await open()
  expect(await known(again)).toEqual([null, [], []])
  await again.reindex()
  expect(await known(again)).toEqual([null, [], []])
  expect((await again.stats()).logicalBytes).toBe(logicalBytes)
})

test('its room is given back, and what others have too stays whole', async () => {
  const { repository, clock, mine, theirs } = await world()
  const before = await repository.stats()
  await repository.forget(A)
  clock.pass(2 * HOUR)
  const { freedBytes } = await repository.gc({ policy: RETENTION, full: true })
  const after = await repository.stats()
  expect(freedBytes).toBeGreaterThan(90_000)
  expect(after.storedBytes).toBeLessThan(before.storedBytes - 90_000)
  expect(await readClosure(repository, B, mine)).toBeGreaterThan(2)
  expect(await repository.read(A, theirs)).toBeNull()
  await repository.reindex()
  expect(await readClosure(repository, B, mine)).toBeGreaterThan(2)
})

test('a workspace of which nothing is known is forgotten already', async () => {
  const { repository } = await world()
  const before = await repository.stats()
  await repository.forget(workspace('c'))
  expect(await repository.stats()).toEqual(before)
})
