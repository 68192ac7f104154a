import fc from 'fast-check'
import { exporter } from 'ipfs-unixfs-exporter'
import { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { CHUNK } from '../../../src/content/chunker.ts'
import { fileNode, type MadeFileLink } from '../../../src/content/encode.ts'
import { type BuiltFile, buildFile, buildLink, GROUP, growTree, leaves } from '../../../src/content/file.ts'
import { childrenOf, type Metadata, readNode } from '../../../src/content/nodes.ts'
import { walkClosure } from '../../../src/content/tree.ts'
import { blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { Blocks, collected, METADATA, noise, sliced, whole } from './support.ts'

const MIB = 1024 * 1024

async function contentOf(file: BuiltFile, blocks: Blocks): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let offset = 0
  for await (const leaf of leaves(file.cid, blocks.load)) {
    expect(leaf.offset).toBe(offset)
    const bytes = blocks.bytes(leaf.cid)
    expect(bytes.length).toBe(leaf.size)
    parts.push(bytes)
    offset += leaf.size
  }
  return Buffer.concat(parts)
}

const cidsOf = async (root: CID, blocks: Blocks): Promise<CID[]> =>
  collected(walkClosure(root, blocks.load, () => false))

async function* many(count: number, fill: (index: number) => Uint8Array): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < count; index++) yield fill(index)
}

test('a file comes back byte for byte', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 3 * MIB }), fc.integer({ min: 1, max: MIB }), async (length, slice) => {
      const blocks = new Blocks()
      const content = noise(length, 'round trip')
      const file = await buildFile(sliced(content, [slice]), METADATA, blocks.sink)
      expect(file.size).toBe(length)
      expect((await contentOf(file, blocks)).equals(content)).toBe(true)
    }),
    { numRuns: 20 }
  )
})

test('an empty file is one node without leaves', async () => {
  const blocks = new Blocks()
  const file = await buildFile(whole(new Uint8Array(0)), METADATA, blocks.sink)
  expect(file.size).toBe(0)
  expect(blocks.made).toHaveLength(1)
  expect(readNode(blocks.block(file.cid))).toEqual({ kind: 'file', metadata: METADATA, size: 0, links: [] })
  expect(await collected(leaves(file.cid, blocks.load))).toEqual([])
})

test('a small file is one raw leaf below a node with its metadata', async () => {
  const blocks = new Blocks()
  const content = Buffer.from('hello')
  const file = await buildFile(whole(content), METADATA, blocks.sink)
  const leaf = blockOf(RAW_CODEC, content).cid
  const node = readNode(blocks.block(file.cid))
  expect(node).toMatchObject({ kind: 'file', metadata: METADATA, size: 5, links: [{ size: 5 }] })
  expect(childrenOf(blocks.block(file.cid)).map(String)).toEqual([leaf.toString()])
  expect(file.totalBytes).toBe(5 + blocks.bytes(file.cid).length)
})

test('files of equal bytes share their leaves whatever their metadata', async () => {
  const blocks = new Blocks()
  const content = noise(MIB)
  const one = await buildFile(whole(content), METADATA, blocks.sink)
  blocks.forgetCounts()
  const two = await buildFile(whole(content), { ...METADATA, mode: 0o400 }, blocks.sink)
  expect(two.cid.equals(one.cid)).toBe(false)
  const before = new Set((await cidsOf(one.cid, blocks)).map(String))
  expect((await cidsOf(two.cid, blocks)).filter((cid) => !before.has(cid.toString()))).toEqual([two.cid])
})

const times: Metadata['mtime'][] = [
  { secs: 0n, nsecs: 0 },
  { secs: -1n, nsecs: 999_999_000 },
  { secs: 2n ** 31n, nsecs: 0 },
  { secs: 2n ** 32n - 1n, nsecs: 0 },
  { secs: -(2n ** 63n), nsecs: 0 },
  { secs: 2n ** 63n - 1n, nsecs: 1000 }
]
test.each(times.flatMap((mtime) => [0, 0o644, 0o755, 0o7777].map((mode) => ({ mode, mtime }))))(
  'mode $mode and time $mtime.secs, $mtime.nsecs come back exactly, on files and links',
  async (metadata) => {
    const blocks = new Blocks()
    const file = await buildFile(whole(noise(3)), metadata, blocks.sink)
    expect(readNode(blocks.block(file.cid))).toMatchObject({ metadata })
    expect(readNode(buildLink('../x', metadata))).toEqual({ kind: 'link', metadata, target: '../x' })
  }
)

test.each([
  { mode: 0o10000, mtime: METADATA.mtime },
  { mode: -1, mtime: METADATA.mtime },
  { mode: 0o644, mtime: { secs: 0n, nsecs: 1 } },
  { mode: 0o644, mtime: { secs: 0n, nsecs: 1_000_000_000 } },
  { mode: 0o644, mtime: { secs: 2n ** 63n, nsecs: 0 } }
])('metadata that cannot be restored is refused: %o', async (metadata) => {
  const blocks = new Blocks()
  await expect(buildFile(whole(noise(3)), metadata, blocks.sink)).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  expect(() => buildLink('x', metadata)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }))
})

