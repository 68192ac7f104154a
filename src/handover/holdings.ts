import type { CID } from 'multiformats/cid'
import type { Signed } from '../core/envelope.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { KeyedSignal } from '../core/keyed-signal.ts'
import type { Receipt } from '../core/records.ts'

/** The newest receipt of every instance for every workspace: who holds what. */
export class Holdings {
  readonly #receipts = new Map<WorkspaceId, Map<PeerIdText, Signed<Receipt>>>()
  readonly #changed = new KeyedSignal<WorkspaceId>()

  note(receipt: Signed<Receipt>): void {
    const { workspace, recipient, sequence } = receipt.value
    const byPeer = this.#receipts.get(workspace) ?? new Map<PeerIdText, Signed<Receipt>>()
    this.#receipts.set(workspace, byPeer)
    const before = byPeer.get(recipient)
    if (before !== undefined && before.value.sequence > sequence) return
    byPeer.set(recipient, receipt)
    this.#changed.tell(workspace)
  }

  /** The sequence of the newest head that the peer is known to hold; 0 for none. */
  sequence(workspace: WorkspaceId, peer: PeerIdText): number {
    return this.#receipts.get(workspace)?.get(peer)?.value.sequence ?? 0
  }

  /** The peer's receipt for exactly this head. */
  receipt(workspace: WorkspaceId, peer: PeerIdText, head: CID): Signed<Receipt> | null {
    const receipt = this.#receipts.get(workspace)?.get(peer)
    return receipt?.value.head.equals(head) === true ? receipt : null
  }

  of(workspace: WorkspaceId): Signed<Receipt>[] {
    return [...(this.#receipts.get(workspace)?.values() ?? [])]
  }

  forget(workspace: WorkspaceId, peer: PeerIdText): void {
    this.#receipts.get(workspace)?.delete(peer)
  }

  /** Resolves at the next receipt for the workspace. Rejects by the signal. */
  changed(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    return this.#changed.next(workspace, signal)
  }
}
