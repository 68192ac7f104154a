import type { PeerIdText } from '../core/ids.ts'
import type { Receipt, SignedHead } from '../core/records.ts'

/** What a recipient says of a head once its whole closure is durable with it. */
export function receiptOf(
  head: SignedHead,
  counts: { readonly blocks: number; readonly bytes: number },
  role: Receipt['role'],
  recipient: PeerIdText,
  issuedAtMs: number
): Receipt {
  const { workspace, epoch, sequence, root } = head.value
  return {
    workspace,
    epoch,
    sequence,
    head: head.cid,
    root,
    blocks: counts.blocks,
    bytes: counts.bytes,
    durability: 'fsynced',
    role,
    issuedAtMs,
    recipient
  }
}
