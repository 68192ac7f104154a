import { LegacyNode } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { type Block, blockOf, DAG_PB_CODEC, MAX_BLOCK_BYTES, RAW_CODEC } from '../core/blocks.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { MetadataFields } from './metadata.ts'
import { ProtobufWriter } from './protobuf.ts'

/** More links do not fit into a block. */
const MAX_LINKS = 24_000
const SHA2_256 = 0x12

const TYPES = { DIRECTORY: 1, FILE: 2, SYMLINK: 4, HAMT_SHARD: 5 } as const

/** The data of a UnixFS node. */
export interface UnixFsData extends MetadataFields {
  readonly type: keyof typeof TYPES
  readonly data?: Uint8Array
  readonly fileSize?: bigint
  readonly blockSizes: readonly bigint[]
  readonly hashType?: bigint
  readonly fanOut?: bigint
}

/** A link of a dag-pb node. `totalBytes` counts every block at and below its target, as often as it is linked. */
export interface PbLink {
  readonly name: string
  readonly cid: CID
  readonly totalBytes: number
}

export const malformed = (cid: CID, why: string): NodeDaemonError =>
  new NodeDaemonError('INTEGRITY', `node ${cid} is malformed: ${why}`)

/**
 * A dag-pb block with UnixFS data.
 *
 * @throws NodeDaemonError `TOO_LARGE` when it would be larger than a block may be
 */
export function pbBlock(data: UnixFsData, links: readonly PbLink[]): Block {
  const bytes = encoded(data, links)
  if (bytes.length > MAX_BLOCK_BYTES) {
    throw new NodeDaemonError('TOO_LARGE', `a tree node of ${links.length} links is larger than a block may be`)
  }
  return blockOf(DAG_PB_CODEC, bytes)
}

/** The links stand before the data, as dag-pb prescribes. */
function encoded(data: UnixFsData, links: readonly PbLink[]): Uint8Array {
  const node = new ProtobufWriter()
  for (const { name, cid, totalBytes } of links) {
    const link = new ProtobufWriter().bytes(1, cid.bytes).bytes(2, Buffer.from(name)).varint(3, totalBytes)
    node.bytes(2, link.finish())
  }
  return node.bytes(1, encodedData(data)).finish()
}

function encodedData({ type, data, fileSize, blockSizes, hashType, fanOut, mode, mtime }: UnixFsData): Uint8Array {
  const writer = new ProtobufWriter().varint(1, TYPES[type])
  if (data !== undefined) writer.bytes(2, data)
  if (fileSize !== undefined) writer.varint(3, fileSize)
  for (const size of blockSizes) writer.varint(4, size)
  if (hashType !== undefined) writer.varint(5, hashType)
  if (fanOut !== undefined) writer.varint(6, fanOut)
  if (mode !== undefined) writer.varint(7, mode)
  if (mtime !== undefined) writer.bytes(8, encodedTime(mtime))
  return writer.finish()
}

function encodedTime({ seconds, fractionalNanoseconds }: NonNullable<MetadataFields['mtime']>): Uint8Array {
  const writer = new ProtobufWriter()
  if (seconds !== undefined) writer.varint(1, seconds)
  if (fractionalNanoseconds !== undefined) writer.fixed32(2, fractionalNanoseconds)
  return writer.finish()
}

/** The same, read. Only the bytes that `pbBlock` would write are accepted: one way to say one thing. */
export function readPb({ cid, bytes }: Block): { data: UnixFsData; links: PbLink[] } {
  if (cid.code !== DAG_PB_CODEC) throw malformed(cid, 'its codec is neither raw nor dag-pb')
  if (bytes.length > MAX_BLOCK_BYTES) throw malformed(cid, 'it is too large')
  const node = decoded(cid, bytes)
  if (node.data === undefined) throw malformed(cid, 'it has no UnixFS data')
  const type = String(node.data.type)
  if (!isType(type)) throw malformed(cid, 'it has an unknown UnixFS type')
  const data = { ...node.data, type }
  const links = node.links.map((link) => readLink(cid, link))
  if (Buffer.compare(bytes, encoded(data, links)) !== 0) throw malformed(cid, 'it is not in canonical form')
  return { data, links }
}

/** `@ipld/dag-pb` would drop a byte order mark at the start of a name; this decoder keeps it. */
function decoded(cid: CID, bytes: Uint8Array): LegacyNode {
  try {
    return LegacyNode.decode(bytes, { limits: { links: MAX_LINKS, data: { blockSizes: MAX_LINKS } } })
  } catch (error) {
    throw malformed(cid, messageOf(error))
  }
}

const isType = (type: string): type is UnixFsData['type'] => Object.hasOwn(TYPES, type)

function readLink(cid: CID, { hash, name, tSize }: LegacyNode['links'][number]): PbLink {
  if (hash === undefined || name === undefined || tSize === undefined) throw malformed(cid, 'a link is incomplete')
  const totalBytes = Number(tSize)
  if (!Number.isSafeInteger(totalBytes)) throw malformed(cid, 'a link is too large')
  return { name, cid: readCid(cid, hash), totalBytes }
}

function readCid(cid: CID, bytes: Uint8Array<ArrayBuffer>): CID {
  let target: CID
  try {
    target = CID.decode(bytes)
  } catch (error) {
    throw malformed(cid, messageOf(error))
  }
  if (!isNodeCid(target)) throw malformed(cid, 'a link is not a CIDv1 of raw or dag-pb over SHA-256')
  return target
}

/** Can this name a node or a leaf of ours? */
export function isNodeCid({ version, code, multihash }: CID): boolean {
  const known = code === RAW_CODEC || code === DAG_PB_CODEC
  return version === 1 && known && multihash.code === SHA2_256 && multihash.digest.length === 32
}

/** Is it a chunk, with nothing below it? */
export const isLeaf = (cid: CID): boolean => cid.code === RAW_CODEC
