import * as dagPb from '@ipld/dag-pb'
import fc from 'fast-check'
import { LegacyNode, UnixFS, type UnixFSOptions } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { expect, test } from 'vitest'
import { fileNode, folderNode, linkNode, shardNode } from '../../../src/content/encode.ts'
import { childrenOf, type Metadata, readNode } from '../../../src/content/nodes.ts'
import { type Block, blockOf, DAG_PB_CODEC, MAX_BLOCK_BYTES, RAW_CODEC } from '../../../src/core/blocks.ts'
import { entryOf, FOLDER_METADATA, METADATA } from './support.ts'

const leaf = blockOf(RAW_CODEC, Buffer.from('leaf')).cid
const node = blockOf(DAG_PB_CODEC, Buffer.from('node')).cid
const mtime = METADATA.mtime
const link = (Name: string, Hash: CID = leaf, Tsize = 4): dagPb.PBLink => ({ Name, Hash, Tsize })

/** A block as other tools make it. */
function foreign(unixfs: UnixFSOptions, Links: dagPb.PBLink[] = []): Block {
  return blockOf(DAG_PB_CODEC, dagPb.encode({ Data: new UnixFS(unixfs).marshal(), Links }))
}

const shard = (Links: dagPb.PBLink[], data: number[], fields: UnixFSOptions = {}): Block =>
  foreign(
    { type: 'hamt-sharded-directory', fanout: 256n, hashType: 0x22n, data: Uint8Array.from(data), mtime, ...fields },
    Links
  )

const refused = (block: Block): void => {
  expect(() => readNode(block)).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
  expect(() => childrenOf(block)).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
}

const file = (links: dagPb.PBLink[], blockSizes: bigint[], fields: UnixFSOptions = { mtime }): Block =>
  foreign({ type: 'file', blockSizes, ...fields }, links)

test.each<[string, Metadata]>([
  ['with a mode', METADATA],
  ['with the default mode', { mode: 0o644, mtime: { secs: 5n, nsecs: 0 } }]
])('files, links and folders are written as the IPFS libraries write them, %s', (_, metadata) => {
  const { mode } = metadata
  const time = { secs: metadata.mtime.secs, ...(metadata.mtime.nsecs > 0 && { nsecs: metadata.mtime.nsecs }) }
  const child = { cid: leaf, size: 4, totalBytes: 4 }
  const pairs: [Block, Block][] = [
    [fileNode([child, child], metadata).block, file([link(''), link('')], [4n, 4n], { mode, mtime: time })],
    [fileNode([child], null).block, file([link('')], [4n], {})],
    [linkNode('to', metadata).block, foreign({ type: 'symlink', data: Buffer.from('to'), mode, mtime: time })],
    [folderNode([], metadata).block, foreign({ type: 'directory', mode, mtime: time })],
    [
      folderNode([entryOf('ö'), entryOf('a')], metadata).block,
      foreign({ type: 'directory', mode, mtime: time }, [
        link('a', entryOf('a').cid, 1),
        link('ö', entryOf('ö').cid, 2)
      ])
    ],
    [
      shardNode([{ index: 0xab, name: 'x', cid: leaf, totalBytes: 4 }], metadata).block,
      shard([link('ABx')], [0x08, ...Array<number>(21).fill(0)], { mode, mtime: time })
    ]
  ]
  for (const [ours, theirs] of pairs) expect(ours.cid.toString()).toBe(theirs.cid.toString())
})

test('what was written reads back', () => {
  const entries = [entryOf('b'), entryOf('\ufeffa'), entryOf('ö'), entryOf('😀')]
  const folder = readNode(folderNode(entries, FOLDER_METADATA).block)
  expect(folder).toMatchObject({ kind: 'folder', metadata: FOLDER_METADATA })
  expect(folder.kind === 'folder' && folder.entries.map(({ name }) => name)).toEqual(['b', 'ö', '\ufeffa', '😀'])
  const links = [
    { index: 3, name: 'x', cid: leaf, totalBytes: 4 },
    { index: 255, name: null, cid: node, totalBytes: 2 ** 40 }
  ]
  const read = readNode(shardNode(links, null).block)
  expect(read).toMatchObject({ kind: 'shard', metadata: null })
  const plain = read.kind === 'shard' ? read.links.map((item) => ({ ...item, cid: item.cid.toString() })) : []
  expect(plain).toEqual(links.map((item) => ({ ...item, cid: item.cid.toString() })))
  expect(readNode(blockOf(RAW_CODEC, Buffer.from('x')))).toEqual({ kind: 'raw', bytes: Buffer.from('x') })
})

