import type { PeerIdText } from '../core/ids.ts'
import type { SignedHead, SignedOwnership } from '../core/records.ts'
import type { ResidentRecord } from './resident-record.ts'

type Known = Pick<ResidentRecord, 'role' | 'head' | 'ownership'>

/**
 * What was published from here or applied here was in the repository once. Where that was put back to an earlier state,
 * its newest head is not the newest of all.
 */
export function newestKnown({ head: last }: Known, tip: SignedHead | null): SignedHead | null {
  return last !== null && last.value.sequence > (tip?.value.sequence ?? 0) ? last : tip
}

/** Is this the head that was published last from this disk, or the next one, whose receipt may have been lost? */
export function isPublishedHere({ head: last }: Known, tip: SignedHead | null): boolean {
  return tip === null || last?.cid.equals(tip.cid) === true || isNext(last, tip)
}

/**
 * Is the home of before the home in a later epoch, whose base it published itself as its last? Then nobody else has
 * written in between, and what it had not published follows on that.
 */
export function staysHome(
  { role, head: last, ownership }: Known,
  { value: { base } }: SignedOwnership,
  tip: SignedHead | null,
  self: PeerIdText
): boolean {
  if (role !== 'home') return false
  if (tip === null || base === null) return tip === null && base === null && last === null
  if (!tip.cid.equals(base)) return false
  if (last?.cid.equals(tip.cid) === true) return true
  return tip.signer === self && tip.value.epoch === ownership.value.epoch && isNext(last, tip)
}

function isNext(last: SignedHead | null, { value: { previous } }: SignedHead): boolean {
  return last === null ? previous === null : previous?.equals(last.cid) === true
}
