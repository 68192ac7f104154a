import type { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import type { Block } from '../../../src/core/blocks.ts'
import { codeOf } from '../../../src/core/errors.ts'
import type { Random } from '../../../src/core/random.ts'
import type { Fetch } from '../../../src/worktree/intake.ts'
import type { Worktree } from '../../../src/worktree/worktree.ts'
import { listTree, putFile } from '../../sim/memory-app.ts'
import { SystemError } from '../../sim/memory-nodes.ts'
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
  if (many) for (let index = 0; index < 8; index++) await put(`a/b/${index}`, 100 + index, 10 + index)
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
  if (many) for (let index = 0; index < 8; index++) await put(`a/b/${index}`, 200 + index, 30 + index)
  return [first, await wanted(running)]
}

const TOLD = { ENOSPC: 'NO_SPACE', EMFILE: 'BUSY', EIO: 'UNEXPECTED' } as const
const CODES = ['ENOSPC', 'EMFILE', 'EIO'] as const
const DROPPED: Random = { ...seeded(1), fraction: () => 0 }
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

const CASES = [
  // Where not every call is cut and fails in every way, each is in one of them.
  { what: 'a few changes', trees: FEW, syncsWhole: true, step: 1 },
  { what: 'many changes', trees: MANY, syncsWhole: true, step: 3 },
  { what: 'a few changes on a system that cannot sync the whole', trees: FEW, syncsWhole: false, step: 3 }
]

describe.each(CASES)('an apply of $what', ({ trees: [first, second], syncsWhole, step }) => {
  test.each(SURVIVALS)(
    'that lost power before any call is completed by the next, unsynced %s',
    async (what, random) => {
      const machine = new Machine({ syncsWhole })
      let running = await machine.start()
      const from = 1 + (SURVIVALS.findIndex(([name]) => name === what) % step)
      for (let cutAt = from, done = false; !done; cutAt += step) {
        await apply(running, first)
        machine.calls = 0
        machine.beforeCall = () => {
          if (machine.calls >= cutAt) throw new Error('no power')
        }
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

  test.each(CODES)(
    'in which one call fails with %s is whole after the next, and stays so without power',
    async (code) => {
      const machine = new Machine({ syncsWhole })
      let running = await machine.start()
      const from = 1 + (CODES.indexOf(code) % step)
      for (let failAt = from, reached = true; reached; failAt += step) {
        await apply(running, first)
        machine.calls = 0
        machine.beforeCall = () => {
          if (machine.calls === failAt) throw new SystemError(code)
        }
        const outcome = await apply(running, second).then(() => 'done', codeOf)
        expect(['done', TOLD[code], 'UNEXPECTED']).toContain(outcome)
        reached = machine.calls >= failAt
        machine.beforeCall = () => undefined
        if (outcome !== 'done') await apply(running, second)
        expect(running.files.openFiles).toBe(0)
        await machine.losePower(DROPPED)
        running = await machine.start()
        expect(await listTree(running.files, FOLDER), `failed at ${failAt}`).toEqual(second.tree)
        await checkApplied(running.tree)
      }
    }
  )
})

test.each([true, false])(
  'what could not be synced is not trusted by the next apply (whole: %s)',
  async (syncsWhole) => {
    const source = await new Machine({ syncsWhole }).start()
    const place = { files: source.files, random: seeded(3), folder: FOLDER, staging: STAGING }
    await source.files.makeFolders(`${FOLDER}/d`, 0o755)
    await source.files.makeFolders(STAGING, 0o700)
    const large = Buffer.concat(Array.from({ length: 10 }, (_, index) => Buffer.alloc(1_000_000, index)))
    await putFile(place, 'd/large', large, 1)
    if (syncsWhole) for (let index = 0; index < 20; index++) await putFile(place, `d/${index}`, Buffer.from('x'), 1)
    await source.files.chmod(`${FOLDER}/d`, 0o500)
    const all = await wanted(source)

    let failAt = 0
    for (let syncs = 0; syncs >= failAt; ) {
      const machine = new Machine({ syncsWhole })
      const running = await machine.start()
      syncs = 0
      failAt++
      machine.beforeCall = (call) => {
        if ((call === 'sync' || call === 'syncFileSystem') && ++syncs === failAt) throw new SystemError('EIO')
      }
      await apply(running, all).catch(() => undefined)
      machine.beforeCall = () => undefined
      await apply(running, all)
      await machine.losePower(DROPPED)
      expect(await listTree((await machine.start()).files, FOLDER), `failed at ${failAt}`).toEqual(all.tree)
    }
    expect(failAt).toBeGreaterThan(2)
  }
)