test.each([2 ** 31 - 1, 2 ** 31, 3 * 2 ** 30, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 5, Number.MAX_SAFE_INTEGER - 1e9])(
  'a size of %d comes back exactly, in our reader and in that of IPFS',
  (size) => {
    const { block } = fileNode([{ cid: node, size, totalBytes: size }], METADATA)
    expect(readNode(block)).toMatchObject({ size, links: [{ size }] })
    const theirs = dagPb.decode(block.bytes)
    expect(theirs.Links[0]?.Tsize).toBe(size)
    expect(UnixFS.unmarshal(theirs.Data ?? new Uint8Array(0)).fileSize()).toBe(BigInt(size))
  }
)

test.each(['.', '..', '', 'a/b', '/', 'nul\0', 'x'.repeat(256), `${'ö'.repeat(127)}xx`])(
  'a folder that names an entry %j is refused, flat and sharded',
  (name) => {
    refused(foreign({ type: 'directory', mtime }, [link(name)]))
    if (name !== '') refused(shard([link(`00${name}`)], [1]))
  }
)

test('names that are not UTF-8 are refused', () => {
  const good = foreign({ type: 'directory', mtime }, [link('abc')])
  const at = Buffer.from(good.bytes).indexOf('abc')
  for (const bad of ['ff6263', 'c08062', 'eda080', '61c380']) {
    const bytes = Buffer.from(good.bytes)
    bytes.write(bad, at, 'hex')
    if (bad !== '61c380') refused(blockOf(DAG_PB_CODEC, bytes))
    else expect(readNode(blockOf(DAG_PB_CODEC, bytes))).toMatchObject({ entries: [{ name: 'aÀ' }] })
  }
})

test('names that occur twice or out of order are refused', () => {
  refused(foreign({ type: 'directory', mtime }, [link('a'), link('a')]))
  const good = foreign({ type: 'directory', mtime }, [link('a'), link('b')])
  const swapped = Buffer.from(good.bytes)
  swapped[swapped.indexOf('a', 38)] = 'b'.charCodeAt(0)
  swapped[swapped.lastIndexOf('b')] = 'a'.charCodeAt(0)
  refused(blockOf(DAG_PB_CODEC, swapped))
})

const zeroTime = { secs: 1n, nsecs: 0 }
const sha512 = CID.createV1(RAW_CODEC, createDigest(0x13, new Uint8Array(64)))
const identity = CID.createV1(RAW_CODEC, createDigest(0, Buffer.from('hi')))
test.each<[string, Block]>([
  ['no data', blockOf(DAG_PB_CODEC, dagPb.encode({ Links: [] }))],
  ['data that is not UnixFS', blockOf(DAG_PB_CODEC, dagPb.encode({ Data: Buffer.from([0xff]), Links: [] }))],
  ['the type raw', foreign({ type: 'raw', data: Buffer.from('x') })],
  ['the type metadata', foreign({ type: 'metadata' })],
  ['another codec', blockOf(0x71, Buffer.from([0xa0]))],
  ['a block that is too large', blockOf(DAG_PB_CODEC, new Uint8Array(MAX_BLOCK_BYTES + 1))],
  ['a chunk that is too large', blockOf(RAW_CODEC, new Uint8Array(MAX_BLOCK_BYTES + 1))],
  ['more links than a node may have', foreign({ type: 'file', mtime }, Array(25_000).fill({ Hash: identity }))],
  ['a file with bytes of its own', file([], [], { mtime, data: Buffer.from('x') })],
  ['a file with fewer sizes than links', file([link('')], [])],
  ['a file with more sizes than links', file([link('')], [4n, 4n])],
  ['a file with an empty child', file([link('')], [0n])],
  ['a file with a chunk larger than a block', file([link('')], [BigInt(MAX_BLOCK_BYTES) + 1n])],
  ['a file with a child that is named', file([link('a')], [4n])],
  ['a file too large to count', file([link('', node), link('', node)], [2n ** 53n - 1n, 1n])],
  ['an inner node without children', file([], [], {})],
  ['a child named by another hash', file([link('', sha512)], [4n])],
  ['a child named by its own bytes', file([link('', identity)], [2n])],
  [
    'a child of version 0',
    file([link('', CID.createV0(node.multihash as dagPb.PBLink['Hash']['multihash'] & { code: 0x12 }))], [4n])
  ],
  ['a mode without a time', file([], [], { mode: 0o600 })],
  ['a time with zero nanoseconds written out', file([], [], { mtime: zeroTime })],
  ['a time that is not in whole microseconds', file([], [], { mtime: { secs: 1n, nsecs: 1 } })],
  ['a time with more than a second in nanoseconds', file([], [], { mtime: { secs: 1n, nsecs: 1_000_000_000 } })],
  ['a symbolic link without a time', foreign({ type: 'symlink', data: Buffer.from('x') })],
  ['a symbolic link to nothing', foreign({ type: 'symlink', mtime })],
  ['a symbolic link with NUL', foreign({ type: 'symlink', mtime, data: Buffer.from('a\0') })],
  ['a symbolic link that is not UTF-8', foreign({ type: 'symlink', mtime, data: Buffer.from([0xff]) })],
  ['a symbolic link that is too long', foreign({ type: 'symlink', mtime, data: Buffer.alloc(4096, 'x') })],
  ['a symbolic link with children', foreign({ type: 'symlink', mtime, data: Buffer.from('x') }, [link('')])],
  ['a folder without a time', foreign({ type: 'directory' })],
  ['a folder with data', foreign({ type: 'directory', mtime, data: Buffer.from('x') })],
  ['a folder with sizes', foreign({ type: 'directory', mtime, blockSizes: [1n] })],
  ['an empty shard', shard([], [])],
  ['a shard with another fan-out', shard([link('00a')], [1], { fanout: 16n })],
  ['a shard with another hash', shard([link('00a')], [1], { hashType: 0x12n })],
  ['a shard with a wrong bitfield', shard([link('00a')], [2])],
  ['a shard with a bitfield that is too long', shard([link('00a')], [0, 1])],
  ['a shard with a position in lower case', shard([link('0aa')], [4, 0])],
  ['a shard with a link that has no position', shard([link('0')], [1])],
  ['a shard with a raw block as a shard', shard([link('00', leaf)], [1])],
  ['a shard with an entry beside a shard', shard([link('00', node), link('00a')], [1])]
])('refused: %s', (_, block) => refused(block))

