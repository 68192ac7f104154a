import type { PeerState } from '../console/views.ts'
import type { Clock, Instant } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, ServiceName, WorkspaceId } from '../core/ids.ts'
import type { Ownership } from '../core/records.ts'
import type { DrainDriver } from '../handover/drain-driver.ts'
import type { FailureDetector } from '../handover/failure-detector.ts'
import type { Instances } from '../handover/neighbours.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { ControlServer, Session } from '../membership/control-server.ts'
import type { Member } from '../membership/member.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import type { Candidate } from '../placement/candidate.ts'
import { whyNoNewcomers } from '../placement/newcomers.ts'
import { type Declared, type Runnable, runnable } from '../placement/offers.ts'
import type { AcknowledgeLevel, Order, Usage } from '../wire/control.ts'
import { knows } from '../wire/revision.ts'

/** For how long the sum of what an instance's workspaces use is taken as it was. */
const USED_CACHE_MS = 1000

export interface FleetDeps {
  readonly registry: MemberRegistry
  readonly control: () => ControlServer
  readonly table: OwnershipTable
  readonly detector: () => FailureDetector
  readonly levelOf: (service: ServiceName) => AcknowledgeLevel
  /** Is this front door connected? */
  readonly isDoorOpen?: (peer: PeerIdText) => boolean
  /** See `RouteBook.leadsPast`. */
  readonly leadsPast: (peer: PeerIdText) => boolean
  readonly declared: (service: ServiceName) => Declared | null
  readonly clock: Clock
}

/** The instances of the federation as they are now: who is connected, who may take more, what they said last. */
export class Fleet implements Instances {
  readonly #deps: FleetDeps
  readonly #usage = new Map<WorkspaceId, Usage & { readonly toldAt: Instant }>()
  readonly #drains = new Map<PeerIdText, DrainDriver>()
  readonly #drained = new Set<PeerIdText>()
  readonly #seenAt = new Map<PeerIdText, number>()
  #used: { at: number; bytes: ReadonlyMap<PeerIdText, number> } | null = null

  constructor(deps: FleetDeps) {
    this.#deps = deps
  }

  candidates(): Candidate[] {
    return this.#deps
      .control()
      .sessions()
      .filter(({ peer, intent }) => intent === null && this.#takesMore(peer))
      .map((session) => this.#candidate(session))
  }

  #takesMore(peer: PeerIdText): boolean {
    return this.#deps.registry.standing(peer) === 'member' && !this.isDraining(peer) && !this.#drained.has(peer)
  }

  /** What a connected instance can run of what it offers, and why not the rest. */
  runnable({ peer, hello }: Pick<Session, 'peer' | 'hello'>): Runnable {
    const { services, versions } = hello
    const knowsOwners = knows(hello, 'owners that are no users')
    return runnable({ services, versions, labels: this.#labels(peer), knowsOwners }, this.#deps.declared)
  }

  /** What a connected instance says that it offers, and what it is not given now; null where it is away. */
  offered(peer: PeerIdText): {
    readonly services: readonly ServiceName[]
    readonly unfit: Readonly<Record<string, string>>
    readonly newcomers: string | null
  } | null {
    const session = this.#deps.control().session(peer)
    if (session === null) return null
    const candidate = this.#candidate(session)
    return {
      services: session.hello.services,
      unfit: Object.fromEntries(candidate.unfit),
      newcomers: whyNoNewcomers(candidate)
    }
  }

  /** As an admin has approved or set them. */
  #labels(peer: PeerIdText): Readonly<Record<string, string>> {
    return this.#deps.registry.get(peer)?.labels ?? {}
  }

  #candidate(session: Session): Candidate {
    const { peer, hello, heartbeat } = session
    return {
      peer,
      name: this.nameOf(peer),
      ...this.runnable(session),
      newcomers: this.#labels(peer).newcomers !== 'no',
      zone: this.#zoneOf(peer, hello.labels),
      capacityBytes: hello.capacityBytes,
      usedBytes: this.#usedBy().get(peer) ?? 0,
      freeBytes: heartbeat?.diskFreeBytes ?? hello.capacityBytes,
      diskTotalBytes: heartbeat?.diskTotalBytes ?? 0,
      loadPermille: heartbeat?.loadPermille ?? 0
    }
  }

  /** As the instance connected, unless an admin says otherwise. Null where neither says it, or it is away. */
  zoneOf(peer: PeerIdText): string | null {
    const session = this.#deps.control().session(peer)
    return session === null ? null : this.#zoneOf(peer, session.hello.labels)
  }

  #zoneOf(peer: PeerIdText, told: Session['hello']['labels']): string | null {
    const zone = this.#deps.registry.get(peer)?.labels.zone ?? told.zone ?? ''
    return zone === '' ? null : zone
  }

  isConnected(peer: PeerIdText): boolean {
    return this.#deps.control().session(peer) !== null
  }

  isGone(peer: PeerIdText): boolean {
    return !this.isConnected(peer) && this.#deps.detector().isDead(peer)
  }

