import type { CID } from 'multiformats/cid'
import type { Block } from '../core/blocks.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Ownership, SignedHead } from '../core/records.ts'

/** Blocks of one head from other members. */
export interface NearBlocks {
  /** Of these, what members near give, verified. What they do not give is left out. Rejects by the signal only. */
  want(cids: readonly CID[]): Promise<Block[]>
  close(): Promise<void>
}

/** The other members that have the same workspaces, as far as they can be reached directly. */
export interface Members {
  /** `ownership`: who may have the head. */
  near(head: SignedHead, ownership: Ownership, signal: AbortSignal): NearBlocks
  /** The head's tree is on this disk: others may be told. */
  holds(head: SignedHead): void
  /** It is not any more. */
  letGo(workspace: WorkspaceId): void
}
