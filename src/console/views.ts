import { z } from 'zod'
import {
  bytes,
  coordinatorLink,
  count,
  durationMs,
  labels,
  peerRole,
  progress,
  routeView,
  text,
  time,
  type View
} from './view-parts.ts'

export {
  type AdminView,
  adminView,
  type ConsoleLinkView,
  consoleLinkView,
  type NewAdminView,
  type NewUserView,
  newAdminView,
  newUserView,
  ROLES,
  type Role,
  type UserView,
  userView
} from './account-views.ts'

/** What the API answers. One schema each: the types, and the descriptions in the OpenAPI document, come from it. */

export const PEER_STATES = [
  'pending',
  'approved',
  'serving',
  'draining',
  'stalled',
  'drained',
  'dead',
  'left',
  'revoked',
  'denied'
] as const
export type PeerState = (typeof PEER_STATES)[number]

export const WORKSPACE_STATES = ['serving', 'moving', 'restoring', 'frozen', 'orphaned'] as const
export type WorkspaceState = (typeof WORKSPACE_STATES)[number]

export const repositoryView = z.object({
  blocks: count,
  storedBytes: bytes.describe('on disk'),
  logicalBytes: bytes.describe('what all newest snapshots would take without sharing'),
  heads: count,
  workspaces: count,
  packs: count,
  dedupRatio: z.number().describe('logicalBytes / storedBytes'),
  damaged: count.describe('blocks found damaged that are not yet held anew'),
  lastGcAt: time.nullable(),
  lastVerifyAt: time.nullable().describe('when all of it, or a share, was last read again')
})
export type RepositoryView = View<typeof repositoryView>

export const statusView = z.object({
  role: z.literal('coordinator'),
  state: z.enum(['running', 'stopping']),
  name: text.describe('of the federation'),
  peerId: text,
  addresses: z.array(text).describe('multiaddrs that members dial'),
  http: text.describe('address of the front door'),
  admin: text.describe('address of the console'),
  version: text,
  startedAt: time,
  instances: z.object({ serving: count, pending: count, total: count }),
  workspaces: z.object({ total: count, waiting: count.describe('that no instance serves now') }),
  users: count,
  unsyncedBytes: bytes.describe('that stand on one disk only'),
  unsyncedAgeMs: durationMs.describe('of the oldest unsynced change; 0 where there is none'),
  safeToSwitchOff: z.boolean(),
  reason: text.nullable().describe('why it is not safe'),
  held: text.nullable().describe('why no instance takes over from another now; null where it does'),
  repository: repositoryView,
  dataFolder: text
})
export type StatusView = View<typeof statusView>

export const peerView = z.object({
  peerId: text,
  code: text.describe('four words and two digits: compare them with the volunteer'),
  name: text,
  role: peerRole,
  state: z.enum(PEER_STATES),
  contact: text,
  site: text,
  message: text,
  labels,
  services: z.array(text),
  unfit: z.record(text, text).describe('services that it offers and cannot run as they are declared, and why'),
  newcomers: text.nullable().describe('why it takes no new workspaces now; null where it does'),
  version: text,
  lastSeenAt: time.nullable(),
  workspaces: count.describe('that it is home of'),
  standbyFor: count,
  capacityBytes: bytes.nullable().describe('what it offers'),
  disk: z.object({ totalBytes: bytes, freeBytes: bytes, fullAt: time.nullable() }).nullable(),
  unsyncedBytes: bytes,
  unsyncedAgeMs: durationMs,
  route: routeView.nullable(),
  pendingWork: count.describe('tasks that it was given and has not finished')
})
export type PeerView = View<typeof peerView>

export const drainView = z.object({
  state: z.enum(['serving', 'preparing', 'draining', 'stalled', 'drained', 'expired', 'cancelled', 'failed', 'left']),
  workspaces: progress,
  bytes: progress,
  etaMs: durationMs.nullable(),
  reason: text.nullable(),
  plan: z.array(
    z.object({
      workspace: text,
      to: text.nullable().describe('null: the main repository'),
      toName: text,
      bytes,
      etaMs: durationMs,
      busy: z.boolean().describe('users are at work in it: it is moved last')
    })
  ),
  waiting: z.array(text).describe('workspaces that are waited for, since users are at work in them; at most 100'),
  exits: z.boolean().describe('the process of the instance ends with it'),
  plannedAt: time.nullable().describe('when a drain is to begin'),
  unproven: z.array(text).describe('workspaces whose newest head has no receipt from elsewhere'),
  certificate: z
    .unknown()
    .describe('coordinator: the exit certificate, null before it; instance: the path of its file, null before it')
})
export type DrainView = View<typeof drainView>