test.each(['', 'a\0b', 'x'.repeat(4096), '\ud800'])('a link that no file system makes is refused (%#)', (target) => {
  expect(() => buildLink(target, METADATA)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }))
})

test('a byte inserted into the middle of 32 MiB makes at most three new chunks and few nodes', async () => {
  const content = noise(32 * MIB, 'insert')
  for (const at of [16 * MIB, 16 * MIB + 77_777, 5_000_001]) {
    const blocks = new Blocks()
    const before = await buildFile(whole(content), METADATA, blocks.sink)
    const known = new Set((await cidsOf(before.cid, blocks)).map(String))
    const changed = Buffer.concat([content.subarray(0, at), Buffer.of(7), content.subarray(at)])
    const after = await buildFile(whole(changed), METADATA, blocks.sink)
    const fresh = (await cidsOf(after.cid, blocks)).filter((cid) => !known.has(cid.toString()))
    expect(fresh.filter(({ code }) => code === RAW_CODEC).length).toBeLessThanOrEqual(3)
    expect(fresh.filter(({ code }) => code !== RAW_CODEC).length).toBeLessThanOrEqual(4)
  }
})

/** Leaves of one MiB each, by name only: the nodes above them do not need the bytes. */
const leafAt = (index: number): MadeFileLink => ({
  cid: blockOf(RAW_CODEC, Buffer.from(`leaf ${index}`)).cid,
  size: MIB,
  totalBytes: MIB
})
const leafOrder = (count: number): number[] => Array.from({ length: count }, (_, index) => index)
async function* leavesAt(order: readonly number[]): AsyncGenerator<MadeFileLink> {
  for (const index of order) yield leafAt(index)
}

test('a file of many levels keeps all nodes but those above an inserted leaf', async () => {
  const order = leafOrder(30_000)
  const blocks = new Blocks()
  const before = await growTree(leavesAt(order), METADATA, blocks.sink)
  const known = new Set(blocks.made.map(({ cid }) => cid.toString()))
  for (const at of [0, 1500, 17_001, 30_000]) {
    blocks.forgetCounts()
    const after = await growTree(leavesAt(order.toSpliced(at, 0, 999_999)), METADATA, blocks.sink)
    expect(after.size).toBe(before.size + MIB)
    expect(blocks.made.filter(({ cid }) => !known.has(cid.toString())).length).toBeLessThanOrEqual(8)
    expect(await collected(leaves(after.cid, blocks.load))).toHaveLength(30_001)
  }
})

test.each([0, 1, GROUP.min, GROUP.min + 1, GROUP.max + 1, 5000])(
  'the leaves of %d come back in order',
  async (count) => {
    const blocks = new Blocks()
    const file = await growTree(leavesAt(leafOrder(count)), METADATA, blocks.sink)
    const found = await collected(leaves(file.cid, blocks.load))
    expect(found.map(({ cid }) => cid.toString())).toEqual(
      leafOrder(count).map((index) => leafAt(index).cid.toString())
    )
    expect(file.size).toBe(count * MIB)
    expect(file.totalBytes).toBe(blocks.made.reduce((sum, { bytes }) => sum + bytes.length, count * MIB))
  }
)

test('leaves that fill one node exactly make one node', async () => {
  const ends = (index: number): boolean => ((leafAt(index).cid.multihash.digest.at(-1) ?? 0) & GROUP.boundaryMask) === 0
  const indexes = leafOrder(1000)
  const boundary = indexes.find(ends) ?? -1
  const other = indexes.find((index) => !ends(index)) ?? -1
  const nodesOf = async (count: number, index: number): Promise<number> => {
    const blocks = new Blocks()
    await growTree(leavesAt(Array<number>(count).fill(index)), METADATA, blocks.sink)
    return blocks.made.length
  }
  expect(await nodesOf(GROUP.min, boundary)).toBe(1)
  expect(await nodesOf(GROUP.min + 1, boundary)).toBe(3)
  expect(await nodesOf(GROUP.max, other)).toBe(1)
  expect(await nodesOf(GROUP.max + 1, other)).toBe(3)
})

test.each(['all alike', 'all different'])(
  'no node has too many children, nor too few before the last: leaves %s',
  async (kind) => {
    const blocks = new Blocks()
    const order = leafOrder(20_000).map((index) => (kind === 'all alike' ? 7 : index))
    const file = await growTree(leavesAt(order), METADATA, blocks.sink)
    const check = (cid: CID): void => {
      const node = readNode(blocks.block(cid))
      if (node.kind !== 'file') throw new Error(`a ${node.kind}`)
      expect(node.links.length).toBeLessThanOrEqual(GROUP.max)
      const inner = node.links.filter((link) => link.cid.code !== RAW_CODEC)
      for (const { cid: child } of inner.slice(0, -1)) {
        expect(childrenOf(blocks.block(child)).length).toBeGreaterThanOrEqual(GROUP.min)
      }
      for (const { cid: child } of inner) check(child)
    }
    check(file.cid)
  }
)

