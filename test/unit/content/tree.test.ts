import type { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { buildFile, buildLink } from '../../../src/content/file.ts'
import { buildFolder, type Entry } from '../../../src/content/folder.ts'
import { resolvePath, walkClosure } from '../../../src/content/tree.ts'
import { RAW_CODEC } from '../../../src/core/blocks.ts'
import { Blocks, collected, entriesNamed, FOLDER_METADATA, METADATA, noise, whole } from './support.ts'

async function fileEntry(name: string, content: Uint8Array, blocks: Blocks): Promise<Entry> {
  const { cid, totalBytes } = await buildFile(whole(content), METADATA, blocks.sink)
  return { name, cid, totalBytes }
}

async function folderEntry(name: string, entries: readonly Entry[], blocks: Blocks): Promise<Entry> {
  return { name, ...(await buildFolder(entries, FOLDER_METADATA, blocks.sink)) }
}

/** docs/a.txt, docs/sub/b.bin (several chunks), copy (the bytes of a.txt), link → docs. */
async function sample(): Promise<{ blocks: Blocks; root: CID; docs: Entry; big: Entry; link: CID }> {
  const blocks = new Blocks()
  const small = await fileEntry('a.txt', Buffer.from('hello'), blocks)
  const big = await fileEntry('b.bin', noise(3_000_000), blocks)
  const docs = await folderEntry('docs', [small, await folderEntry('sub', [big], blocks)], blocks)
  const link = buildLink('docs', METADATA)
  await blocks.sink(link)
  const entries = [docs, { ...small, name: 'copy' }, { name: 'link', cid: link.cid, totalBytes: link.bytes.length }]
  const root = await folderEntry('', entries, blocks)
  return { blocks, root: root.cid, docs, big, link: link.cid }
}

test('paths lead to folders, files and links, and nowhere else', async () => {
  const { blocks, root, docs, big, link } = await sample()
  const at = async (...path: string[]): Promise<string | undefined> =>
    (await resolvePath(root, path, blocks.load))?.toString()
  expect(await at()).toBe(root.toString())
  expect(await at('docs')).toBe(docs.cid.toString())
  expect(await at('docs', 'sub', 'b.bin')).toBe(big.cid.toString())
  expect(await at('link')).toBe(link.toString())
  for (const path of [
    ['nothing'],
    ['docs', 'b.bin'],
    ['docs', 'a.txt', 'x'],
    ['link', 'a.txt'],
    ['docs', '..'],
    ['']
  ]) {
    expect(await at(...path)).toBeUndefined()
  }
})

test('paths lead through sharded folders', async () => {
  const blocks = new Blocks()
  const inner = await fileEntry('deep', Buffer.from('x'), blocks)
  const sub = await folderEntry('sub', [inner], blocks)
  const root = await folderEntry('', [...entriesNamed(1500), sub], blocks)
  expect((await resolvePath(root.cid, ['sub', 'deep'], blocks.load))?.equals(inner.cid)).toBe(true)
  expect(await resolvePath(root.cid, ['entry-1', 'x'], blocks.load)).toBeNull()
})

test('the closure is every block that was made, once, the root first', async () => {
  const { blocks, root } = await sample()
  const cids = (await collected(walkClosure(root, blocks.load, () => false))).map(String)
  expect(new Set(cids).size).toBe(cids.length)
  expect(cids.toSorted()).toEqual([...blocks.map.keys()].sort())
  expect(cids[0]).toBe(root.toString())
})

test('no leaf is loaded, and each node once', async () => {
  const { blocks, root } = await sample()
  blocks.forgetCounts()
  await collected(walkClosure(root, blocks.load, () => false))
  const nodes = [...blocks.map.values()].filter(({ cid }) => cid.code !== RAW_CODEC).map(({ cid }) => cid.toString())
  expect(blocks.loaded.toSorted()).toEqual(nodes.sort())
})

test('nothing at or below what is known is given or loaded', async () => {
  const { blocks, root, docs } = await sample()
  blocks.forgetCounts()
  const cids = (await collected(walkClosure(root, blocks.load, async (cid) => cid.equals(docs.cid)))).map(String)
  expect(cids).not.toContain(docs.cid.toString())
  expect(blocks.loaded).not.toContain(docs.cid.toString())
  // The root, the copy of a.txt with its leaf, and the link.
  expect(cids).toHaveLength(4)
  expect(await collected(walkClosure(root, blocks.load, () => true))).toEqual([])
})

test('a node may be fetched when its CID is given', async () => {
  const { blocks, root } = await sample()
  const here = new Blocks()
  for await (const cid of walkClosure(root, here.load, (cid) => here.map.has(cid.toString()))) {
    await here.sink(blocks.block(cid))
  }
  expect([...here.map.keys()].sort()).toEqual([...blocks.map.keys()].sort())
})

test('a folder nested many thousand times is walked', async () => {
  const blocks = new Blocks()
  let entry = await folderEntry('x', [], blocks)
  for (let depth = 0; depth < 5000; depth++) entry = await folderEntry('x', [entry], blocks)
  expect(await collected(walkClosure(entry.cid, blocks.load, () => false))).toHaveLength(5001)
})

test('a folder that holds the same folder twice on each of forty levels is walked once', async () => {
  const blocks = new Blocks()
  let entry = await folderEntry('x', [], blocks)
  for (let level = 0; level < 40; level++) entry = await folderEntry('x', [entry, { ...entry, name: 'y' }], blocks)
  expect(await collected(walkClosure(entry.cid, blocks.load, () => false))).toHaveLength(41)
})

test('a missing node ends the walk with the error of the store', async () => {
  const { blocks, root, docs } = await sample()
  blocks.map.delete(docs.cid.toString())
  await expect(collected(walkClosure(root, blocks.load, () => false))).rejects.toMatchObject({ code: 'NOT_FOUND' })
})