/** The last line of a leave adds what became of the files on this disk. */
export const leaveView = drainView.extend({ removedFiles: count.optional() })
export type LeaveView = View<typeof leaveView>

export const peerDetailView = peerView.extend({
  workspaceIds: z.array(text),
  drain: drainView.nullable(),
  address: text.nullable().describe('from which it was last connected'),
  reason: text.nullable().describe('of its denial or revocation'),
  askedAt: time.nullable(),
  decidedAt: time.nullable()
})
export type PeerDetailView = View<typeof peerDetailView>

export const inviteView = z.object({
  id: text,
  createdAt: time,
  createdBy: text,
  expiresAt: time,
  uses: count.describe('how often it may be used in all'),
  used: count,
  labels
})
export type InviteView = View<typeof inviteView>

export const newInviteView = z.object({
  id: text,
  link: text.describe('shown once'),
  expiresAt: time,
  uses: count
})
export type NewInviteView = View<typeof newInviteView>

export const workspaceView = z.object({
  id: text,
  service: text,
  user: text.describe('whose it is: user:NAME, guest:HEX, group:NAME or service:NAME'),
  home: text.nullable().describe('peer id'),
  homeName: text.nullable(),
  epoch: count,
  standbys: z.array(text).describe('peer ids'),
  state: z.enum(WORKSPACE_STATES),
  head: z.object({ sequence: count, root: text, createdAt: time }).nullable(),
  receipts: count.describe('of the newest head'),
  unsyncedBytes: bytes,
  unsyncedAgeMs: durationMs,
  usedBytes: bytes,
  files: count,
  expiresAt: time.nullable().describe('when a guest’s workspace is removed, if nobody asks for it; null for others')
})
export type WorkspaceView = View<typeof workspaceView>

export const workspaceDetailView = workspaceView.omit({ receipts: true }).extend({
  standbyNames: z.array(text),
  diverged: z.array(z.object({ head: text, sequence: count, epoch: count, createdAt: time, writer: text })),
  receipts: z.array(z.object({ recipient: text, name: text, role: text, sequence: count, issuedAt: time })),
  historyCount: count,
  receipt: text.nullable().describe('the repository’s receipt for the newest head, base64; null where there is none')
})
export type WorkspaceDetailView = View<typeof workspaceDetailView>

export const headView = z.object({
  head: text,
  root: text,
  sequence: count,
  epoch: count,
  createdAt: time,
  writer: text.describe('peer id'),
  writerName: text,
  files: count,
  bytes,
  unsettledCount: count.describe('paths that could not be taken exactly'),
  unsettled: z.array(text).describe('those paths; for admins only, as all that tells what users have'),
  diverged: z.boolean().describe('kept beside the history: it came too late to be part of it')
})
export type HeadView = View<typeof headView>

export const snapshotView = z.object({
  workspace: text,
  head: headView,
  path: text.describe('from the root of the workspace; empty for all of it'),
  kind: z.enum(['folder', 'file', 'link']),
  cid: text.describe('of what stands at the path'),
  totalBytes: bytes.describe('of all blocks at and below it')
})
export type SnapshotView = View<typeof snapshotView>

const working = z.object({ state: z.literal('working') }).describe('said again and again until it is done')
export type WorkingView = View<typeof working>

const restored = z.object({
  state: z.literal('done'),
  workspace: text,
  from: headView.describe('the moment that was gone back to'),
  before: headView.describe('what was there; it stays in the history'),
  after: headView.describe('the newest head now'),
  pauseMs: durationMs
})
export const restoreView = z.union([working, restored])
export type RestoreView = View<typeof restoreView>
export type RestoredView = View<typeof restored>

const verifying = z.object({
  state: z.literal('working'),
  blocks: count.describe('read so far'),
  bytes,
  totalBytes: bytes.describe('to be read')
})
const verified = z.object({
  state: z.literal('done'),
  blocks: count,
  bytes,
  damaged: count.describe('found in this run'),
  repaired: count,
  left: z
    .array(z.object({ cid: text, workspaces: z.array(text).describe('up to 100 that need it') }))
    .describe('still damaged: nobody who is connected has them; at most 1,000')
})
export const verifyView = z.union([verifying, verified])
export type VerifyView = View<typeof verifyView>
export type VerifiedView = View<typeof verified>

