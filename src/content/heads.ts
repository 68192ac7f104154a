import type { CID } from 'multiformats/cid'
import type { ErrorCode } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Head, SignedHead } from '../core/records.ts'

/** The newest head of a workspace that is kept here. */
export interface Tip {
  readonly cid: CID
  readonly epoch: number
  readonly sequence: number
  readonly root: CID
}

/** What is known here of who may write. */
export interface OwnershipView {
  readonly epoch: number
  /** Null while nobody may. */
  readonly home: PeerIdText | null
  /** The head on which the epoch begins; null where there was none. */
  readonly base: CID | null
  /** The highest sealed epoch, 0 if none. */
  readonly sealedEpoch: number
}

/** `again`: the head is the tip, so that accepting it a second time changes nothing. */
export type Verdict =
  | { readonly kind: 'accept' }
  | { readonly kind: 'again' }
  | { readonly kind: 'refuse'; readonly code: ErrorCode; readonly reason: string }

/**
 * May this head become the tip of its workspace? The caller has checked the signature, passes the tip and the ownership
 * of that very workspace, and lets nothing change them until it has stored the head.
 *
 * In this order: the tip itself → again · an epoch that is over → STALE_EPOCH · a sealed one → SEALED · an epoch that
 * has not begun here, or another signer than the home → NOT_HOME · not the next of the tip, or not on the base → CONFLICT.
 */
export function judgeHead(head: SignedHead, tip: Tip | null, ownership: OwnershipView): Verdict {
  if (tip !== null && head.cid.equals(tip.cid)) return { kind: 'again' }
  return judgeWriter(head, tip, ownership) ?? judgePlace(head.value, tip, ownership) ?? { kind: 'accept' }
}

const refuse = (code: ErrorCode, reason: string): Verdict => ({ kind: 'refuse', code, reason })

function judgeWriter(
  { value: { epoch }, signer }: SignedHead,
  tip: Tip | null,
  ownership: OwnershipView
): Verdict | null {
  const current = Math.max(ownership.epoch, tip?.epoch ?? 0)
  if (epoch < current) return refuse('STALE_EPOCH', `epoch ${epoch} is over: the workspace is in epoch ${current}`)
  if (epoch <= ownership.sealedEpoch) return refuse('SEALED', `epoch ${epoch} is sealed`)
  if (epoch > ownership.epoch) {
    return refuse('NOT_HOME', `epoch ${epoch} has not begun here: the workspace is in epoch ${ownership.epoch}`)
  }
  if (signer !== ownership.home) {
    return refuse('NOT_HOME', `${signer} is not the home in epoch ${epoch}: ${ownership.home ?? 'nobody'} is`)
  }
  return null
}

function judgePlace(head: Head, tip: Tip | null, { base }: OwnershipView): Verdict | null {
  const begins = tip === null || tip.epoch < head.epoch
  if (begins && !same(base, tip?.cid ?? null)) {
    return refuse(
      'CONFLICT',
      `epoch ${head.epoch} begins on ${base ?? 'nothing'}, but the tip here is ${tip?.cid ?? 'nothing'}`
    )
  }
  if (!same(head.previous, tip?.cid ?? null)) {
    return refuse(
      'CONFLICT',
      `the head follows ${head.previous ?? 'nothing'}, but the tip here is ${tip?.cid ?? 'nothing'}`
    )
  }
  const sequence = (tip?.sequence ?? 0) + 1
  if (head.sequence !== sequence)
    return refuse('CONFLICT', `the head has sequence ${head.sequence} instead of ${sequence}`)
  return null
}

const same = (a: CID | null, b: CID | null): boolean => (a === null || b === null ? a === b : a.equals(b))
