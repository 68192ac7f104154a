import type {
  Approval,
  DrainOrder,
  GcOrder,
  Grant,
  InstanceDrainOrder,
  InviteOrder,
  LeaveOrder,
  NewAdmin,
  NewUser,
  RebalanceOrder,
  Relabel,
  ServiceChange,
  ServiceOrder,
  SettingsChange,
  SnapshotAt,
  VerifyOrder,
  WorkspaceSearch
} from './inputs.ts'
import type { GroupView, ServiceView } from './service-views.ts'
import type {
  AdminView,
  AuditCheckView,
  AuditEntryView,
  CensusView,
  ConfirmedView,
  ConsoleLinkView,
  DrainView,
  GcView,
  HeadView,
  InstanceStatusView,
  InviteView,
  LeaveView,
  MoveView,
  NewAdminView,
  NewInviteView,
  NewUserView,
  PeerDetailView,
  PeerView,
  RebalanceView,
  ReindexView,
  RepositoryView,
  RestoreView,
  Role,
  SettingsView,
  SnapshotView,
  StatusView,
  StoppedView,
  UserView,
  VerifyView,
  WorkspaceDetailView,
  WorkspaceView
} from './views.ts'

/** A value, now or later. */
export type Answer<T> = T | Promise<T>

/** On whose behalf a change is made: for the audit log. On the unix socket the actor is `local`, an admin. */
export interface Caller {
  readonly actor: string
  readonly role: Role
}

export const TOPICS = ['peers', 'workspaces', 'drains'] as const
export type Topic = (typeof TOPICS)[number]

/**
 * What a coordinator offers to its admins. Roles, bounds and forms have been checked by the API when a method is called.
 *
 * `peer` and `workspace` are a name, an id or the unambiguous start of an id: every method that takes one throws
 * `NOT_FOUND` or `AMBIGUOUS`. A change is durable, and stands in the audit log, when its method returns. What the state
 * of a peer or workspace does not allow throws `ILLEGAL_TRANSITION` or `REFUSED_BY_POLICY`.
 */
export interface CoordinatorService {
  /** Whether members and users are served. Cheap: anyone may ask. */
  ready(): boolean
  status(): Answer<StatusView>
  /** Cheap: counted as states change, not by walking everything. */
  census(): Answer<CensusView>
  /** Calls back after each change, at once and often; the API gathers calls. Returns how to stop it. */
  watch(listener: (topic: Topic) => void): () => void

  peers(): Answer<readonly PeerView[]>
  peer(peer: string): Answer<PeerDetailView>
  /**
   * @throws NodeDaemonError `BAD_REQUEST` the code is not this peer's
   * @throws NodeDaemonError `NAME_TAKEN`
   */
  approve(caller: Caller, peer: string, order: Approval): Answer<PeerView>
  deny(caller: Caller, peer: string, reason: string): Answer<PeerView>
  /** Its connections are cut within 5 s, and what it was home of is promoted elsewhere. */
  revoke(caller: Caller, peer: string, reason: string): Answer<PeerView>
  /** Sets labels; null removes one. */
  label(caller: Caller, peer: string, labels: Relabel['labels']): Answer<PeerView>
  /**
   * Starts a drain, or plans it for later with `at`, or tells with `plan` what it would do. A second call while one runs
   * returns that one.
   *
   * @throws NodeDaemonError `REFUSED_BY_POLICY` it cannot finish: the message says why
   */
  drain(caller: Caller, peer: string, order: DrainOrder): Answer<DrainView>
  /** @throws NodeDaemonError `ILLEGAL_TRANSITION` none is under way or planned */
  cancelDrain(caller: Caller, peer: string): Answer<DrainView>
  /** Cancels a drain that is under way or planned; the peer serves on, and takes workspaces again. */
  resume(caller: Caller, peer: string): Answer<PeerView>
  /** The drain that runs or was the last one; null where there was none. */
  drainOf(peer: string): Answer<DrainView | null>

