import type { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import type { Block } from '../../../src/core/blocks.ts'
import type { Fetch } from '../../../src/worktree/intake.ts'
import type { Worktree } from '../../../src/worktree/worktree.ts'
import { listTree, putFile } from '../../sim/memory-app.ts'
import { seeded } from '../store/support.ts'
import { FOLDER, Machine, type Running, STAGING, SURVIVALS } from './power-loss-support.ts'

/** A tree, what it looks like, and where its blocks come from. */
interface Wanted {
  readonly root: CID
  readonly tree: Record<string, string>
  readonly fetch: Fetch
}

async function wanted({ files, tree }: Running): Promise<Wanted> {
  const blocks = new Map<string, Block>()
  const snapshot = await tree.snapshot('all', (block) => void blocks.set(block.cid.toString(), block))
  expect(snapshot.unsettled).toEqual([])
  const fetch: Fetch = async (cids) => cids.flatMap((cid) => blocks.get(cid.toString()) ?? [])
  return { root: snapshot.root, tree: await listTree(files, FOLDER), fetch }
}

/** Two trees that differ in all that can differ; between them lie few changes, or more than are synced one by one. */
async function twoTrees(many: boolean): Promise<[Wanted, Wanted]> {
  const running = await new Machine({ syncsWhole: true }).start()
  const { files } = running
  const random = seeded(3)
  const place = { files, random, folder: FOLDER, staging: STAGING }
  const put = (path: string, bytes: number, seed: number): Promise<void> =>
    putFile(place, path, seeded(seed).bytes(bytes), 1_000_000 + seed)
  await files.makeFolders(`${FOLDER}/a/b`, 0o755)
  await files.makeFolders(`${FOLDER}/gone/below`, 0o755)
  await files.makeFolders(STAGING, 0o700)
  await put('a/changed', 3_000, 1)
  await put('a/mode', 500, 2)
  await put('a/b/moved', 70_000, 3)
  await put('gone/below/file', 10, 4)
  await put('swapped', 10, 5)
  await files.symlink('a', `${FOLDER}/link`)
  if (many) for (let index = 0; index < 12; index++) await put(`a/b/${index}`, 100 + index, 10 + index)
  const first = await wanted(running)
  await put('a/changed', 90_000, 6)
  await files.chmod(`${FOLDER}/a/mode`, 0o4600)
  await files.rename(`${FOLDER}/a/b/moved`, `${FOLDER}/moved`)
  await files.unlink(`${FOLDER}/gone/below/file`)
  await files.removeFolder(`${FOLDER}/gone/below`)
  await files.removeFolder(`${FOLDER}/gone`)
  await files.unlink(`${FOLDER}/swapped`)
  await files.makeFolder(`${FOLDER}/swapped`, 0o500)
  await put('swapped/inside', 20, 7)
  await files.unlink(`${FOLDER}/link`)
  await files.symlink('/else where', `${FOLDER}/link`)
  if (many) for (let index = 0; index < 12; index++) await put(`a/b/${index}`, 200 + index, 30 + index)
  return [first, await wanted(running)]
}

const FEW = await twoTrees(false)
const MANY = await twoTrees(true)

/** Is what is said to be applied on the disk? Everything is read again. */
async function checkApplied(tree: Worktree): Promise<void> {
  const applied = await tree.appliedRoot()
  if (applied === null) return
  const { root } = await tree.snapshot('all', () => undefined, { forget: true })
  expect(root.toString()).toBe(applied.toString())
}

const apply = ({ tree }: Running, { root, fetch }: Wanted): Promise<unknown> => tree.apply(root, fetch)

describe.each([
  ['a few changes', FEW, true],
  ['many changes', MANY, true],
  ['many changes on a system that cannot sync the whole', MANY, false]
] as const)('an apply of %s', (_name, trees, syncsWhole) => {
  const [first, second] = trees
  test.each(SURVIVALS)(
    'that lost power before any call is completed by the next, unsynced %s',
    async (_what, random) => {
      const machine = new Machine({ syncsWhole })
      let running = await machine.start()
      let cutAt = 1
      for (let done = false; !done; cutAt++) {
        await apply(running, first)
        machine.calls = 0
        machine.cutAt = cutAt
        done = await apply(running, second).then(
          () => true,
          () => false
        )
        await machine.losePower(random(cutAt))
        running = await machine.start()
        await checkApplied(running.tree)
        if (done) expect((await running.tree.appliedRoot())?.toString()).toBe(second.root.toString())
        await apply(running, second)
        expect(running.files.openFiles).toBe(0)
        expect(await listTree(running.files, FOLDER), `cut at ${cutAt}`).toEqual(second.tree)
        expect(await running.files.names(STAGING)).toEqual([])
        await checkApplied(running.tree)
      }
    }
  )
})
