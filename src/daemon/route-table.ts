import { type Clock, type Instant, sleep } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { OwnerId, PeerIdText, ServiceName, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Director } from '../handover/director.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { PromotionHold } from '../handover/promotion-hold.ts'
import { passes } from '../handover/workspace-state.ts'
import { readerOfNothing } from '../placement/newcomers.ts'
import type { Home, Place, ServiceRoute, Workspaces } from '../routing/neighbours.ts'
import type { Fleet } from './fleet.ts'
import type { Quotas } from './quotas.ts'

export interface RouteTableDeps {
  readonly table: OwnershipTable
  readonly director: Director
  readonly fleet: Fleet
  readonly services: { list(): readonly ServiceRoute[] }
  readonly hold: PromotionHold
  readonly quotas: Pick<Quotas, 'limitOf'>
  /** A request is sent to the home of a workspace. */
  readonly onUse?: (workspace: WorkspaceId) => void
  readonly clock: Clock
  readonly log: Logger
}

interface InFlight {
  readonly since: Instant
  readonly breakOff: () => void
}

/** A request that has taken so long is waited for like an open connection. */
const LONG_MS = 3000
const IDLE_POLL_MS = 5
const QUIET_MS_MAX = 5 * 60_000

/** Where users' workspaces are served, for the front door. */
export class RouteTable implements Workspaces {
  readonly #deps: RouteTableDeps
  /** Those of each in the order in which they were sent. */
  readonly #inFlight = new Map<WorkspaceId, Set<InFlight>>()
  /** When the last request of each ended, the longest ago first; for a while. */
  readonly #lastAt = new Map<WorkspaceId, Instant>()

  constructor(deps: RouteTableDeps) {
    this.#deps = deps
  }

  services(): readonly ServiceRoute[] {
    return this.#deps.services.list()
  }

  find(service: ServiceName, owner: OwnerId): Place | null {
    const workspace = this.#deps.table.find(service, owner)
    return workspace === null ? null : this.#place(workspace)
  }

  async create(service: ServiceName, owner: OwnerId): Promise<Place> {
    const { hold } = this.#deps
    // The user may have one of which this coordinator has not been told yet.
    if (hold.holds('old-backup')) throw new NodeDaemonError('BUSY', `no new workspaces now: ${hold.reason ?? ''}`)
    if (!this.services().some(({ name }) => name === service)) {
      throw new NodeDaemonError('NOT_FOUND', `the service ${service} is not there any more`)
    }
    return this.#place(await this.#deps.director.create(service, owner))
  }

  changed(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    return this.#deps.director.changed(workspace, signal)
  }

  anyInstance(service: ServiceName, owner: OwnerId | null): Home | null {
    // The user may have a workspace of which this coordinator has not been told yet.
    if (owner !== null && this.#deps.hold.holds('old-backup')) return null
    const first = readerOfNothing(service, owner, this.#deps.fleet.candidates())
    return first === null ? null : { home: first.peer, homeName: first.name }
  }

  suspect(home: PeerIdText): void {
    this.#deps.log.info({ home }, 'a request to this home failed')
  }

  enter(workspace: WorkspaceId, breakOff: () => void): () => void {
    this.#deps.onUse?.(workspace)
    const here = this.#inFlight.get(workspace) ?? new Set()
    this.#inFlight.set(workspace, here)
    const request = { since: this.#deps.clock.now(), breakOff }
    here.add(request)
    return () => {
      if (!here.delete(request)) return
      if (here.size === 0) this.#inFlight.delete(workspace)
      this.#noteLast(workspace)
    }
  }

  /** Is a request in flight that does not end soon: a stream of events, a large download? */
  hasLong(workspace: WorkspaceId): boolean {
    const [oldest] = this.#inFlight.get(workspace) ?? []
    return oldest !== undefined && this.#isLong(oldest)
  }

  /** Breaks requests in flight off: those that have taken long, or all of them. */
  breakOff(workspace: WorkspaceId, which: 'long' | 'all'): void {
    for (const request of [...(this.#inFlight.get(workspace) ?? [])]) {
      if (which === 'all' || this.#isLong(request)) request.breakOff()
    }
  }

  #isLong({ since }: InFlight): boolean {
    return this.#deps.clock.now() - since >= LONG_MS
  }

  isBusy(workspace: WorkspaceId): boolean {
    return this.#inFlight.has(workspace)
  }

  /** For how long nobody has asked anything of it: 0 while somebody does, five minutes for longer. */
  quietMs(workspace: WorkspaceId): number {
    if (this.#inFlight.has(workspace)) return 0
    const lastAt = this.#lastAt.get(workspace)
    return lastAt === undefined ? QUIET_MS_MAX : Math.min(QUIET_MS_MAX, this.#deps.clock.now() - lastAt)
  }

  #noteLast(workspace: WorkspaceId): void {
    const now = this.#deps.clock.now()
    this.#lastAt.delete(workspace)
    this.#lastAt.set(workspace, now)
    for (const [longest, at] of this.#lastAt) {
      if (now - at < QUIET_MS_MAX) break
      this.#lastAt.delete(longest)
    }
  }

  /** Resolves once no request of this workspace is in flight. */
  async idle(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    while (this.#inFlight.has(workspace)) await sleep(this.#deps.clock, IDLE_POLL_MS, signal)
  }

  #place(workspace: WorkspaceId): Place {
    const { table, director, fleet, quotas } = this.#deps
    const state = director.state(workspace)
    const value = table.get(workspace)?.signed.value
    const home = value?.home ?? null
    if (value === undefined || home === null) return { state: 'waiting', workspace, reason: 'orphaned' }
    if (!passes(state) || !fleet.isConnected(home)) {
      return { state: 'waiting', workspace, reason: state.state === 'frozen' ? 'moving' : 'restoring' }
    }
    const limitBytes = quotas.limitOf(value.owner, workspace)
    const place = { state: 'serving', workspace, epoch: value.epoch, home, homeName: fleet.nameOf(home) } as const
    return limitBytes === null ? place : { ...place, limitBytes }
  }
}