  createInvite(caller: Caller, order: InviteOrder): Answer<NewInviteView>
  invites(): Answer<readonly InviteView[]>
  removeInvite(caller: Caller, id: string): Answer<void>

  readonly catalogue: ServiceCatalogue
  readonly groups: GroupBook
  /**
   * In the order of their ids: at most `limit` of those after the id `after` whose id begins with `search`, or whose
   * user, service or home's name holds it.
   */
  workspaces(search: WorkspaceSearch): Answer<readonly WorkspaceView[]>
  workspace(workspace: string): Answer<WorkspaceDetailView>
  /** Returns once the new home serves. */
  move(caller: Caller, workspace: string, to: string): Answer<MoveView>
  /** For good, with its history. On return nobody reaches it any more. */
  removeWorkspace(caller: Caller, workspace: string): Answer<void>

  users(): Answer<readonly UserView[]>
  /** @throws NodeDaemonError `NAME_TAKEN`, `BAD_USAGE` the name has a bad form */
  addUser(caller: Caller, user: NewUser): Answer<NewUserView>
  /** The token of before does not work any more. */
  renewUserToken(caller: Caller, name: string): Answer<NewUserView>
  removeUser(caller: Caller, name: string): Answer<void>
  blockUser(caller: Caller, name: string, blocked: boolean): Answer<UserView>
  /** @param bytes over all services; null: as everybody */
  setQuota(caller: Caller, name: string, bytes: number | null): Answer<UserView>

  admins(): Answer<readonly AdminView[]>
  addAdmin(caller: Caller, admin: NewAdmin): Answer<NewAdminView>
  /** @throws NodeDaemonError `REFUSED_BY_POLICY` it is the last one with the role admin */
  removeAdmin(caller: Caller, name: string): Answer<void>
  /** A one-use link to the console, for the caller; `local` gets one for the first admin. */
  createConsoleLink(caller: Caller): Answer<ConsoleLinkView>

  repository(): Answer<RepositoryView>
  readonly upkeep: RepositoryUpkeep
  readonly past: WorkspacePast
  readonly handovers: Handovers
  /** The newest entries, newest first. */
  audit(limit: number): Answer<readonly AuditEntryView[]>
  verifyAudit(): Answer<AuditCheckView>

  /** Begins a clean stop and returns at once, so that the answer still reaches who asked. Unix socket only. */
  stop(caller: Caller): Answer<void>
}

/** What the federation runs. A change holds at once. */
export interface ServiceCatalogue {
  list(): Answer<readonly ServiceView[]>
  /** @throws NodeDaemonError `BAD_USAGE`; `NAME_TAKEN` the name or the route is taken */
  add(caller: Caller, order: ServiceOrder): Answer<ServiceView>
  /** What is not named stays. @throws NodeDaemonError `NOT_FOUND`; `BAD_USAGE`; `NAME_TAKEN` the route is taken */
  change(caller: Caller, name: string, change: ServiceChange): Answer<ServiceView>
  /** @throws NodeDaemonError `NOT_FOUND`; `REFUSED_BY_POLICY` it has workspaces */
  remove(caller: Caller, name: string): Answer<void>
}

/** Users who share workspaces. Each method that takes the name of a group throws `NOT_FOUND`. */
export interface GroupBook {
  list(): Answer<readonly GroupView[]>
  /** @throws NodeDaemonError `BAD_USAGE`; `NAME_TAKEN` */
  add(caller: Caller, name: string): Answer<GroupView>
  /** @throws NodeDaemonError `REFUSED_BY_POLICY` it has workspaces, or a service names it */
  remove(caller: Caller, name: string): Answer<void>
  /** @throws NodeDaemonError `BAD_USAGE` that is not the name of a user */
  grant(caller: Caller, name: string, grant: Grant): Answer<GroupView>
  /** @throws NodeDaemonError `NOT_FOUND` also where the user is not in it */
  revoke(caller: Caller, name: string, user: string): Answer<GroupView>
}

