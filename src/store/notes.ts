import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { Block } from '../core/blocks.ts'
import { RECORD_CODEC } from '../core/envelope.ts'
import { identityBlock, identityPayload } from './car.ts'

/**
 * Sections of a pack that say something about heads. Their CIDs are identity CIDs, so that other tools read past them.
 * A rebuild of the index takes what they say, since history that was thinned does not show it any more.
 */
export type Note =
  /** How the head in the record after this note was judged, and when it was accepted, where that is known. */
  | { readonly kind: 'verdict'; readonly head: CID; readonly as: HeadKind; readonly acceptedAtMs: number | null }
  /** These heads, whose records stand before, are in no history any more. */
  | { readonly kind: 'dropped'; readonly heads: readonly CID[] }

export type HeadKind = 'accepted' | 'diverged'

/** So many heads are named by one note at most: some tools refuse identity CIDs that are much longer. */
export const DROPPED_HEADS = 32

const SHA2_256 = 0x12
const DIGEST_BYTES = 32
const TIME_BYTES = 6
const VERDICT_MAGIC = Buffer.from('nd-head1')
const ACCEPTED_MAGIC = Buffer.from('nd-head2')
const DROPPED_MAGIC = Buffer.from('nd-drop1')
const KINDS: readonly HeadKind[] = ['accepted', 'diverged']

/** @param acceptedAtMs the repository's time of day at which it accepted the head; null where that is not known */
export function verdictNote(head: CID, as: HeadKind, acceptedAtMs: number | null = null): Block {
  if (as === 'accepted' && acceptedAtMs !== null) return acceptedNote(head, acceptedAtMs)
  return identityBlock(Buffer.concat([VERDICT_MAGIC, Buffer.of(KINDS.indexOf(as)), head.multihash.digest]))
}

function acceptedNote(head: CID, acceptedAtMs: number): Block {
  const time = Buffer.alloc(TIME_BYTES)
  time.writeUIntBE(acceptedAtMs, 0, TIME_BYTES)
  return identityBlock(Buffer.concat([ACCEPTED_MAGIC, time, head.multihash.digest]))
}

/** @param heads from 1 to `DROPPED_HEADS` */
export function droppedNote(heads: readonly CID[]): Block {
  return identityBlock(Buffer.concat([DROPPED_MAGIC, ...heads.map(({ multihash }) => multihash.digest)]))
}

/** What a section says about heads; null where it is no note. */
export function noteOf(block: Block): Note | null {
  const payload = identityPayload(block)
  if (payload === null) return null
  const magic = payload.subarray(0, VERDICT_MAGIC.length)
  const rest = payload.subarray(VERDICT_MAGIC.length)
  if (magic.equals(VERDICT_MAGIC)) return verdictOf(rest)
  if (magic.equals(ACCEPTED_MAGIC)) return acceptedOf(rest)
  return magic.equals(DROPPED_MAGIC) ? droppedOf(rest) : null
}

function verdictOf(rest: Buffer): Note | null {
  const as = KINDS[rest[0] ?? KINDS.length]
  if (as === undefined || rest.length !== 1 + DIGEST_BYTES) return null
  return { kind: 'verdict', head: headCid(rest.subarray(1)), as, acceptedAtMs: null }
}

function acceptedOf(rest: Buffer): Note | null {
  if (rest.length !== TIME_BYTES + DIGEST_BYTES) return null
  const acceptedAtMs = rest.readUIntBE(0, TIME_BYTES)
  return { kind: 'verdict', head: headCid(rest.subarray(TIME_BYTES)), as: 'accepted', acceptedAtMs }
}

function droppedOf(rest: Buffer): Note | null {
  const count = rest.length / DIGEST_BYTES
  if (!Number.isInteger(count) || count < 1 || count > DROPPED_HEADS) return null
  const at = (index: number): Buffer => rest.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES)
  return { kind: 'dropped', heads: Array.from({ length: count }, (_, index) => headCid(at(index))) }
}

const headCid = (digest: Uint8Array): CID => CID.createV1(RECORD_CODEC, createDigest(SHA2_256, Uint8Array.from(digest)))
