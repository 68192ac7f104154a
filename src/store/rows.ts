import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { DAG_PB_CODEC, RAW_CODEC } from '../core/blocks.ts'
import { RECORD_CODEC } from '../core/envelope.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Location, Position } from './car.ts'

/**
 * The rows of the repository's index. All of them follow from the packs.
 *
 *   b CID                      where the block's bytes lie
 *   l WORKSPACE CID            the workspace holds the block, and perhaps its whole closure
 *   h CID                      an accepted or diverged head, with its signed bytes
 *   w WORKSPACE                its tip and its highest sealed epoch
 *   s WORKSPACE EPOCH          the tip at the time of a seal
 *   y WORKSPACE SEQUENCE       an accepted head that is retained, newest first
 *   d WORKSPACE SEQUENCE CID   a diverged head
 *   q CID                      a block that was found damaged and is not held anew
 *   m NAME                     marks: how far the packs are indexed, counters, the closure generation
 */

/** How much lies below a node. What is named in two places counts twice; at most `Number.MAX_SAFE_INTEGER`. */
export interface Counts {
  readonly blocks: number
  readonly bytes: number
}

/** `closed` says that the workspace holds all that is below, as long as `generation` is the present one. */
export interface Link {
  readonly closed: { readonly generation: number; readonly counts: Counts } | null
}

const SHA2_256 = 0x12
const CODEC_LETTERS = new Map([
  [RAW_CODEC, 'r'],
  [DAG_PB_CODEC, 'd'],
  [RECORD_CODEC, 'h']
])

/** Is this the CID of a block that may be kept: CIDv1 with SHA-256, raw, dag-pb or a signed record? */
export function isBlockCid({ version, code, multihash }: CID): boolean {
  return version === 1 && CODEC_LETTERS.has(code) && multihash.code === SHA2_256 && multihash.digest.length === 32
}

/**
 * A block's name in keys: a letter for the codec and its SHA-256 in base64url.
 *
 * @throws NodeDaemonError `BAD_REQUEST` for another kind of CID
 */
export function cidKey(cid: CID): string {
  if (!isBlockCid(cid))
    throw new NodeDaemonError('BAD_REQUEST', `blocks are named by CIDv1 with SHA-256, not by ${cid}`)
  const { digest } = cid.multihash
  const name = Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('base64url')
  return `${CODEC_LETTERS.get(cid.code)}${name}`
}

/** The CID that `cidKey` made this of. */
function cidOfKey(key: string): CID {
  const codec = [...CODEC_LETTERS].find(([, letter]) => letter === key[0])?.[0]
  if (codec === undefined) throw new NodeDaemonError('INTEGRITY', 'a key of the index names no block')
  return CID.createV1(codec, createDigest(SHA2_256, Buffer.from(key.slice(1), 'base64url')))
}

const short = (workspace: WorkspaceId): string => Buffer.from(workspace, 'hex').toString('base64url')
const padded = (value: number): string => String(value).padStart(16, '0')

export const BLOCK_ROWS = 'b'
export const blockKey = (cid: CID): string => BLOCK_ROWS + cidKey(cid)
export const cidOfBlockKey = (key: string): CID => cidOfKey(key.slice(BLOCK_ROWS.length))
export const LINK_ROWS = 'l'
export const linkRows = (workspace: WorkspaceId): string => LINK_ROWS + short(workspace)
export const linkKey = (workspace: WorkspaceId, cid: CID): string => linkRows(workspace) + cidKey(cid)
const SHORT_LENGTH = 22
export const cidOfLinkKey = (key: string): CID => cidOfKey(key.slice(LINK_ROWS.length + SHORT_LENGTH))
export const workspaceOfLinkKey = (key: string): WorkspaceId =>
  Buffer.from(key.slice(LINK_ROWS.length, LINK_ROWS.length + SHORT_LENGTH), 'base64url').toString('hex') as WorkspaceId
export const HEAD_ROWS = 'h'
export const headKey = (cid: CID): string => HEAD_ROWS + cidKey(cid)
export const cidOfHeadKey = (key: string): CID => cidOfKey(key.slice(HEAD_ROWS.length))
export const WORKSPACE_ROWS = 'w'
export const workspaceKey = (workspace: WorkspaceId): string => WORKSPACE_ROWS + workspace
export const workspaceOfKey = (key: string): WorkspaceId => key.slice(WORKSPACE_ROWS.length) as WorkspaceId
export const SEAL_ROWS = 's'
export const sealRows = (workspace: WorkspaceId): string => SEAL_ROWS + workspace
export const sealKey = (workspace: WorkspaceId, epoch: number): string => sealRows(workspace) + padded(epoch)
export const historyRows = (workspace: WorkspaceId): string => `y${workspace}`
export const historyKey = (workspace: WorkspaceId, sequence: number): string =>
  historyRows(workspace) + padded(Number.MAX_SAFE_INTEGER - sequence)
