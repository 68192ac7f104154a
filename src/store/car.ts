import { varint as varints } from 'multiformats'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { type Block, MAX_BLOCK_BYTES, RAW_CODEC } from '../core/blocks.ts'
import { NodeDaemonError } from '../core/errors.ts'

/** The framing of a pack: CAR version 1, in which a section is varint(length) · CID · bytes. */

/** A place in the log of packs: everything before it comes earlier. */
export interface Position {
  /** The number of the pack, from 1. */
  readonly pack: number
  /** Bytes from the beginning of the pack. */
  readonly offset: number
}

/** Where the bytes of a block lie. */
export interface Location extends Position {
  readonly length: number
}

const IDENTITY = 0x00
const MARKER_MAGIC = Buffer.from('nd-log-1')
const MARKER_PAYLOAD_BYTES = MARKER_MAGIC.length + 10
const MAX_SECTION_BYTES = MAX_BLOCK_BYTES + 128

/** The one root of every pack, as CAR demands one: the empty raw block. */
const EMPTY_ROOT = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')

const HEADER_ROOTS_MAX = 65_535

/**
 * `{ roots, version: 1 }` in DAG-CBOR, with its length before it.
 *
 * @param roots from 1 to 65,535, each of at most 254 bytes
 */
export function carHeader(roots: readonly CID[]): Uint8Array {
  if (roots.length < 1 || roots.length > HEADER_ROOTS_MAX) {
    throw new NodeDaemonError('BAD_REQUEST', `a CAR has from 1 to ${HEADER_ROOTS_MAX} roots here`)
  }
  const text = (value: string): Buffer => Buffer.concat([Buffer.of(0x60 + value.length), Buffer.from(value)])
  const links = roots.flatMap(({ bytes }) => [Buffer.of(0xd8, 0x2a, 0x58, bytes.length + 1, 0), bytes])
  const list = Buffer.concat([arrayHead(roots.length), ...links])
  const body = Buffer.concat([Buffer.of(0xa2), text('roots'), list, text('version'), Buffer.of(1)])
  return Buffer.concat([varint(body.length), body])
}

/** The shortest form, as DAG-CBOR demands. */
function arrayHead(length: number): Buffer {
  if (length < 24) return Buffer.of(0x80 + length)
  return length < 256 ? Buffer.of(0x98, length) : Buffer.of(0x99, length >> 8, length & 0xff)
}

/** How every pack begins. */
export const CAR_HEADER: Uint8Array = carHeader([EMPTY_ROOT])

/** What comes before the bytes of a block. */
export function sectionHead({ cid, bytes }: Block): Uint8Array {
  return Buffer.concat([varint(cid.bytes.length + bytes.length), cid.bytes])
}

/**
 * A section that says: everything up to `end` was durable when this was written, and the log goes on here. What a pack
 * holds after an `end` that a later pack names is void. Its CID is an identity CID, so that other tools read past it.
 */
export function markerBlock(end: Position): Block {
  const bytes = Buffer.alloc(MARKER_PAYLOAD_BYTES)
  MARKER_MAGIC.copy(bytes)
  bytes.writeUInt32BE(end.pack, MARKER_MAGIC.length)
  bytes.writeUIntBE(end.offset, MARKER_MAGIC.length + 4, 6)
  return identityBlock(bytes)
}

/** A block whose name is its bytes. */
export function identityBlock(bytes: Uint8Array): Block {
  return { cid: CID.createV1(RAW_CODEC, createDigest(IDENTITY, bytes)), bytes }
}

/** The bytes of a whole block of this kind; null for another one. */
export function identityPayload({ cid, bytes }: Block): Buffer | null {
  if (cid.code !== RAW_CODEC || cid.multihash.code !== IDENTITY) return null
  const payload = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return payload.equals(cid.multihash.digest) ? payload : null
}

const MARKER_HEAD_BYTES = 5
/** How long a marker's section is. */
export const MARKER_BYTES = MARKER_HEAD_BYTES + 2 * MARKER_PAYLOAD_BYTES

/** Where in `bytes` a marker may begin. */
export function* markersIn(bytes: Uint8Array): Generator<number> {
  const searched = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = searched.indexOf(MARKER_MAGIC); at >= 0; at = searched.indexOf(MARKER_MAGIC, at + 1)) {
    if (at >= MARKER_HEAD_BYTES) yield at - MARKER_HEAD_BYTES
  }
}

/** The position that a marker names; null where the block is none. */
export function markerEnd(block: Block): Position | null {
  const payload = identityPayload(block)
  if (payload?.length !== MARKER_PAYLOAD_BYTES || !payload.subarray(0, MARKER_MAGIC.length).equals(MARKER_MAGIC)) {
    return null
  }
  return {
    pack: payload.readUInt32BE(MARKER_MAGIC.length),
    offset: payload.readUIntBE(MARKER_MAGIC.length + 4, 6)
  }
}

export type Parsed =
  | { readonly kind: 'section'; readonly block: Block; readonly dataOffset: number; readonly end: number }
  /** More bytes are needed than `bytes` holds from `offset` on. */
  | { readonly kind: 'short' }
  /** These bytes are no section: what follows cannot be told apart. */
  | { readonly kind: 'broken' }

/** The section that begins at `offset` of `bytes`. Its bytes are not yet compared with its CID. */
export function parseSection(bytes: Uint8Array, offset: number): Parsed {
  const frame = readLength(bytes, offset)
  if (typeof frame === 'string') return { kind: frame }
  const [length, start] = frame
  if (length < 4 || length > MAX_SECTION_BYTES) return { kind: 'broken' }
  const end = start + length
  if (end > bytes.length) return { kind: 'short' }
  try {
    const [cid, data] = CID.decodeFirst(bytes.subarray(start, end))
    return { kind: 'section', block: { cid, bytes: data }, dataOffset: end - data.length, end }
  } catch {
    return { kind: 'broken' }
  }
}

function readLength(bytes: Uint8Array, offset: number): [number, number] | 'short' | 'broken' {
  const last = bytes.subarray(offset, offset + 4).findIndex((byte) => byte < 0x80)
  if (last < 0) return offset + 4 <= bytes.length ? 'broken' : 'short'
  try {
    const [length, size] = varints.decode(bytes, offset)
    return [length, offset + size]
  } catch {
    return 'broken'
  }
}

function varint(value: number): Uint8Array {
  return varints.encodeTo(value, new Uint8Array(varints.encodingLength(value)))
}
