import type { CID } from 'multiformats/cid'
import type { PeerIdText } from '../core/ids.ts'

/**
 * Who has a snapshot. All of it is hints: a name proves nothing, and a member that is not named may have it too. Nothing
 * is durable, and nothing that fails here is an error: then nobody is named, or nobody hears of it.
 */
export interface Providers {
  /** Tells others that this host has what the content id names. Nothing is told where it does not listen. */
  announce(cid: CID): Promise<void>
  /** It is not told again. Others forget it by and by. */
  forget(cid: CID): Promise<void>
  /** Neighbours that say that they have it, without this host. Bounded in number, and in time: at most a second. */
  find(cid: CID, signal?: AbortSignal): Promise<readonly PeerIdText[]>
  close(): Promise<void>
}
