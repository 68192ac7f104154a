import type { CID } from 'multiformats/cid'
import { type Block, DAG_PB_CODEC, MAX_BLOCK_BYTES, RAW_CODEC } from '../core/blocks.ts'
import { malformed, type PbLink, readPb, type UnixFsData } from './dag-pb.ts'
import { bitfieldOf, FANOUT, HASH_TYPE } from './hamt.ts'
import { type Metadata, metadataOf } from './metadata.ts'
import { faultOfName } from './names.ts'

export type { Metadata } from './metadata.ts'

/** What a folder holds under a name. `totalBytes` is the size of all blocks at and below `cid`. */
export interface Entry {
  readonly name: string
  readonly cid: CID
  readonly totalBytes: number
}

/** A child of a file node and the file's bytes below it: a leaf where its codec is raw, else an inner node. */
export interface FileLink {
  readonly cid: CID
  readonly size: number
}

/** A link of a folder shard: an entry, or (`name` null) the shard of the next level. */
export interface ShardLink {
  readonly index: number
  readonly name: string | null
  readonly cid: CID
  readonly totalBytes: number
}

export type Node = RawNode | FileNode | LinkNode | FolderNode | ShardNode
export interface RawNode {
  readonly kind: 'raw'
  readonly bytes: Uint8Array
}
export interface FileNode {
  readonly kind: 'file'
  /** Null on the nodes between a file's root and its leaves. */
  readonly metadata: Metadata | null
  readonly size: number
  readonly links: readonly FileLink[]
}
export interface LinkNode {
  readonly kind: 'link'
  readonly metadata: Metadata
  readonly target: string
}
export interface FolderNode {
  readonly kind: 'folder'
  readonly metadata: Metadata
  readonly entries: readonly Entry[]
}
export interface ShardNode {
  readonly kind: 'shard'
  /** Null on all shards but the root of a folder. */
  readonly metadata: Metadata | null
  readonly links: readonly ShardLink[]
}

export const MAX_LINK_TARGET_BYTES = 4095

/** Why no symbolic link can point there; null when one can. */
export function faultOfTarget(target: string): string | null {
  if (target === '' || target.includes('\0') || !target.isWellFormed()) return 'it is empty or not plain text'
  return Buffer.byteLength(target) > MAX_LINK_TARGET_BYTES ? `it is longer than ${MAX_LINK_TARGET_BYTES} bytes` : null
}

/**
 * Reads one node. The bytes may come from anyone: that they match their CID is checked where they arrive (`verifyBlock`),
 * everything else here. Names are safe to create in a folder, unique and sorted; sizes add up; there is no second way
 * to write the same node. What one block cannot show (depth, the place of an entry in a sharded folder) is checked by
 * the walks in `file.ts` and `folder.ts`.
 *
 * @throws NodeDaemonError `INTEGRITY` for anything malformed
 */
export function readNode(block: Block): Node {
  if (block.cid.code === RAW_CODEC) return readRaw(block)
  const { data, links } = readPb(block)
  switch (data.type) {
    case 'FILE':
      return readFile(block.cid, data, links)
    case 'SYMLINK':
      return readLink(block.cid, data, links)
    case 'DIRECTORY':
      return readFolder(block.cid, data, links)
    case 'HAMT_SHARD':
      return readShard(block.cid, data, links)
  }
}

/** What a node links to, in its order and as often as it does. Throws as `readNode` does. */
export function childrenOf(block: Block): CID[] {
  const node = readNode(block)
  switch (node.kind) {
    case 'raw':
    case 'link':
      return []
    case 'folder':
      return node.entries.map(({ cid }) => cid)
    case 'file':
    case 'shard':
      return node.links.map(({ cid }) => cid)
  }
}

function readRaw({ cid, bytes }: Block): RawNode {
  if (bytes.length > MAX_BLOCK_BYTES) throw malformed(cid, 'it is too large')
  return { kind: 'raw', bytes }
}

/** Fails when the data has a field that does not belong to its type. */
function onlyFields(cid: CID, data: UnixFsData, allowed: readonly (keyof UnixFsData)[]): void {
  const always: readonly string[] = ['type', 'mode', 'mtime', ...allowed]
  for (const [field, value] of Object.entries(data)) {
    const absent = value === undefined || (field === 'blockSizes' && data.blockSizes.length === 0)
    if (!absent && !always.includes(field)) throw malformed(cid, `its UnixFS data has the field ${field}`)
  }
}

function readMetadata(cid: CID, data: UnixFsData, kind: 'folder' | 'other'): Metadata | null {
  const metadata = metadataOf(data, kind)
  if (metadata === undefined) throw malformed(cid, 'its mode or mtime is out of range')
  return metadata
}

