import type {
  Approval,
  DrainOrder,
  InviteOrder,
  NewAdmin,
  NewUser,
  Relabel,
  WorkspaceSearch
} from '../console/inputs.ts'
import type { Caller, CoordinatorService, Topic } from '../console/service.ts'
import type {
  AdminView,
  AuditCheckView,
  AuditEntryView,
  CensusView,
  ConsoleLinkView,
  DrainView,
  InviteView,
  MoveView,
  NewAdminView,
  NewInviteView,
  NewUserView,
  PeerDetailView,
  PeerState,
  PeerView,
  RepositoryView,
  StatusView,
  UserView,
  WorkspaceDetailView,
  WorkspaceState,
  WorkspaceView
} from '../console/views.ts'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Director } from '../handover/director.ts'
import type { Holdings } from '../handover/holdings.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { PromotionHold } from '../handover/promotion-hold.ts'
import type { Rebalancer } from '../handover/rebalancer.ts'
import type { Removals } from '../handover/removals.ts'
import type { Accounts } from '../membership/accounts.ts'
import type { AuditLog } from '../membership/audit.ts'
import type { Groups } from '../membership/groups.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import { inviteLink } from '../membership/target.ts'
import type { Door } from '../routing/doors/doors.ts'
import type { RouteBook } from '../routing/routes/book.ts'
import { checkRouteLabel } from '../routing/routes/book.ts'
import type { Services } from '../routing/services.ts'
import type { MainRepository } from '../store/repository.ts'
import type { Changes } from './changes.ts'
import { orderDrain } from './drain-order.ts'
import { drainView } from './drain-view.ts'
import type { Drains } from './drains.ts'
import type { Fleet } from './fleet.ts'
import { LiveGroupBook } from './group-book.ts'
import type { GuestExpiry } from './guest-expiry.ts'
import { LiveHandovers } from './handovers.ts'
import type { Housekeeping } from './housekeeping.ts'
import type { Quotas } from './quotas.ts'
import { LiveRepositoryUpkeep } from './repository-upkeep.ts'
import { resolveWorkspace } from './resolve-workspace.ts'
import { LiveServiceCatalogue } from './service-catalogue.ts'
import { UserRegister } from './user-register.ts'
import {
  adminView,
  auditView,
  inviteView,
  peerDetail,
  peerView,
  time,
  timeOrNull,
  type Views,
  workspaceDetail,
  workspaceView
} from './views.ts'
import { LiveWorkspacePast } from './workspace-past.ts'

/** Workspaces whose unsynced changes the metrics tell one by one. */
const UNSYNCED_TOLD = 20
const MOVE_DEADLINE_MS = 10 * 60_000
const INVITE = { expiresMs: 7 * 86_400_000, uses: 1 } as const

export interface Facts {
  readonly name: string
  readonly peerId: PeerIdText
  readonly addresses: readonly string[]
  readonly http: string
  readonly admin: string
  readonly version: string
  readonly startedAtMs: number
  readonly dataFolder: string
  /** Where an invite leads: the public web address, or else a multiaddr. */
  readonly inviteTo: { readonly web: string } | { readonly address: string }
}

export interface CoordinatorServiceDeps {
  readonly facts: () => Facts
  readonly registry: MemberRegistry
  readonly accounts: Accounts
  readonly audit: AuditLog
  readonly table: OwnershipTable
  readonly director: Director
  readonly holdings: Holdings
  readonly fleet: Fleet
  readonly drains: Drains
  readonly doors: Pick<Door, 'idle' | 'breakOff'>
  readonly routeBook: RouteBook
  readonly repository: MainRepository
  readonly housekeeping: Housekeeping
  readonly hold: PromotionHold
  readonly rebalancer: Rebalancer
  readonly receiptFor: Views['receiptFor']
  readonly services: Services
  readonly groups: Groups
  /** How many a workspace should have. */
  readonly standbys: number
  readonly quotas: Quotas
  readonly removals: Removals
  readonly expiry: GuestExpiry
  readonly changes: Changes
  readonly control: Views['control']
  readonly clock: Clock
  readonly stop: () => void
}