test('a slow sink slows the source down', async () => {
  let given = 0
  let open: () => void = () => undefined
  const source = many(100, () => {
    given++
    return new Uint8Array(CHUNK.maxBytes)
  })
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  let reached: () => void = () => undefined
  const first = new Promise<void>((resolve) => {
    reached = resolve
  })
  const built = buildFile(source, METADATA, () => {
    reached()
    return gate
  })
  await first
  for (let turn = 0; turn < 100; turn++) await Promise.resolve()
  expect(given).toBe(1)
  open()
  expect((await built).size).toBe(100 * CHUNK.maxBytes)
})

test('an error of the sink ends the build', async () => {
  const sink = (): Promise<void> => Promise.reject(new Error('disk full'))
  await expect(buildFile(whole(noise(10)), METADATA, sink)).rejects.toThrow('disk full')
})

test('the exporter of IPFS reads files and links', async () => {
  const blocks = new Blocks()
  const content = noise(6 * MIB, 'exporter')
  const file = await buildFile(whole(content), METADATA, blocks.sink)
  const read = await exporter(file.cid, blocks.blockstore)
  if (read.type !== 'file') throw new Error(`a ${read.type}`)
  expect(Buffer.concat(await collected(read.content())).equals(content)).toBe(true)
  expect(read.size).toBe(BigInt(content.length))
  expect(read.unixfs).toMatchObject({ mode: METADATA.mode, mtime: METADATA.mtime })

  const link = buildLink('../other/ö', METADATA)
  await blocks.sink(link)
  const target = await exporter(link.cid, blocks.blockstore)
  if (target.type !== 'file') throw new Error(`a ${target.type}`)
  expect(target.unixfs.type).toBe('symlink')
  expect(Buffer.from(target.unixfs.data ?? []).toString()).toBe('../other/ö')
  expect(target.unixfs).toMatchObject({ mode: METADATA.mode, mtime: METADATA.mtime })
})

test('totalBytes counts every block as often as it is linked', async () => {
  const blocks = new Blocks()
  const file = await buildFile(sliced(noise(9 * MIB, 'total'), [MIB]), METADATA, blocks.sink)
  expect(file.totalBytes).toBe(blocks.made.reduce((sum, { bytes }) => sum + bytes.length, 0))
})

const leaf: MadeFileLink = { cid: blockOf(RAW_CODEC, Buffer.from('abc')).cid, size: 3, totalBytes: 3 }
const inner = (
  links: readonly MadeFileLink[],
  claimed?: number
): { made: ReturnType<typeof fileNode>; link: MadeFileLink } => {
  const made = fileNode(links, null)
  const size = claimed ?? links.reduce((sum, link) => sum + link.size, 0)
  return { made, link: { cid: made.block.cid, size, totalBytes: made.totalBytes } }
}

test('a tree whose sizes lie is refused', async () => {
  const blocks = new Blocks()
  const { made, link } = inner([leaf], 4)
  const top = fileNode([link], METADATA)
  for (const { block } of [made, top]) await blocks.sink(block)
  await expect(collected(leaves(top.block.cid, blocks.load))).rejects.toMatchObject({ code: 'INTEGRITY' })
})

test('a tree with a root inside is refused', async () => {
  const blocks = new Blocks()
  const below = fileNode([leaf], METADATA)
  const top = fileNode([{ cid: below.block.cid, size: 3, totalBytes: below.totalBytes }], METADATA)
  for (const { block } of [below, top]) await blocks.sink(block)
  await expect(collected(leaves(top.block.cid, blocks.load))).rejects.toMatchObject({ code: 'INTEGRITY' })
})

test('a tree deeper than any file is refused', async () => {
  const blocks = new Blocks()
  let link = leaf
  for (let level = 0; level < 40; level++) {
    const next = inner([link])
    await blocks.sink(next.made.block)
    link = next.link
  }
  const top = fileNode([link], METADATA)
  await blocks.sink(top.block)
  await expect(collected(leaves(top.block.cid, blocks.load))).rejects.toMatchObject({ code: 'INTEGRITY' })
})

test('what is not a file has no leaves', async () => {
  const blocks = new Blocks()
  const link = buildLink('x', METADATA)
  await blocks.sink(link)
  await expect(collected(leaves(link.cid, blocks.load))).rejects.toMatchObject({ code: 'INTEGRITY' })
  await expect(collected(leaves(CID.parse('bafkqaaa'), blocks.load))).rejects.toMatchObject({ code: 'NOT_FOUND' })
})
