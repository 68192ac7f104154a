import type {
  AdminView,
  AuditEntryView,
  InviteView,
  PeerDetailView,
  PeerView,
  WorkspaceDetailView,
  WorkspaceView
} from '../console/views.ts'
import type { Signed } from '../core/envelope.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Receipt, SignedHead } from '../core/records.ts'
import type { Director } from '../handover/director.ts'
import type { Holdings } from '../handover/holdings.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { Admin } from '../membership/admins.ts'
import type { AuditEntry } from '../membership/audit.ts'
import type { Invite } from '../membership/invites.ts'
import type { Member } from '../membership/member.ts'
import type { RouteBook } from '../routing/routes/book.ts'
import type { MainRepository } from '../store/repository.ts'
import { auditWords } from './audit-words.ts'
import type { Facts } from './coordinator-service.ts'
import { drainView } from './drain-view.ts'
import type { Drains } from './drains.ts'
import type { Fleet } from './fleet.ts'
import type { GuestExpiry } from './guest-expiry.ts'

/** What the views are made from. */
export interface Views {
  readonly table: OwnershipTable
  readonly director: Director
  readonly holdings: Holdings
  readonly fleet: Fleet
  readonly drains: Drains
  readonly repository: Pick<MainRepository, 'tip' | 'history' | 'diverged'>
  readonly routeBook: Pick<RouteBook, 'state'>
  /** The repository's own receipt for a head; null where it cannot give one now. */
  readonly expiry: Pick<GuestExpiry, 'expiresAtMs'>
  readonly receiptFor: (head: SignedHead) => Promise<Signed<Receipt> | null>
  readonly facts: () => Pick<Facts, 'peerId' | 'name'>
  readonly control: () => {
    session(peer: Member['peerId']): {
      readonly heartbeat: { diskTotalBytes: number; diskFreeBytes: number; pendingWork: number } | null
      readonly link: { readonly remoteAddress: string }
    } | null
  }
}

const HISTORY_MAX = 10_000

export const time = (ms: number): string => new Date(ms).toISOString()
export const timeOrNull = (ms: number | null): string | null => (ms === null ? null : time(ms))

export function peerView({ table, fleet, control, routeBook }: Views, member: Member): PeerView {
  const { peerId, code, name, contact, site, message, labels, services, version, capacityBytes } = member
  const homes = table.homesOf(peerId).map(({ signed }) => signed.value.workspace)
  const unsynced = fleet.unsynced(homes)
  const heartbeat = control().session(peerId)?.heartbeat ?? null
  const offered = fleet.offered(peerId)
  return {
    peerId,
    code,
    name,
    role: member.role,
    state: fleet.stateOf(member),
    contact,
    site,
    message,
    labels,
    services: offered?.services ?? services,
    unfit: offered?.unfit ?? {},
    newcomers: offered?.newcomers ?? null,
    version,
    lastSeenAt: timeOrNull(fleet.seenAt(peerId)),
    workspaces: homes.length,
    standbyFor: table.standbysOf(peerId).length,
    capacityBytes,
    disk:
      heartbeat === null
        ? null
        : { totalBytes: heartbeat.diskTotalBytes, freeBytes: heartbeat.diskFreeBytes, fullAt: null },
    unsyncedBytes: unsynced.bytes,
    unsyncedAgeMs: unsynced.ageMs,
    route: routeBook.state(peerId),
    pendingWork: heartbeat?.pendingWork ?? 0
  }
}

export function peerDetail(views: Views, member: Member): PeerDetailView {
  const { table, fleet, drains, control } = views
  const isKnown = fleet.drain(member.peerId) !== null || drains.planned(member.peerId) !== null
  return {
    ...peerView(views, member),
    workspaceIds: table.homesOf(member.peerId).map(({ signed }) => signed.value.workspace),
    drain: isKnown ? drainView(drains.report(member.peerId)) : null,
    address: control().session(member.peerId)?.link.remoteAddress ?? member.address,
    reason: member.reason === '' ? null : member.reason,
    askedAt: time(member.askedAt),
    decidedAt: timeOrNull(member.decidedAt)
  }
}

export async function workspaceView(views: Views, id: WorkspaceId): Promise<WorkspaceView> {
  const { table, director, holdings, fleet, repository } = views
  const owned = table.get(id)
  if (owned === null) throw new NodeDaemonError('NOT_FOUND', `there is no workspace "${id}"`)
  const { service, owner, home, epoch, standbys } = owned.signed.value
  const tip = await repository.tip(id)
  const unsynced = fleet.unsynced([id])
  const held = tip === null ? 0 : holdings.of(id).filter(({ value }) => value.head.equals(tip.head.cid)).length
  return {
    id,
    service,
    user: owner,
    home,
    homeName: home === null ? null : fleet.nameOf(home),
    epoch,
    standbys,
    state: director.state(id).state,
    head:
      tip === null
        ? null
        : { sequence: tip.tip.sequence, root: tip.tip.root.toString(), createdAt: time(tip.head.value.createdAtMs) },
    receipts: tip === null ? 0 : held + 1,
    unsyncedBytes: unsynced.bytes,
    unsyncedAgeMs: unsynced.ageMs,
    usedBytes: tip?.head.value.bytes ?? 0,
    files: tip?.head.value.files ?? 0,
    expiresAt: timeOrNull(views.expiry.expiresAtMs(id))
  }
}

export async function workspaceDetail(views: Views, id: WorkspaceId): Promise<WorkspaceDetailView> {
  const { receipts: _, ...view } = await workspaceView(views, id)
  const { holdings, fleet, repository } = views
  const tip = await repository.tip(id)
  const own = tip === null ? null : await views.receiptFor(tip.head)
  return {
    ...view,
    standbyNames: view.standbys.map((peer) => fleet.nameOf(peer as Member['peerId'])),
    diverged: (await repository.diverged(id)).map(({ cid, value, signer }) => ({
      head: cid.toString(),
      sequence: value.sequence,
      epoch: value.epoch,
      createdAt: time(value.createdAtMs),
      writer: signer
    })),
    receipts: [
      ...[...(own === null ? [] : [own]), ...holdings.of(id)].map(({ value }) => ({
        recipient: value.recipient,
        name: value.role === 'repository' ? 'main repository' : fleet.nameOf(value.recipient),
        role: value.role,
        sequence: value.sequence,
        issuedAt: time(value.issuedAtMs)
      }))
    ],
    historyCount: (await repository.history(id, { limit: HISTORY_MAX })).length,
    receipt: own === null ? null : Buffer.from(own.bytes).toString('base64')
  }
}

export const inviteView = ({ id, createdAt, createdBy, expiresAt, uses, usesLeft, labels }: Invite): InviteView => ({
  id,
  createdAt: time(createdAt),
  createdBy,
  expiresAt: time(expiresAt),
  uses,
  used: uses - usesLeft,
  labels
})

export const adminView = ({ name, role, createdAt }: Admin): AdminView => ({ name, role, createdAt: time(createdAt) })

export const auditView = (
  { number, at, actor, action, target, details }: AuditEntry,
  nameOf: (target: string) => string
): AuditEntryView => ({
  number,
  at: time(at),
  actor,
  action,
  target,
  text: auditWords({ action, details }, nameOf(target)),
  details
})
