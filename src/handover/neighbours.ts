import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Ownership } from '../core/records.ts'
import type { Candidate } from '../placement/candidate.ts'
import type { Order } from '../wire/control.ts'

/** The instances, as handover needs them. */
export interface Instances {
  /** Those that serve and may take more: connected, approved, not draining. */
  candidates(): readonly Candidate[]
  /** Is its control stream open? */
  isConnected(peer: PeerIdText): boolean
  /** Does it count as dead: not connected, and not heard for too long? */
  isGone(peer: PeerIdText): boolean
  /**
   * Is it a member that takes nothing now and may come back in time to what it holds: away and not taken for dead yet, or
   * about to start anew? Not one that drains, or was drained.
   */
  isAwaited(peer: PeerIdText): boolean
  /**
   * May another instance become the home of this workspace without a word of the one that is gone? Where changes are
   * acknowledged by the repository alone, and all requests come through the front door, its seal is enough; else the lease of the
   * home must be over. One that is
   * connected is asked, whatever its lease.
   */
  mayTakeOver(workspace: Pick<Ownership, 'service' | 'home'>): boolean
  nameOf(peer: PeerIdText): string
  /** See `Session.order`. */
  order(peer: PeerIdText, order: Order, timeoutMs: number): Promise<Uint8Array>
}

/** How the requests in flight of a workspace come to an end. */
export interface Quieting {
  /** Resolves once no request is in flight. Rejects by the signal. */
  readonly idle: (workspace: WorkspaceId, signal: AbortSignal) => Promise<void>
  /** Breaks requests in flight off, where that may be: those that have taken long, or all of them. */
  readonly breakOff?: (workspace: WorkspaceId, which: 'long' | 'all') => void
  readonly signal: AbortSignal
}