/** The coordinator as its admins see it. */
export class LiveCoordinatorService implements CoordinatorService {
  readonly upkeep: LiveRepositoryUpkeep
  readonly past: LiveWorkspacePast
  readonly catalogue: LiveServiceCatalogue
  readonly groups: LiveGroupBook
  readonly handovers: LiveHandovers
  readonly #deps: CoordinatorServiceDeps
  readonly #views: Views
  readonly #register: UserRegister
  #stopping = false

  constructor(deps: CoordinatorServiceDeps) {
    this.#deps = deps
    this.#views = deps
    this.#register = new UserRegister(deps)
    const audit = deps.audit.append
    this.handovers = new LiveHandovers({ ...deps, audit })
    this.upkeep = new LiveRepositoryUpkeep({ ...deps, audit })
    this.catalogue = new LiveServiceCatalogue(deps)
    this.groups = new LiveGroupBook(deps)
    this.past = new LiveWorkspacePast({
      ...deps,
      audit,
      instances: deps.fleet,
      idle: deps.doors.idle.bind(deps.doors),
      resolve: (text) => resolveWorkspace(deps.table, text)
    })
  }

  ready(): boolean {
    return !this.#stopping
  }

  async status(): Promise<StatusView> {
    const { facts, table, accounts } = this.#deps
    const { name, peerId, addresses, http, admin, version, startedAtMs, dataFolder } = facts()
    const census = this.census()
    const unsynced = this.#deps.fleet.unsynced([...table.all()].map(({ signed }) => signed.value.workspace))
    const serving = census.workspaces.serving ?? 0
    return {
      role: 'coordinator',
      state: this.#stopping ? 'stopping' : 'running',
      name,
      peerId,
      addresses,
      http,
      admin,
      version,
      startedAt: time(startedAtMs),
      instances: {
        serving: census.instances.serving ?? 0,
        pending: census.instances.pending ?? 0,
        total: sum(census.instances)
      },
      workspaces: { total: table.size, waiting: table.size - serving - (census.workspaces.moving ?? 0) },
      users: accounts.users.count,
      unsyncedBytes: unsynced.bytes,
      unsyncedAgeMs: unsynced.ageMs,
      safeToSwitchOff: table.size === 0 && this.#deps.hold.reason === null,
      held: this.#deps.hold.reason,
      reason: table.size === 0 ? null : 'nothing saved is lost, but no user is served while the coordinator is off',
      repository: await this.repository(),
      dataFolder
    }
  }

  census(): CensusView {
    const { registry, fleet, table, director } = this.#deps
    const instances: Partial<Record<PeerState, number>> = {}
    for (const member of registry.members()) count(instances, fleet.stateOf(member))
    const workspaces: Partial<Record<WorkspaceState, number>> = {}
    for (const { signed } of table.all()) count(workspaces, director.state(signed.value.workspace).state)
    const unsyncedInstances = registry.members().map(({ peerId, name }) => {
      const homes = table.homesOf(peerId).map(({ signed }) => signed.value.workspace)
      return { name, ...fleet.unsynced(homes) }
    })
    return { instances, workspaces, unsyncedInstances, unsyncedWorkspaces: fleet.worstUnsynced(UNSYNCED_TOLD) }
  }

  watch(listener: (topic: Topic) => void): () => void {
    return this.#deps.changes.watch(listener)
  }

  peers(): PeerView[] {
    return this.#deps.registry.members().map((member) => peerView(this.#views, member))
  }