  isAwaited(peer: PeerIdText): boolean {
    if (!this.#takesMore(peer)) return false
    const session = this.#deps.control().session(peer)
    return session === null ? this.#deps.detector().isAwaited(peer) : session.intent === 'restart'
  }

  mayTakeOver({ service, home }: Pick<Ownership, 'service' | 'home'>): boolean {
    const { levelOf, leadsPast, detector } = this.#deps
    if (home === null || (levelOf(service) === 'replicated' && !leadsPast(home))) return true
    if (this.isConnected(home) && !detector().isDead(home)) return true
    return detector().isLeaseOver(home)
  }

  /** See `DirectorDeps.outlivesSeal`. */
  outlivesSeal(workspace: WorkspaceId): boolean {
    const { table, levelOf, leadsPast } = this.#deps
    const owned = table.get(workspace)
    if (owned === null) return false
    const { service, home } = owned.signed.value
    return levelOf(service) === 'local' || (home !== null && leadsPast(home))
  }

  nameOf(peer: PeerIdText): string {
    return this.#deps.registry.get(peer)?.name ?? peer
  }

  async order(peer: PeerIdText, order: Order, timeoutMs: number): Promise<Uint8Array> {
    const session = this.#deps.control().session(peer)
    if (session === null) throw new NodeDaemonError('OUT_OF_REACH', `${this.nameOf(peer)} is not connected`)
    return session.order(order, timeoutMs)
  }

  noteUsage(usage: readonly Usage[]): void {
    const toldAt = this.#deps.clock.now()
    for (const one of usage) this.#usage.set(one.workspace, { ...one, toldAt })
  }

  /** The workspace is no more. */
  forget(workspace: WorkspaceId): void {
    this.#usage.delete(workspace)
  }

  noteSeen(peer: PeerIdText): void {
    this.#seenAt.set(peer, this.#deps.clock.wall())
  }

  /** Unix time at which a peer was last heard; null where it was not since the start. */
  seenAt(peer: PeerIdText): number | null {
    return this.#deps.isDoorOpen?.(peer) === true ? this.#deps.clock.wall() : (this.#seenAt.get(peer) ?? null)
  }

  usage(workspace: WorkspaceId): Usage | null {
    return this.#usage.get(workspace) ?? null
  }

  usedBytes(workspace: WorkspaceId): number {
    return this.#usage.get(workspace)?.usedBytes ?? 0
  }

  /** What is not proven durable elsewhere, of those workspaces. */
  unsynced(workspaces: readonly WorkspaceId[]): { bytes: number; ageMs: number } {
    let bytes = 0
    let ageMs = 0
    for (const workspace of workspaces) {
      bytes += this.#usage.get(workspace)?.unsyncedBytes ?? 0
      ageMs = Math.max(ageMs, this.#unsyncedAge(workspace))
    }
    return { bytes, ageMs }
  }

  /** The workspaces with the oldest changes that are not proven durable elsewhere, by id. */
  worstUnsynced(limit: number): { name: WorkspaceId; bytes: number; ageMs: number }[] {
    return [...this.#usage.keys()]
      .map((name) => ({ name, ...this.unsynced([name]) }))
      .filter(({ ageMs }) => ageMs > 0)
      .sort((a, b) => b.ageMs - a.ageMs)
      .slice(0, limit)
  }

  /** What an instance said last before it went away has grown older since. */
  #unsyncedAge(workspace: WorkspaceId): number {
    const usage = this.#usage.get(workspace)
    if (usage === undefined || usage.unsyncedAgeMs === 0) return 0
    const home = this.#deps.table.get(workspace)?.signed.value.home ?? null
    const sinceMs = home !== null && this.isConnected(home) ? 0 : Math.round(this.#deps.clock.now() - usage.toldAt)
    return usage.unsyncedAgeMs + sinceMs
  }

  drain(peer: PeerIdText): DrainDriver | null {
    return this.#drains.get(peer) ?? null
  }

  /** Those that are under way. */
  drains(): DrainDriver[] {
    return [...this.#drains.values()].filter(({ isUnderWay }) => isUnderWay)
  }

  setDrain(peer: PeerIdText, drain: DrainDriver | null): void {
    if (drain === null) this.#drains.delete(peer)
    else this.#drains.set(peer, drain)
  }

  isDraining(peer: PeerIdText): boolean {
    return this.#drains.get(peer)?.isUnderWay === true
  }

  /** Drained instances take nothing until they are resumed or start anew. */
  setDrained(peer: PeerIdText, drained: boolean): void {
    if (drained) this.#drained.add(peer)
    else this.#drained.delete(peer)
  }

  isDrained(peer: PeerIdText): boolean {
    return this.#drained.has(peer)
  }

  stateOf({ peerId, state, role }: Member): PeerState {
    if (state !== 'approved') return state
    if (role === 'front-door') return this.#deps.isDoorOpen?.(peerId) === true ? 'serving' : 'approved'
    if (this.#drained.has(peerId)) return 'drained'
    const drain = this.#drains.get(peerId)
    if (drain?.isUnderWay === true) return drain.state === 'stalled' ? 'stalled' : 'draining'
    if (this.isConnected(peerId)) return 'serving'
    if (this.#deps.detector().isDead(peerId)) return 'dead'
    return this.#deps.table.homesOf(peerId).length > 0 ? 'serving' : 'approved'
  }

  #usedBy(): ReadonlyMap<PeerIdText, number> {
    const now = this.#deps.clock.now()
    if (this.#used !== null && now - this.#used.at < USED_CACHE_MS) return this.#used.bytes
    const bytes = new Map<PeerIdText, number>()
    for (const { signed } of this.#deps.table.all()) {
      const { workspace, home, standbys } = signed.value
      const used = this.usedBytes(workspace)
      for (const peer of home === null ? standbys : [home, ...standbys]) bytes.set(peer, (bytes.get(peer) ?? 0) + used)
    }
    this.#used = { at: now, bytes }
    return bytes
  }
}
