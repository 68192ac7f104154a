import type { Signed } from '../core/envelope.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Receipt, SignedHead } from '../core/records.ts'

/** A workspace that has another home now. */
export interface Moved {
  readonly workspace: WorkspaceId
  readonly from: PeerIdText | null
  readonly to: PeerIdText | null
  readonly epoch: number
  /** The head on which the new epoch begins, and the new home's receipt for it. Null where nothing was ever written. */
  readonly base: SignedHead | null
  readonly receipt: Signed<Receipt> | null
  /** How long requests were held, in milliseconds. */
  readonly pauseMs: number
}
