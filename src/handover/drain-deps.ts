import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Director } from './director.ts'
import type { DrainProofsDeps } from './drain-proofs.ts'
import type { Instances, Quieting } from './neighbours.ts'

/** What a drain sees of workspaces and lines. All of it is told by instances: it makes plans, and proves nothing. */
export interface DrainSights {
  /** What a workspace's files take, in bytes. */
  usedBytes(workspace: WorkspaceId): number
  /** What its home has not published yet, in bytes. */
  unsyncedBytes(workspace: WorkspaceId): number
  /** Are requests in flight, or is it occupied? Then it is moved last. */
  isBusy(workspace: WorkspaceId): boolean
  /** Are connections open or requests that take long, or does its app say that it is at work? Then it is waited for. */
  isOccupied(workspace: WorkspaceId): boolean
  /** How fast data has reached an instance of late, in bytes a second; null where that was not measured. */
  bytesPerSecond(to: PeerIdText): number | null
  /** The limit on what an instance sends, in bytes a second; null: none. */
  uploadLimit(peer: PeerIdText): number | null
  /** Is another instance than this one away, and not dead? */
  awaitsOthers(peer: PeerIdText): boolean
}

export interface DrainDriverDeps extends DrainProofsDeps {
  readonly director: Director
  readonly instances: Instances
  readonly sights: DrainSights
  readonly idle: Quieting['idle']
  readonly breakOff: NonNullable<Quieting['breakOff']>
  readonly log: Logger
}