const collected = z.object({
  state: z.literal('done'),
  headsDropped: count,
  blocksDropped: count,
  freedBytes: bytes,
  packsRewritten: count
})
export const gcView = z.union([working, collected])
export type GcView = View<typeof gcView>
export type CollectedView = View<typeof collected>

const reindexed = z.object({ state: z.literal('done'), tookMs: durationMs })
export const reindexView = z.union([working, reindexed])
export type ReindexView = View<typeof reindexView>
export type ReindexedView = View<typeof reindexed>

export const moveView = z.object({ id: text, from: text, to: text, epoch: count, pauseMs: durationMs })
export type MoveView = View<typeof moveView>

export const confirmedView = z.object({ causes: z.array(text).describe('what had held promotions') })
export type ConfirmedView = View<typeof confirmedView>

export const rebalanceView = z.object({
  state: z.enum(['idle', 'moving', 'waiting']),
  moved: count.describe('of the one that is under way, or of the last one'),
  failed: count,
  reason: text.nullable().describe('why it waits, or why the last one ended'),
  plan: z
    .array(
      z.object({
        role: z.enum(['home', 'standby']),
        workspace: text,
        from: text,
        fromName: text,
        to: text,
        toName: text,
        bytes: bytes.describe('to be copied'),
        reason: z.enum(['load', 'disk'])
      })
    )
    .describe('where it was asked for: at most 1,000 moves')
})
export type RebalanceView = View<typeof rebalanceView>

export const auditEntryView = z.object({
  number: count,
  at: time,
  actor: text,
  action: text,
  target: text,
  text: text.describe('what it tells, for people; empty where the action says it all'),
  details: z.unknown()
})
export type AuditEntryView = View<typeof auditEntryView>

export const auditCheckView = z.object({
  ok: z.boolean(),
  entries: count,
  brokenAt: count.nullable().describe('number of the first entry that does not fit')
})
export type AuditCheckView = View<typeof auditCheckView>

/** What is not proven durable elsewhere, of an instance or a workspace. */
export interface UnsyncedView {
  readonly name: string
  readonly bytes: number
  readonly ageMs: number
}

/** Members and workspaces by state, as the metrics show them. States that nobody is in may be left out. */
export interface CensusView {
  /** All members, by name. */
  readonly unsyncedInstances: readonly UnsyncedView[]
  /** The 20 workspaces with the oldest unsynced changes, by id. */
  readonly unsyncedWorkspaces: readonly UnsyncedView[]
  readonly instances: Readonly<Partial<Record<PeerState, number>>>
  readonly workspaces: Readonly<Partial<Record<WorkspaceState, number>>>
}

/** Of a CAR file, version 1. */
export const carFile = z.string().meta({ format: 'binary' })

export const done = z.object({}).describe('nothing to tell')

export const stoppedView = z.object({ state: z.literal('stopped') })
export type StoppedView = View<typeof stoppedView>

const minute = z.int().min(0).max(1439).describe('of the local day')
export const limitHours = z.object({
  fromMinute: minute,
  toMinute: minute.describe('not included; over midnight where it is not after the first'),
  limit: bytes.min(1).nullable().describe('bytes a second; null: none')
})

export const settingsView = z.object({
  uploadLimit: bytes.nullable().describe('bytes a second; null: none'),
  uploadHours: z.array(limitHours).describe('hours in which another limit holds: the first that fits'),
  downloadLimit: bytes.nullable().describe('bytes a second; null: none'),
  downloadHours: z.array(limitHours).describe('as for uploads'),
  capacity: bytes.nullable().describe('bytes; null: as the disk allows')
})
export type SettingsView = View<typeof settingsView>

export const instanceStatusView = z.object({
  role: z.literal('instance'),
  state: z.enum([
    'joining',
    'pending',
    'approved',
    'serving',
    'draining',
    'drained',
    'stopped',
    'denied',
    'revoked',
    'unreachable'
  ]),
  name: text,
  peerId: text,
  code: text,
  coordinator: coordinatorLink,
  users: count,
  workspaces: z.object({ home: count, standby: count }),
  usedBytes: bytes,
  unsyncedBytes: bytes,
  unsyncedAgeMs: durationMs,
  safeToSwitchOff: z.boolean(),
  reason: text.nullable(),
  version: text,
  startedAt: time,
  drain: drainView.nullable(),
  limits: settingsView,
  clockSkewMs: z.number().describe('this clock minus the coordinator’s').nullable()
})
export type InstanceStatusView = View<typeof instanceStatusView>
