import { hash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { NodeDaemonError } from './errors.ts'

/** Bytes and their name. A block is a chunk (raw) or a node of the tree above it (dag-pb). */
export interface Block {
  readonly cid: CID
  readonly bytes: Uint8Array
}

export const RAW_CODEC = 0x55
export const DAG_PB_CODEC = 0x70
const SHA2_256 = 0x12
/** The largest block that is kept, sent or received. */
export const MAX_BLOCK_BYTES = 1024 * 1024

export const sha256 = (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer')

/** Names bytes: CIDv1 over SHA-256. */
export const blockOf = (codec: number, bytes: Uint8Array): Block => hashedBlock(codec, sha256(bytes), bytes)

/** The same of bytes whose SHA-256 is known already. */
export function hashedBlock(codec: number, hashed: Uint8Array, bytes: Uint8Array): Block {
  return { cid: CID.createV1(codec, createDigest(SHA2_256, hashed)), bytes }
}

/** Do the bytes match the name? Only CIDv1 with SHA-256 is accepted. */
export function matches(block: Block): boolean {
  const { version, multihash } = block.cid
  return version === 1 && multihash.code === SHA2_256 && sha256(block.bytes).equals(multihash.digest)
}

/** @throws NodeDaemonError `INTEGRITY` when the bytes do not match the name */
export function verifyBlock(block: Block): void {
  if (block.bytes.length > MAX_BLOCK_BYTES) throw new NodeDaemonError('TOO_LARGE', `block ${block.cid} is too large`)
  if (!matches(block)) throw new NodeDaemonError('INTEGRITY', `the bytes of block ${block.cid} do not match its name`)
}