test('a file whose size is not that of its children is refused', () => {
  const decoded = LegacyNode.decode(file([link('')], [4n]).bytes)
  const { fileSize, ...rest } = decoded.data ?? { blockSizes: [] }
  expect(fileSize).toBe(4n)
  for (const data of [rest, { ...rest, fileSize: 3n }, { ...rest, fileSize: 5n }]) {
    refused(blockOf(DAG_PB_CODEC, LegacyNode.encode({ links: decoded.links, data })))
  }
})

test('reading stops at more links than fit into a block', () => {
  const links = blockOf(DAG_PB_CODEC, Buffer.from('1200'.repeat(500_000), 'hex'))
  expect(() => readNode(links)).toThrow(/too many/)
})

test('bytes that say the same in another way are refused', () => {
  const good = folderNode([entryOf('a')], METADATA).block
  expect(() => readNode(good)).not.toThrow()
  const unknownField = Buffer.concat([good.bytes, Buffer.from([0x1a, 0x00])])
  const again = Buffer.concat([good.bytes, good.bytes])
  const dataFirst = dagPb.encode(dagPb.decode(good.bytes), { fieldOrder: 'data-first' })
  const overlong = Buffer.concat([
    good.bytes.subarray(0, 1),
    Buffer.from([(good.bytes[1] ?? 0) | 0x80, 0]),
    good.bytes.subarray(2)
  ])
  for (const bytes of [unknownField, again, dataFirst, overlong]) refused(blockOf(DAG_PB_CODEC, bytes))
})

test('any bytes either read as a node that is written the same, or are refused', () => {
  const seeds = [
    fileNode([{ cid: leaf, size: 4, totalBytes: 4 }], METADATA),
    folderNode([entryOf('a'), entryOf('b')], METADATA),
    shardNode([{ index: 1, name: 'x', cid: leaf, totalBytes: 4 }], METADATA),
    linkNode('x', METADATA)
  ].map(({ block }) => block.bytes)
  const edits = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(fc.constantFrom(...seeds), edits, fc.nat(), (seed, changes, cut) => {
      const bytes = Buffer.from(seed)
      for (const [at, value] of changes) bytes[at % bytes.length] = value
      const block = blockOf(DAG_PB_CODEC, cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes)
      try {
        readNode(block)
      } catch (error) {
        expect(error).toMatchObject({ code: 'INTEGRITY' })
      }
    }),
    { numRuns: 2000 }
  )
})

test('children are listed as often as they are linked', () => {
  const child = { cid: leaf, size: 4, totalBytes: 4 }
  expect(childrenOf(fileNode([child, child], METADATA).block).map(String)).toEqual([String(leaf), String(leaf)])
  expect(childrenOf(folderNode([entryOf('a')], METADATA).block).map(String)).toEqual([String(entryOf('a').cid)])
  expect(childrenOf(linkNode('x', METADATA).block)).toEqual([])
  expect(childrenOf(blockOf(RAW_CODEC, Buffer.from('x')))).toEqual([])
})
