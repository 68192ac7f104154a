import { expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { memoryIndex } from '../../../src/store/memory-index.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import { accept, depsOf, headAfter, readClosure, sealOf, snapshot, workspace } from './support.ts'

const W = workspace('a')

/** A repository with the first of three heads; the second one is known to nobody any more. */
async function putBack(repository: MainRepository) {
  const [one, two, three] = await Promise.all(['one', 'two', 'three'].map((text) => snapshot({ 'a.txt': text })))
  if (one === undefined || two === undefined || three === undefined) throw new Error('three snapshots')
  const first = await headAfter(null, one.root, { workspace: W })
  await repository.publish(first, one.blocks, accept)
  const second = await headAfter(first, two.root, { workspace: W })
  const third = await headAfter(second, three.root, { workspace: W, epoch: 3 })
  return { first, second, third, blocks: three.blocks }
}

const open = (disk = memoryDisk(), index = memoryIndex()) => openRepository(depsOf(disk, index))

test('a head that was lost with those before it becomes the tip again, with all its blocks', async () => {
  const repository = await open()
  const { third, blocks } = await putBack(repository)
  expect(await repository.publish(third, blocks, accept).then(() => 'taken', codeOf)).toBe('CONFLICT')
  await repository.regain(third, blocks)
  expect((await repository.tip(W))?.head.cid.equals(third.cid)).toBe(true)
  expect(await readClosure(repository, W, third.value.root)).toBeGreaterThan(1)
  const { root, blocks: more } = await snapshot({ 'a.txt': 'four' })
  await repository.publish(await headAfter(third, root, { workspace: W }), more, accept)
  expect((await repository.history(W, { limit: 10 })).map(({ value }) => value.sequence)).toEqual([4, 3, 1])
  await repository.close()
})

test('a regained head is the tip also after the index was built anew from the packs', async () => {
  const repository = await open()
  const { third, blocks } = await putBack(repository)
  await repository.regain(third, blocks)
  await repository.reindex()
  expect((await repository.tip(W))?.head.cid.equals(third.cid)).toBe(true)
  await repository.close()
})

test('a head without all its blocks is not regained, and says what is missing', async () => {
  const repository = await open()
  const { third, blocks } = await putBack(repository)
  const error = await repository.regain(third, blocks.slice(1)).catch((thrown: unknown) => thrown)
  expect(codeOf(error)).toBe('INCOMPLETE')
  expect(error).toMatchObject({ data: { missing: [blocks[0]?.cid.toString()] } })
  expect((await repository.tip(W))?.tip.sequence).toBe(1)
  await repository.close()
})

test('nothing is regained in a sealed epoch, nor what is not newer than the tip', async () => {
  const repository = await open()
  const { first, second, third, blocks } = await putBack(repository)
  await repository.seal(W, 1, sealOf(W, 1))
  expect(await repository.regain(second, blocks).then(() => 'taken', codeOf)).toBe('SEALED')
  await repository.regain(third, blocks)
  const beside = await headAfter(first, third.value.root, { workspace: W, epoch: 4, sequence: 3 })
  expect(await repository.regain(beside, blocks).then(() => 'taken', codeOf)).toBe('CONFLICT')
  expect((await repository.tip(W))?.head.cid.equals(third.cid)).toBe(true)
  await repository.close()
})