function readOwnMetadata(cid: CID, data: UnixFsData, kind: 'folder' | 'other'): Metadata {
  const metadata = readMetadata(cid, data, kind)
  if (metadata === null) throw malformed(cid, 'it has no mtime')
  return metadata
}

function readFile(cid: CID, data: UnixFsData, links: readonly PbLink[]): FileNode {
  onlyFields(cid, data, ['fileSize', 'blockSizes'])
  if (data.blockSizes.length !== links.length) throw malformed(cid, 'its links and sizes differ in number')
  const metadata = readMetadata(cid, data, 'other')
  if (links.length === 0 && metadata === null) throw malformed(cid, 'it is an inner node without children')
  const children = links.map((link, index) => readFileLink(cid, link, Number(data.blockSizes[index])))
  const size = children.reduce((sum, child) => sum + child.size, 0)
  if (!Number.isSafeInteger(size) || data.fileSize !== BigInt(size)) throw malformed(cid, 'its sizes do not add up')
  return { kind: 'file', metadata, size, links: children }
}

function readFileLink(cid: CID, link: PbLink, size: number): FileLink {
  const limit = link.cid.code === RAW_CODEC ? MAX_BLOCK_BYTES : Number.MAX_SAFE_INTEGER
  if (link.name !== '' || size < 1 || size > limit) throw malformed(cid, 'a child has a name or a bad size')
  return { cid: link.cid, size }
}

function readLink(cid: CID, data: UnixFsData, links: readonly PbLink[]): LinkNode {
  onlyFields(cid, data, ['data'])
  if (links.length > 0) throw malformed(cid, 'a symbolic link has children')
  const target = utf8(cid, data.data)
  const fault = faultOfTarget(target)
  if (fault !== null) throw malformed(cid, `a symbolic link cannot point there: ${fault}`)
  return { kind: 'link', metadata: readOwnMetadata(cid, data, 'other'), target }
}

function utf8(cid: CID, bytes: Uint8Array = new Uint8Array(0)): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw malformed(cid, 'it is not UTF-8')
  }
}

function readFolder(cid: CID, data: UnixFsData, links: readonly PbLink[]): FolderNode {
  onlyFields(cid, data, [])
  for (const { name } of links) checkName(cid, name)
  checkOrder(cid, links)
  return { kind: 'folder', metadata: readOwnMetadata(cid, data, 'folder'), entries: links }
}

function checkName(cid: CID, name: string): void {
  const fault = faultOfName(name)
  if (fault !== null) throw malformed(cid, `a name ${fault}`)
}

function checkOrder(cid: CID, links: readonly PbLink[]): void {
  let before = Buffer.alloc(0)
  for (const [index, { name }] of links.entries()) {
    const bytes = Buffer.from(name)
    if (index > 0 && Buffer.compare(before, bytes) >= 0) throw malformed(cid, 'its names are not unique and sorted')
    before = bytes
  }
}

function readShard(cid: CID, data: UnixFsData, links: readonly PbLink[]): ShardNode {
  onlyFields(cid, data, ['data', 'hashType', 'fanOut'])
  if (data.fanOut !== BigInt(FANOUT) || data.hashType !== HASH_TYPE) throw malformed(cid, 'it is another kind of HAMT')
  if (links.length === 0) throw malformed(cid, 'it is an empty shard')
  checkOrder(cid, links)
  const read = links.map((link) => readShardLink(cid, link))
  const subshards = new Set(read.filter(({ name }) => name === null).map(({ index }) => index))
  if (read.some(({ name, index }) => name !== null && subshards.has(index))) {
    throw malformed(cid, 'an entry stands beside a shard')
  }
  const bitfield = bitfieldOf(read.map(({ index }) => index))
  if (Buffer.compare(data.data ?? new Uint8Array(0), bitfield) !== 0) throw malformed(cid, 'its bitfield is wrong')
  return { kind: 'shard', metadata: readMetadata(cid, data, 'folder'), links: read }
}

function readShardLink(cid: CID, link: PbLink): ShardLink {
  const prefix = link.name.slice(0, 2)
  if (!/^[0-9A-F]{2}$/.test(prefix)) throw malformed(cid, 'a link of a shard has no position')
  const name = link.name.length === 2 ? null : link.name.slice(2)
  if (name !== null) checkName(cid, name)
  else if (link.cid.code !== DAG_PB_CODEC) throw malformed(cid, 'a shard is a raw block')
  return { index: Number.parseInt(prefix, 16), name, cid: link.cid, totalBytes: link.totalBytes }
}
