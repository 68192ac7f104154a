import type { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { buildFile } from '../../../src/content/file.ts'
import { buildFolder, listFolder } from '../../../src/content/folder.ts'
import type { Entry } from '../../../src/content/nodes.ts'
import { entryAt, replaceAt } from '../../../src/content/replace.ts'
import { codeOf } from '../../../src/core/errors.ts'
import { Blocks, FOLDER_METADATA, METADATA, sliced } from './support.ts'

type Tree = { readonly [name: string]: string | Tree }

const blocks = new Blocks()

async function build(tree: Tree, metadata = FOLDER_METADATA): Promise<Omit<Entry, 'name'>> {
  const entries: Entry[] = []
  for (const [name, what] of Object.entries(tree)) {
    const built =
      typeof what === 'string'
        ? await buildFile(sliced(Buffer.from(what), [9]), METADATA, blocks.sink)
        : await build(what)
    entries.push({ name, cid: built.cid, totalBytes: built.totalBytes })
  }
  return buildFolder(entries, metadata, blocks.sink)
}

const rootOf = async (tree: Tree): Promise<CID> => (await build(tree)).cid
const replaced = (root: CID, source: CID, path: string): Promise<CID> =>
  replaceAt(root, source, path.split('/'), blocks.load, blocks.sink)

const many = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`entry ${index}`, `${index}`]))

describe('the tree with an old part in it', () => {
  test.each<[string, Tree, Tree, string, Tree]>([
    ['a file', { a: 'new', b: 'b' }, { a: 'old', c: 'c' }, 'a', { a: 'old', b: 'b' }],
    ['a file that is gone now', { b: 'b' }, { a: 'old' }, 'a', { a: 'old', b: 'b' }],
    [
      'a deep file',
      { d: { e: { a: 'new', x: 'x' } } },
      { d: { e: { a: 'old' } } },
      'd/e/a',
      { d: { e: { a: 'old', x: 'x' } } }
    ],
    ['a folder, whole', { d: { a: 'new', x: 'x' } }, { d: { a: 'old' } }, 'd', { d: { a: 'old' } }],
    [
      'folders that are gone now',
      { b: 'b' },
      { d: { e: { a: 'old', y: 'y' } } },
      'd/e/a',
      { b: 'b', d: { e: { a: 'old' } } }
    ],
    ['where a file stands on the way now', { d: 'a file' }, { d: { a: 'old' } }, 'd/a', { d: { a: 'old' } }],
    [
      'an entry of a large folder',
      { d: { ...many, a: 'new' } },
      { d: { ...many, a: 'old' } },
      'd/a',
      { d: { ...many, a: 'old' } }
    ]
  ])('%s', async (_, now, then, path, expected) => {
    expect(await replaced(await rootOf(now), await rootOf(then), path)).toEqual(await rootOf(expected))
  })
})

test('of a large folder only the nodes on the way are made', async () => {
  const [now, then] = [await rootOf({ d: { ...many, a: 'new' } }), await rootOf({ d: { ...many, a: 'old' } })]
  blocks.forgetCounts()
  await replaced(now, then, 'd/a')
  expect(blocks.made.length).toBeLessThan(8)
  expect(blocks.loaded.length).toBeLessThan(30)
})

test.each(['b', 'd/b', 'a/b', 'd/a/c'])('what was not there then cannot come back: %s', async (path) => {
  const [now, then] = [await rootOf({ a: 'a', d: { a: 'a', b: 'b' } }), await rootOf({ a: 'old', d: { a: 'old' } })]
  expect(await replaced(now, then, path).then(() => 'replaced', codeOf)).toBe('NOT_FOUND')
})

test('an entry is found by its path, with its size; nothing is below a file', async () => {
  const root = await rootOf({ d: { e: { a: 'deep' } } })
  const found = await entryAt(root, ['d', 'e', 'a'], blocks.load)
  const folder = await entryAt(root, ['d', 'e'], blocks.load)
  const listed: Entry[] = []
  for await (const entry of listFolder(folder?.cid as CID, blocks.load)) listed.push(entry)
  expect(listed).toEqual([found])
  for (const path of [['x'], ['d', 'x'], ['d', 'e', 'a', 'x']])
    expect(await entryAt(root, path, blocks.load)).toBeNull()
})
