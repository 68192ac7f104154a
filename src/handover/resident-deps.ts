import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { PeerIdText, ServiceName, WorkspaceId } from '../core/ids.ts'
import type { KeyValue } from '../core/key-value.ts'
import type { Logger } from '../core/log.ts'
import type { Members } from '../sync/members.ts'
import type { RemoteRepository } from '../sync/repository-client.ts'
import type { SnapshotHooks } from '../sync/snapshot-hooks.ts'
import type { AcknowledgeLevel } from '../wire/control.ts'
import type { FileSystem } from '../worktree/file-system.ts'
import type { FolderWatch } from '../worktree/watch.ts'
import type { Worktree } from '../worktree/worktree.ts'

/** A workspace's directory and what surrounds it on this disk. */
export interface Premises {
  readonly files: FileSystem
  readonly worktree: Worktree
  readonly folder: string
  readonly staging: string
  /** Watches the directory for changes that nobody reports. */
  watch(onDirty: () => void): Promise<FolderWatch>
}

/** What runs around the snapshots of one workspace while this instance is its home. */
export interface HomeHooks {
  readonly hooks: SnapshotHooks
  /** The shortest time between two rounds that nobody waits for, in milliseconds. */
  readonly intervalMs: number
}

/** What runs in a workspace while this instance is its home, beside what answers requests. */
export interface HomeApp {
  /** No request is let in any more: those that wait for an app are refused with `NOT_HOME`. */
  hold(): void
  /**
   * Ends what changes files, once no request is in flight.
   *
   * @throws NodeDaemonError it would not, or took too long: `thaw` follows
   */
  freeze(signal: AbortSignal): Promise<void>
  /** Requests are let in again. */
  thaw(): void
  /** This instance is not the home any more, or stops: nothing runs on return. */
  close(): Promise<void>
}

export interface HomeApps {
  /** The coordinator said what apps of a workspace may rely on at each home. */
  keepSecret(workspace: WorkspaceId, secret: Uint8Array): void
  /** Null where nothing runs for the place's service. */
  of(place: HomePlace): HomeApp | null
}

/** A workspace that this instance is home of. */
export interface HomePlace {
  readonly workspace: WorkspaceId
  readonly service: ServiceName
  readonly epoch: number
  readonly folder: string
}

export interface ResidentDeps {
  /** Records of the workspaces that this instance has to do with. */
  readonly state: KeyValue
  readonly premises: (workspace: WorkspaceId) => Promise<Premises>
  readonly remote: (signal: AbortSignal) => Promise<RemoteRepository>
  readonly members: Members
  readonly identity: Identity
  readonly coordinator: PeerIdText
  readonly clock: Clock
  readonly log: Logger
  /** At which level changes of a service's workspaces are acknowledged. */
  readonly acknowledge: (service: ServiceName) => AcknowledgeLevel
  readonly leaseValid: () => boolean
  /** Are the files certainly as they were last written? Not after a power loss. */
  readonly filesTrusted: boolean
  /** How long files stay after their workspace was handed over, in milliseconds. */
  readonly keepMs: () => number
  /** Bytes of a workspace have come here from elsewhere. */
  readonly arrived?: (workspace: WorkspaceId, bytes: number) => void
  /** Rejects where a workspace is not to be frozen now: users have begun to work in it. Asked while its requests are held. */
  readonly checkQuiet?: (workspace: WorkspaceId) => Promise<void>
  /** Null where nothing runs around the snapshots of the place's service. */
  readonly hooksFor: (place: HomePlace) => HomeHooks | null
  readonly apps?: HomeApps
}

export const notHome = (workspace: WorkspaceId): NodeDaemonError =>
  new NodeDaemonError('NOT_HOME', `workspace ${workspace} is not served here now`)
