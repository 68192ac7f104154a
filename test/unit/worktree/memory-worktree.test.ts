import { dirname } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Block } from '../../../src/core/blocks.ts'
import { removeTree, systemCode } from '../../../src/worktree/disk.ts'
import type { FileSystem } from '../../../src/worktree/file-system.ts'
import { listTree, putFile } from '../../sim/memory-app.ts'
import { seeded } from '../store/support.ts'
import { FOLDER, Machine, STAGING } from './power-loss-support.ts'

const path = fc
  .array(fc.constantFrom('a', 'b', 'ü c', '.d'), { minLength: 1, maxLength: 3 })
  .map((names) => names.join('/'))
const edit = fc.record({
  kind: fc.constantFrom('put', 'folder', 'link', 'remove', 'rename', 'mode', 'time'),
  path,
  to: path,
  size: fc.constantFrom(0, 1, 9_000, 70_000, 300_000),
  seed: fc.nat(3),
  us: fc.integer({ min: -1e15, max: 4e15 })
})
type Edit = typeof edit extends fc.Arbitrary<infer Value> ? Value : never

/** As an app would; returns the paths that it touched. What cannot be done is left. */
async function carryOut(files: FileSystem, { kind, path, to, size, seed, us }: Edit): Promise<string[]> {
  const at = `${FOLDER}/${path}`
  const time = String((us + 0.5) / 1e6)
  const place = { files, random: seeded(size + us), folder: FOLDER, staging: STAGING }
  const work: Record<Edit['kind'], () => Promise<unknown>> = {
    put: () => putFile(place, path, Buffer.alloc(size, `${seed}`), Math.floor(us / 1e6)),
    folder: () => files.makeFolders(at, 0o755),
    link: () => files.symlink(to, at),
    remove: () => removeTree(files, at),
    rename: () => files.rename(at, `${FOLDER}/${to}`),
    mode: () => files.chmod(at, [0o600, 0o755, 0o4711, 0o000][seed] ?? 0),
    time: () => files.lutimes(at, time)
  }
  await work[kind]().catch(() => undefined)
  // A folder that was made brings those above it.
  return [path.split('/')[0] ?? '', to.split('/')[0] ?? '']
}

test('on the file system in memory, too, any tree is the same elsewhere, and what is touched makes the same root as all', async () => {
  const rounds = fc.array(fc.array(edit, { maxLength: 10 }), { minLength: 1, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(rounds, async (list) => {
      const a = await new Machine({ syncsWhole: true }).start()
      const b = await new Machine({ syncsWhole: false }).start()
      for (const folder of [FOLDER, STAGING]) await a.files.makeFolders(folder, 0o700)
      const blocks = new Map<string, Block>()
      const sink = (block: Block): void => void blocks.set(block.cid.toString(), block)
      for (const edits of list) {
        const paths = new Set<string>()
        for (const one of edits) for (const touched of await carryOut(a.files, one)) paths.add(touched)
        const { root, unsettled, commit } = await a.tree.snapshot({ paths }, sink)
        await commit()
        expect(unsettled).toEqual([])
        expect((await a.tree.snapshot('all', () => undefined, { forget: true })).root.toString()).toBe(root.toString())
        await b.tree.apply(root, async (cids) => cids.flatMap((cid) => blocks.get(cid.toString()) ?? []))
        expect(await listTree(b.files, FOLDER)).toEqual(await listTree(a.files, FOLDER))
      }
      expect([a.files.openFiles, b.files.openFiles]).toEqual([0, 0])
    }),
    { numRuns: 40 }
  )
})

test('names that are not UTF-8 are told, and give way to what is applied', async () => {
  const { files, tree } = await new Machine({ syncsWhole: true }).start()
  await files.makeFolders(`${FOLDER}/d`, 0o700)
  const odd = Buffer.concat([Buffer.from(`${FOLDER}/d/`), Buffer.from([0xff])])
  await (await files.open(odd, 'create')).close()
  const before = new Map<string, Block>()
  const empty = await new Machine({ syncsWhole: true }).start()
  await empty.files.makeFolders(dirname(`${FOLDER}/x`), 0o700)
  const { root } = await empty.tree.snapshot('all', (block) => void before.set(block.cid.toString(), block))
  expect((await tree.snapshot('all', () => undefined)).unsettled).toEqual(['d/\ufffd'])
  await tree.apply(root, async (cids) => cids.flatMap((cid) => before.get(cid.toString()) ?? []))
  expect(await files.lstat(odd).then(() => 'there', systemCode)).toBe('ENOENT')
})