export const divergedRows = (workspace: WorkspaceId): string => `d${workspace}`
export const divergedKey = (workspace: WorkspaceId, sequence: number, cid: CID): string =>
  divergedRows(workspace) + padded(sequence) + cidKey(cid)
export const DAMAGED_ROWS = 'q'
export const damagedKey = (cid: CID): string => DAMAGED_ROWS + cidKey(cid)
export const cidOfDamagedKey = (key: string): CID => cidOfKey(key.slice(DAMAGED_ROWS.length))
/** How far the packs are indexed. */
export const INDEXED_KEY = 'mindexed'
/** The same, of which it is certain that it outlives a loss of power. */
export const CHECKPOINT_KEY = 'mcheckpoint'
export const COUNTERS_KEY = 'mcounters'
export const GENERATION_KEY = 'mgeneration'
export const FORMAT_KEY = 'mformat'
/** A pack that is being replaced: where its blocks lie must be looked up again if this stands here at the start. */
export const REPLACING_KEY = 'mreplacing'
/** Where the last share of a verification ended. */
export const VERIFIED_KEY = 'mverified'

export function encodeLocation({ pack, offset, length }: Location): Uint8Array {
  const row = Buffer.alloc(14)
  row.writeUInt32BE(pack, 0)
  row.writeUIntBE(offset, 4, 6)
  row.writeUInt32BE(length, 10)
  return row
}

export function decodeLocation(row: Uint8Array): Location {
  const bytes = buffer(row, 14)
  return { pack: bytes.readUInt32BE(0), offset: bytes.readUIntBE(4, 6), length: bytes.readUInt32BE(10) }
}

export const HELD: Link = { closed: null }

export function encodeLink({ closed }: Link): Uint8Array {
  if (closed === null) return Uint8Array.of(0)
  const row = Buffer.alloc(21)
  row[0] = 1
  row.writeUInt32BE(closed.generation, 1)
  row.writeDoubleBE(closed.counts.blocks, 5)
  row.writeDoubleBE(closed.counts.bytes, 13)
  return row
}

export function decodeLink(row: Uint8Array): Link {
  if (row[0] !== 1) return HELD
  const bytes = buffer(row, 21)
  const counts = { blocks: bytes.readDoubleBE(5), bytes: bytes.readDoubleBE(13) }
  return { closed: { generation: bytes.readUInt32BE(1), counts } }
}

/** A retained head, as retention and history need it. */
export interface HistoryRow {
  readonly cid: CID
  readonly sequence: number
  /** By the repository's own time of day, since a writer may say what it likes. */
  readonly acceptedAtMs: number
}

const ACCEPTED_BYTES = 8

export function encodeHistory({ cid, acceptedAtMs }: HistoryRow): Uint8Array {
  const accepted = Buffer.alloc(ACCEPTED_BYTES)
  accepted.writeDoubleBE(acceptedAtMs)
  return Buffer.concat([accepted, cid.bytes])
}

export function decodeHistory(key: string, row: Uint8Array): HistoryRow {
  const bytes = buffer(row, ACCEPTED_BYTES + 1)
  return {
    cid: CID.decode(bytes.subarray(ACCEPTED_BYTES)),
    sequence: Number.MAX_SAFE_INTEGER - Number(key.slice(-16)),
    acceptedAtMs: bytes.readDoubleBE(0)
  }
}

export const decodeCid = (row: Uint8Array): CID => CID.decode(row)

export const encodeJson = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))
export const decodeJson = (row: Uint8Array): unknown => JSON.parse(Buffer.from(row).toString())

export function decodePosition(row: Uint8Array): Position {
  const { pack, offset } = decodeLocation(row)
  return { pack, offset }
}

export const encodePosition = (position: Position): Uint8Array => encodeLocation({ ...position, length: 0 })

function buffer(row: Uint8Array, length: number): Buffer {
  if (row.length < length) throw new NodeDaemonError('INTEGRITY', 'a row of the index is too short')
  return Buffer.from(row.buffer, row.byteOffset, row.length)
}

/** Adds up without ever leaving the numbers that are exact. */
export function plus(a: Counts, b: Counts): Counts {
  return {
    blocks: Math.min(a.blocks + b.blocks, Number.MAX_SAFE_INTEGER),
    bytes: Math.min(a.bytes + b.bytes, Number.MAX_SAFE_INTEGER)
  }
}