/** What admins decide about the homes of workspaces as a whole. */
export interface Handovers {
  /** Promotions go on. @throws NodeDaemonError `REFUSED_BY_POLICY` they are not held */
  confirmFailover(caller: Caller): Answer<ConfirmedView>
  /** Begins to spread idle workspaces over the instances, or joins the one that is under way; with `plan` only tells what it would do. */
  rebalance(caller: Caller, order: RebalanceOrder): Answer<RebalanceView>
  /** Without a plan: cheap. */
  rebalancing(): Answer<RebalanceView>
  /** What is under way comes to its end. @throws NodeDaemonError `REFUSED_BY_POLICY` none is under way */
  stopRebalance(caller: Caller): Answer<RebalanceView>
}

/** What admins do with the main repository. Each of the first three tells how it goes on, its outcome last. */
export interface RepositoryUpkeep {
  /** Reads blocks again, and repairs what is damaged from the instances that have it. Ends early by the signal. */
  verify(caller: Caller, order: VerifyOrder, signal: AbortSignal): AsyncIterable<VerifyView>
  /** @throws NodeDaemonError `BUSY` one is under way */
  gc(caller: Caller, order: GcOrder): AsyncIterable<GcView>
  reindex(caller: Caller): AsyncIterable<ReindexView>
  /**
   * The newest snapshots of all workspaces and their signed heads, as a CAR whose roots are the snapshots.
   *
   * @throws NodeDaemonError `TOO_LARGE` there are more workspaces than one CAR may name
   */
  export(caller: Caller): AsyncIterable<Uint8Array>
}

/** The retained moments of a workspace. Each throws `NOT_FOUND` where there is no such moment, or nothing at the path. */
export interface WorkspacePast {
  /** Newest first, those that diverged among them. Paths of users stand in it for an admin alone. */
  history(caller: Caller, workspace: string, limit: number): Answer<readonly HeadView[]>
  snapshot(workspace: string, at: SnapshotAt): Answer<SnapshotView>
  /** What stood at the path, as a CAR with one root. */
  export(caller: Caller, workspace: string, at: SnapshotAt): AsyncIterable<Uint8Array>
  /** Goes back to it at the workspace's home, while it is in use. */
  restore(caller: Caller, workspace: string, at: SnapshotAt): AsyncIterable<RestoreView>
}

/** What an instance offers on its unix socket. */
export interface InstanceService {
  status(): Answer<InstanceStatusView>
  /**
   * One view per change, the last with a final state. A second call joins the drain that runs. The signal ends the
   * listening only: the drain goes on.
   */
  drain(order: InstanceDrainOrder, signal: AbortSignal): AsyncIterable<DrainView>
  /** @throws NodeDaemonError `ILLEGAL_TRANSITION` no drain runs, or its last swap is done */
  cancelDrain(): Answer<DrainView>
  /** Flushes and begins to stop, to be back soon; returns before the socket closes. */
  stop(): Answer<StoppedView>
  /** Like `drain`; the last view has the state `left`. */
  leave(order: LeaveOrder, signal: AbortSignal): AsyncIterable<LeaveView>
  settings(): Answer<SettingsView>
  /** What is not named stays; null lifts a limit. Durable on return. */
  changeSettings(change: SettingsChange): Answer<SettingsView>
}

export interface Admin {
  readonly name: string
  readonly role: Role
}

/** A console session. `id` goes into the cookie, `csrf` only to the page that signed in. */
export interface Session extends Admin {
  readonly id: string
  readonly csrf: string
}

/** Who may come in through the admin listener. */
export interface AdminAccounts {
  byToken(token: string): Answer<Admin | null>
  /** The session of a one-use link. A second call with the same secret gives null. */
  redeemLink(secret: string): Answer<Session | null>
  createSession(admin: Admin): Answer<Session>
  /** The session with this id, with the admin's role of now; null once it has ended or its admin is gone. */
  session(id: string): Answer<Session | null>
  endSession(id: string): Answer<void>
  /** Counts one wrong secret from this address; false once there were too many of late. */
  attempt(address: string): boolean
}