  peer(text: string): PeerDetailView {
    return peerDetail(this.#views, this.#member(text))
  }

  async approve({ actor }: Caller, text: string, order: Approval): Promise<PeerView> {
    const { registry } = this.#deps
    const { code, name } = order
    const options = { ...(code !== undefined && { code }), ...(name !== undefined && { name }), by: actor }
    return peerView(this.#views, await registry.approve(registry.resolve(text), options))
  }

  async deny({ actor }: Caller, text: string, reason: string): Promise<PeerView> {
    const { registry } = this.#deps
    return peerView(this.#views, await registry.deny(registry.resolve(text), reason, actor))
  }

  async revoke({ actor }: Caller, text: string, reason: string): Promise<PeerView> {
    const { registry } = this.#deps
    return peerView(this.#views, await registry.revoke(registry.resolve(text), reason, actor))
  }

  async label({ actor }: Caller, text: string, labels: Relabel['labels']): Promise<PeerView> {
    const { registry } = this.#deps
    checkRouteLabel(labels)
    return peerView(this.#views, await registry.label(registry.resolve(text), labels, actor))
  }

  drain({ actor }: Caller, text: string, order: DrainOrder): Promise<DrainView> {
    return orderDrain(this.#deps, actor, text, order)
  }

  async cancelDrain({ actor }: Caller, text: string): Promise<DrainView> {
    const { registry, drains } = this.#deps
    const report = await drains.cancel(registry.resolve(text), actor)
    if (report !== null) return drainView(report)
    throw new NodeDaemonError('ILLEGAL_TRANSITION', 'no drain is under way or planned')
  }

  async resume({ actor }: Caller, text: string): Promise<PeerView> {
    const { registry, drains, audit } = this.#deps
    const peer = registry.resolve(text)
    await audit.append({ actor, action: 'drain.resume', target: peer, details: {} })
    await drains.resume(peer)
    return peerView(this.#views, this.#member(peer))
  }

  drainOf(text: string): DrainView | null {
    const { registry, fleet, drains } = this.#deps
    const peer = registry.resolve(text)
    const isKnown = fleet.drain(peer) !== null || drains.planned(peer) !== null
    return isKnown ? drainView(drains.report(peer)) : null
  }

  async createInvite({ actor }: Caller, order: InviteOrder): Promise<NewInviteView> {
    const { registry, facts } = this.#deps
    const { expiresMs = INVITE.expiresMs, uses = INVITE.uses, labels = {} } = order
    const invite = await registry.invites.create({ expiresMs, uses, labels, by: actor })
    const link = inviteLink(invite.secret, facts().peerId, facts().inviteTo)
    return { id: invite.id, link, expiresAt: time(invite.expiresAt), uses: invite.uses }
  }

  invites(): InviteView[] {
    return this.#deps.registry.invites.list().map(inviteView)
  }

  async removeInvite({ actor }: Caller, id: string): Promise<void> {
    await this.#deps.registry.invites.remove(id, actor)
  }

  async workspaces({ search, after, limit }: WorkspaceSearch): Promise<WorkspaceView[]> {
    const ids = [...this.#deps.table.all()]
      .map(({ signed }) => signed.value.workspace)
      .filter((id) => id > after)
      .sort()
    const found: WorkspaceView[] = []
    for (const id of ids) {
      if (found.length >= limit) break
      const view = await workspaceView(this.#views, id)
      const named = [view.user, view.service, view.homeName ?? ''].some((text) => text.includes(search))
      if (id.startsWith(search) || named) found.push(view)
    }
    return found
  }

  async workspace(text: string): Promise<WorkspaceDetailView> {
    return workspaceDetail(this.#views, resolveWorkspace(this.#deps.table, text))
  }

  async move({ actor }: Caller, text: string, to: string): Promise<MoveView> {
    const { registry, director, doors, audit, fleet } = this.#deps
    const workspace = resolveWorkspace(this.#deps.table, text)
    const peer = registry.resolve(to)
    const service = this.#deps.table.get(workspace)?.signed.value.service
    const target = fleet.candidates().find((one) => one.peer === peer)
    if (target === undefined || !target.services.some((name) => name === service)) {
      const why = target === undefined ? 'does not serve now' : `does not offer the service ${service}`
      throw new NodeDaemonError('REFUSED_BY_POLICY', `${fleet.nameOf(peer)} ${why}`, {
        advice: 'see "node-daemon peers ls" for the instances that do'
      })
    }
    const signal = AbortSignal.timeout(MOVE_DEADLINE_MS)
    const idle = doors.idle.bind(doors)
    const moved = await director.move(workspace, peer, { idle, signal, keepAsStandby: true })
    await audit.append({ actor, action: 'workspace.move', target: workspace, details: { to: peer } })
    return { id: workspace, from: moved.from ?? '', to: peer, epoch: moved.epoch, pauseMs: Math.round(moved.pauseMs) }
  }

  async removeWorkspace({ actor }: Caller, text: string): Promise<void> {
    await this.#deps.removals.remove(resolveWorkspace(this.#deps.table, text), actor, 'an admin wants it')
  }

  users(): UserView[] {
    return this.#register.list()
  }

  addUser(caller: Caller, user: NewUser): Promise<NewUserView> {
    return this.#register.add(caller, user)
  }

  renewUserToken(caller: Caller, name: string): Promise<NewUserView> {
    return this.#register.renewToken(caller, name)
  }

  removeUser(caller: Caller, name: string): Promise<void> {
    return this.#register.remove(caller, name)
  }

  blockUser(caller: Caller, name: string, blocked: boolean): Promise<UserView> {
    return this.#register.block(caller, name, blocked)
  }

  setQuota(caller: Caller, name: string, bytes: number | null): Promise<UserView> {
    return this.#register.setQuota(caller, name, bytes)
  }

  admins(): AdminView[] {
    return this.#deps.accounts.admins.list().map(adminView)
  }

  addAdmin({ actor }: Caller, { name, role }: NewAdmin): Promise<NewAdminView> {
    return this.#deps.accounts.admins.add(name, role, actor)
  }

  removeAdmin({ actor }: Caller, name: string): Promise<void> {
    return this.#deps.accounts.admins.remove(name, actor)
  }

  createConsoleLink({ actor }: Caller): ConsoleLinkView {
    const { accounts, facts } = this.#deps
    const admin = actor === 'local' ? accounts.admins.first()?.name : actor
    if (admin === undefined) throw new NodeDaemonError('NOT_FOUND', 'there is no admin')
    const { secret, expiresAt } = accounts.console.createLink(admin)
    return { link: `${facts().admin}/#link=${secret}`, expiresAt: time(expiresAt) }
  }

  async repository(): Promise<RepositoryView> {
    const { repository, housekeeping } = this.#deps
    const { gcAtMs, verifyAtMs } = housekeeping.lastDone
    return { ...(await repository.stats()), lastGcAt: timeOrNull(gcAtMs), lastVerifyAt: timeOrNull(verifyAtMs) }
  }

  async audit(limit: number): Promise<AuditEntryView[]> {
    const nameOf = (target: string): string => this.#deps.fleet.nameOf(target as PeerIdText)
    return (await this.#deps.audit.list({ limit })).map((entry) => auditView(entry, nameOf))
  }

  verifyAudit(): Promise<AuditCheckView> {
    return this.#deps.audit.verify()
  }

  stop(): void {
    this.#stopping = true
    this.#deps.stop()
  }

  #member(text: string): NonNullable<ReturnType<MemberRegistry['get']>> {
    const { registry } = this.#deps
    const member = registry.get(registry.resolve(text))
    if (member === null) throw new NodeDaemonError('NOT_FOUND', `there is no peer "${text}"`)
    return member
  }
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((all, one) => all + one, 0)

function count<Key extends string>(counts: Partial<Record<Key, number>>, key: Key): void {
  counts[key] = (counts[key] ?? 0) + 1
}
