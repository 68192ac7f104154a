import * as dagPb from '@ipld/dag-pb'
import fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import { exporter } from 'ipfs-unixfs-exporter'
import { importer } from 'ipfs-unixfs-importer'
import { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { folderNode, shardNode } from '../../../src/content/encode.ts'
import { buildFolder, editFolder, findEntry, listFolder, SHARD_THRESHOLD } from '../../../src/content/folder.ts'
import { pathOf } from '../../../src/content/hamt.ts'
import { type Entry, type Metadata, readNode } from '../../../src/content/nodes.ts'
import { blockOf, DAG_PB_CODEC, RAW_CODEC } from '../../../src/core/blocks.ts'
import { Blocks, collected, entriesNamed, entryOf, FOLDER_METADATA, METADATA } from './support.ts'

const none = { put: [], remove: [] }
const named = (entries: Iterable<Entry>): Map<string, Entry> =>
  new Map([...entries].map((entry) => [entry.name, entry]))
const plain = (entries: readonly Entry[]): string[] =>
  entries.map(({ name, cid, totalBytes }) => `${name} ${cid} ${totalBytes}`).sort()
const kindOf = (cid: CID, blocks: Blocks): string => readNode(blocks.block(cid)).kind
/** Enough entries to be sharded, whatever else changes. */
const MANY = entriesNamed(1500)

async function rootOf(
  entries: Iterable<Entry>,
  metadata: Metadata = FOLDER_METADATA,
  blocks = new Blocks()
): Promise<string> {
  return (await buildFolder(entries, metadata, blocks.sink)).cid.toString()
}

test('the threshold decides between one node and a HAMT', async () => {
  const blocks = new Blocks()
  // 36 bytes of CID and 12 of name: 1024 entries weigh exactly 48 KiB.
  const entries = Array.from({ length: 1024 }, (_, index) => entryOf(`name-${String(index).padStart(7, '0')}`))
  expect(entries.length * 48).toBe(SHARD_THRESHOLD)
  const flat = await buildFolder(entries, FOLDER_METADATA, blocks.sink)
  expect(kindOf(flat.cid, blocks)).toBe('folder')
  expect(blocks.made).toHaveLength(1)
  const sharded = await buildFolder([...entries, entryOf('x')], FOLDER_METADATA, blocks.sink)
  expect(kindOf(sharded.cid, blocks)).toBe('shard')
})

test.each([0, 1, 700, 1500, 5000])('%d entries come back, listed and one by one', async (count) => {
  const blocks = new Blocks()
  const entries = entriesNamed(count)
  const { cid, totalBytes } = await buildFolder(entries, FOLDER_METADATA, blocks.sink)
  expect(plain(await collected(listFolder(cid, blocks.load)))).toEqual(plain(entries))
  expect(totalBytes).toBe(
    [...blocks.made.map(({ bytes }) => bytes.length), ...entries.map((e) => e.totalBytes)].reduce((a, b) => a + b, 0)
  )
  for (const entry of entries.slice(0, 50))
    expect(await findEntry(cid, entry.name, blocks.load)).toEqual(
      expect.objectContaining({ name: entry.name, totalBytes: entry.totalBytes })
    )
  expect(await findEntry(cid, 'missing', blocks.load)).toBeNull()
  expect(await findEntry(cid, '..', blocks.load)).toBeNull()
})

test('the same entries make the same root in whatever order they come', async () => {
  for (const entries of [entriesNamed(40), MANY]) {
    expect(await rootOf(entries.toReversed())).toBe(await rootOf(entries))
  }
})

test('an edited folder has the root of a folder built anew, on both sides of the threshold', async () => {
  const pool = entriesNamed(1400, 'some-name')
  const count = fc.constantFrom(0, 1, 5, 900, 1010, 1050, 1400)
  const index = fc.integer({ min: 0, max: pool.length - 1 })
  const step = fc.record({
    put: fc.uniqueArray(index, { maxLength: 30 }),
    remove: fc.oneof(
      fc.uniqueArray(index, { maxLength: 30 }),
      fc.constantFrom(pool.map((_, i) => i).slice(100), pool.map((_, i) => i).slice(1))
    ),
    version: fc.constantFrom('one', 'two'),
    mode: fc.constantFrom(0o755, 0o700)
  })
  await fc.assert(
    fc.asyncProperty(count, fc.array(step, { minLength: 1, maxLength: 4 }), async (start, steps) => {
      const blocks = new Blocks()
      const state = named(pool.slice(0, start))
      let { cid } = await buildFolder(state.values(), FOLDER_METADATA, blocks.sink)
      for (const { put, remove, version, mode } of steps) {
        const metadata = { ...FOLDER_METADATA, mode }
        const changes = {
          put: put.map((i) => entryOf(pool[i]?.name ?? '', version + i)),
          remove: remove.map((i) => pool[i]?.name ?? '')
        }
        for (const name of changes.remove) state.delete(name)
        for (const entry of changes.put) state.set(entry.name, entry)
        const edited = await editFolder(cid, metadata, changes, blocks.load, blocks.sink)
        const built = await buildFolder(state.values(), metadata, () => undefined)
        expect(edited.cid.toString()).toBe(built.cid.toString())
        expect(edited.totalBytes).toBe(built.totalBytes)
        cid = edited.cid
      }
      expect(plain(await collected(listFolder(cid, blocks.load)))).toEqual(plain([...state.values()]))
    }),
    { numRuns: 25 }
  )
})

test('an edit loads and makes only the nodes on the way to the change', async () => {
  const blocks = new Blocks()
  const { cid } = await buildFolder(entriesNamed(10_000), FOLDER_METADATA, blocks.sink)
  blocks.forgetCounts()
  await editFolder(
    cid,
    FOLDER_METADATA,
    { put: [entryOf('entry-77', 'changed')], remove: [] },
    blocks.load,
    blocks.sink
  )
  expect(blocks.loaded.length).toBeLessThanOrEqual(3)
  expect(blocks.made.length).toBeLessThanOrEqual(3)
  expect(blocks.made.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(32 * 1024)

  blocks.forgetCounts()
  await editFolder(cid, FOLDER_METADATA, { put: [], remove: ['entry-77'] }, blocks.load, blocks.sink)
  expect(blocks.loaded.length).toBeLessThanOrEqual(40)
  expect(blocks.made.length).toBeLessThanOrEqual(3)

  blocks.forgetCounts()
  await editFolder(cid, METADATA, none, blocks.load, blocks.sink)
  expect(blocks.loaded).toHaveLength(1)
  expect(blocks.made).toHaveLength(1)
})

test('a name that is put and removed at once stays', async () => {
  for (const entries of [entriesNamed(3), MANY]) {
    const blocks = new Blocks()
    const { cid } = await buildFolder(entries, FOLDER_METADATA, blocks.sink)
    const changed = entryOf('entry-1', 'new')
    const edited = await editFolder(
      cid,
      FOLDER_METADATA,
      { put: [changed], remove: ['entry-1', 'absent'] },
      blocks.load,
      blocks.sink
    )
    expect(edited.cid.toString()).toBe(await rootOf(named([...entries, changed]).values()))
  }
})

test.each([
  ['a name that is reserved', [entryOf('..')]],
  ['a name with a slash', [entryOf('a/b')]],
  ['a name that is not Unicode', [entryOf('\ud800')]],
  ['a name that is too long', [entryOf('x'.repeat(256))]],
  ['a name twice', [entryOf('a', 'one'), entryOf('a', 'two')]],
  [
    'what is not a node',
    [{ ...entryOf('a'), cid: CID.parse('bafyreigdmqpykrgxyaxtlafqpqhzrb7qy2rh75nldvfd4tucqmqqme5yje') }]
  ],
  ['a size that cannot be', [{ ...entryOf('a'), totalBytes: -1 }]]
])('%s cannot be kept in a folder', async (_, entries) => {
  const blocks = new Blocks()
  await expect(buildFolder(entries, FOLDER_METADATA, blocks.sink)).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  const { cid } = await buildFolder(MANY, FOLDER_METADATA, blocks.sink)
  await expect(
    editFolder(cid, FOLDER_METADATA, { put: entries, remove: [] }, blocks.load, blocks.sink)
  ).rejects.toMatchObject({ code: 'BAD_REQUEST' })
})

test('metadata that cannot be kept is refused for every kind of folder', async () => {
  const bad = { mode: 0o10000, mtime: METADATA.mtime }
  for (const entries of [[], MANY]) {
    await expect(buildFolder(entries, bad, () => undefined)).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  }
})

test('what is not a folder is refused', async () => {
  const blocks = new Blocks()
  const { cid } = blockOf(RAW_CODEC, Buffer.from('x'))
  await blocks.sink({ cid, bytes: Buffer.from('x') })
  const refused = { code: 'INTEGRITY' }
  await expect(collected(listFolder(cid, blocks.load))).rejects.toMatchObject(refused)
  await expect(findEntry(cid, 'x', blocks.load)).rejects.toMatchObject(refused)
  await expect(editFolder(cid, METADATA, none, blocks.load, blocks.sink)).rejects.toMatchObject(refused)
})

test('a missing shard is an error, not an empty folder', async () => {
  const blocks = new Blocks()
  const { cid } = await buildFolder(MANY, FOLDER_METADATA, blocks.sink)
  const below = blocks.made.find((block) => !block.cid.equals(cid))
  blocks.map.delete(below?.cid.toString() ?? '')
  await expect(collected(listFolder(cid, blocks.load))).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('an entry in a place where its name does not belong is refused', async () => {
  const blocks = new Blocks()
  const [index = 0] = await pathOf('a')
  const { cid, totalBytes } = entryOf('a')
  const { block } = shardNode([{ index: index ^ 1, name: 'a', cid, totalBytes }], METADATA)
  await blocks.sink(block)
  await expect(collected(listFolder(block.cid, blocks.load))).rejects.toMatchObject({ code: 'INTEGRITY' })
})

test('a few blocks that link each other from every slot cannot pose as an endless folder', async () => {
  const blocks = new Blocks()
  const { cid, totalBytes } = entryOf('a')
  const all = (target: CID): ReturnType<typeof shardNode> =>
    shardNode(
      Array.from({ length: 256 }, (_, index) => ({ index, name: null, cid: target, totalBytes })),
      null
    )
  let block = shardNode(
    [0, 1].map((index) => ({ index, name: 'a', cid, totalBytes })),
    null
  ).block
  for (let level = 0; level < 6; level++) {
    await blocks.sink(block)
    block = all(block.cid).block
  }
  await blocks.sink(block)
  const root = shardNode([{ index: 0, name: null, cid: block.cid, totalBytes }], METADATA).block
  await blocks.sink(root)
  await expect(collected(listFolder(root.cid, blocks.load))).rejects.toMatchObject({ code: 'INTEGRITY' })
  expect(blocks.loaded.length).toBeLessThan(20)
})

test('shards that no folder would be made of are refused', async () => {
  const [index = 0, next = 0] = await pathOf('a')
  const { cid, totalBytes } = entryOf('a')
  const entry = { name: 'a', cid, totalBytes }
  const blocks = new Blocks()
  const refused = async (shard: ReturnType<typeof shardNode>): Promise<void> => {
    await blocks.sink(shard.block)
    await expect(collected(listFolder(shard.block.cid, blocks.load))).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(findEntry(shard.block.cid, 'a', blocks.load)).rejects.toMatchObject({ code: 'INTEGRITY' })
  }
  // A lower shard in the place of a root, a shard with a single entry, a root below a root, two entries in one slot.
  await refused(shardNode([{ index, ...entry }], null))
  for (const metadata of [null, METADATA]) {
    const below = shardNode(
      [{ index: next, ...entry }, ...(metadata === null ? [] : [{ index: next ^ 1, ...entry }])],
      metadata
    )
    await blocks.sink(below.block)
    await refused(shardNode([{ index, name: null, cid: below.block.cid, totalBytes }], METADATA))
  }
  await refused(
    shardNode(
      [
        { index, ...entry },
        { index, ...entry, name: 'b' }
      ],
      METADATA
    )
  )
})

test('a tree that is too large to be counted, or a node larger than a block, is not made', async () => {
  const huge = ['a', 'b'].map((name) => ({ ...entryOf(name), totalBytes: Number.MAX_SAFE_INTEGER }))
  await expect(buildFolder(huge, METADATA, () => undefined)).rejects.toMatchObject({ code: 'TOO_LARGE' })
  expect(() => folderNode(entriesNamed(25_000), METADATA)).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }))
})

test('a chain of shards deeper than the hash is refused', async () => {
  const blocks = new Blocks()
  const path = await pathOf('a')
  const { cid, totalBytes } = entryOf('a')
  let block = shardNode(
    [0, 1].map((index) => ({ index, name: 'a', cid, totalBytes })),
    null
  ).block
  for (let depth = 8; depth >= 0; depth--) {
    await blocks.sink(block)
    const below = block.cid
    block = shardNode(
      [{ index: path[depth] ?? 0, name: null, cid: below, totalBytes }],
      depth === 0 ? METADATA : null
    ).block
  }
  await blocks.sink(block)
  await expect(collected(listFolder(block.cid, blocks.load))).rejects.toMatchObject({ code: 'INTEGRITY' })
  await expect(findEntry(block.cid, 'a', blocks.load)).rejects.toMatchObject({ code: 'INTEGRITY' })
})

/** Three names with one murmur3-128 hash: anyone can make more of them. */
const COLLIDING = [
  'the name that others collide wi.',
  'first 0000012675>44BVMtkZ~~\u0018[\u001a~\u001d',
  'first 0000084963"\u000f=f\u007fZs;6H5\u001b\u0007\u001fHr'
]

test('names of equal hash live in one folder, are found, and are edited like others', async () => {
  expect(new Set((await Promise.all(COLLIDING.map(pathOf))).map(String)).size).toBe(1)
  const blocks = new Blocks()
  const entries = [...MANY, ...COLLIDING.map((name) => entryOf(name))]
  const { cid } = await buildFolder(entries, FOLDER_METADATA, blocks.sink)
  expect(await rootOf(entries.toReversed())).toBe(cid.toString())
  expect(plain(await collected(listFolder(cid, blocks.load)))).toEqual(plain(entries))
  for (const name of COLLIDING) expect((await findEntry(cid, name, blocks.load))?.name).toBe(name)

  const [first = '', second = '', third = ''] = COLLIDING
  const changed = entryOf(second, 'changed')
  const one = await editFolder(cid, FOLDER_METADATA, { put: [changed], remove: [first] }, blocks.load, blocks.sink)
  expect(one.cid.toString()).toBe(await rootOf([...MANY, changed, entryOf(third)]))
  const two = await editFolder(one.cid, FOLDER_METADATA, { put: [], remove: [third] }, blocks.load, blocks.sink)
  expect(two.cid.toString()).toBe(await rootOf([...MANY, changed]))
  const back = await editFolder(
    two.cid,
    FOLDER_METADATA,
    { put: COLLIDING.map((name) => entryOf(name)), remove: [] },
    blocks.load,
    blocks.sink
  )
  expect(back.cid.toString()).toBe(cid.toString())
})

const blockstoreOf = (blocks: Blocks): { put(cid: CID, bytes: Uint8Array): Promise<CID> } => ({
  async put(cid, bytes) {
    await blocks.sink({ cid, bytes })
    return cid
  }
})

async function imported(names: readonly string[], threshold: number, metadata: Metadata, blocks: Blocks): Promise<CID> {
  const { mode, mtime } = metadata
  const source = [
    { path: 'dir', mode, mtime },
    ...names.map((name) => ({ path: `dir/${name}`, content: Buffer.from(name) }))
  ]
  let root: CID | undefined
  const options = {
    rawLeaves: true,
    reduceSingleLeafToSelf: true,
    cidVersion: 1 as const,
    shardSplitThresholdBytes: threshold
  }
  const store = blockstoreOf(blocks) as unknown as Parameters<typeof importer>[1]
  for await (const { cid, path } of importer(source, store, options)) if (path === 'dir') root = cid
  if (root === undefined) throw new Error('the importer gave no folder')
  return root
}

test.each([
  ['one node', 200, 1e9, 'folder'],
  ['a HAMT', 2500, 0, 'shard']
])('the importer of IPFS makes the same root of the same entries: %s', async (_, count, threshold, kind) => {
  const entries = entriesNamed(count)
  const blocks = new Blocks()
  const theirs = await imported(
    entries.map(({ name }) => name),
    threshold,
    FOLDER_METADATA,
    blocks
  )
  expect(kindOf(theirs, blocks)).toBe(kind)
  expect(await rootOf(entries)).toBe(theirs.toString())
})

test('the exporter of IPFS lists 10,000 entries and finds single ones', async () => {
  const blocks = new Blocks()
  const entries = entriesNamed(10_000)
  for (const { name } of entries.slice(0, 30)) await blocks.sink(blockOf(RAW_CODEC, Buffer.from(name)))
  const { cid } = await buildFolder(entries, FOLDER_METADATA, blocks.sink)
  const folder = await exporter(cid, blocks.blockstore)
  if (folder.type !== 'directory') throw new Error(`a ${folder.type}`)
  expect(folder.unixfs).toMatchObject({ mode: FOLDER_METADATA.mode, mtime: FOLDER_METADATA.mtime })
  const listed = await collected(folder.entries())
  expect(listed.map(({ name, cid: target, size }) => `${name} ${target} ${size}`).sort()).toEqual(plain(entries))
  for (const entry of entries.slice(0, 30)) {
    expect((await exporter(`${cid}/${entry.name}`, blocks.blockstore)).cid.toString()).toBe(entry.cid.toString())
  }
})

test('the exporter of IPFS reads a flat folder with its metadata', async () => {
  const blocks = new Blocks()
  const entries = entriesNamed(20)
  const { cid } = await buildFolder(entries, METADATA, blocks.sink)
  const folder = await exporter(cid, blocks.blockstore)
  if (folder.type !== 'directory') throw new Error(`a ${folder.type}`)
  expect(folder.unixfs).toMatchObject({ mode: METADATA.mode, mtime: METADATA.mtime })
  expect((await collected(folder.entries())).map(({ name }) => name).sort()).toEqual([...named(entries).keys()].sort())
})

test('the fields of a HAMT are those that other implementations look for', async () => {
  const blocks = new Blocks()
  const { cid } = await buildFolder(MANY, FOLDER_METADATA, blocks.sink)
  expect(cid.code).toBe(DAG_PB_CODEC)
  const { Data, Links } = dagPb.decode(blocks.bytes(cid))
  expect(UnixFS.unmarshal(Data ?? new Uint8Array(0))).toMatchObject({ type: 'hamt-sharded-directory', fanout: 256n })
  expect(Links.every(({ Name }) => /^[0-9A-F]{2}/.test(Name ?? ''))).toBe(true)
})
