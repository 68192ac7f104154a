import { BoundedMap } from '../core/bounded-map.ts'
import type { Clock, Instant } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import {
  isGroupName,
  isUserId,
  type OwnerId,
  ownerOfService,
  type PeerIdText,
  type ServiceName,
  type WorkspaceId
} from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Director } from '../handover/director.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { PromotionHold } from '../handover/promotion-hold.ts'
import { passes } from '../handover/workspace-state.ts'
import type { Groups } from '../membership/groups.ts'
import type { Users } from '../membership/users.ts'
import { readerOfNothing } from '../placement/newcomers.ts'
import { Flights } from '../routing/flights.ts'
import type { Home, Place, ServiceRoute, Workspaces } from '../routing/neighbours.ts'
import type { Fleet } from './fleet.ts'
import type { Quotas } from './quotas.ts'

const READER_MS = 1000
const READERS_MAX = 10_000

export interface RouteTableDeps {
  readonly table: OwnershipTable
  readonly director: Director
  readonly fleet: Fleet
  readonly services: { list(): readonly ServiceRoute[] }
  readonly groups: Pick<Groups, 'has'>
  readonly users: Pick<Users, 'isBlocked'>
  readonly hold: PromotionHold
  readonly quotas: Pick<Quotas, 'limitOf'>
  /** A request is sent to the home of a workspace. */
  readonly onUse?: (workspace: WorkspaceId) => void
  readonly clock: Clock
  readonly log: Logger
}

const GROUP = 'group:'

/** Where users' workspaces are served, for the front door. */
export class RouteTable implements Workspaces {
  readonly #deps: RouteTableDeps
  readonly flights: Flights
  /** All candidates are weighed to find one: too dear for each request. */
  readonly #readers = new BoundedMap<string, Home & { readonly until: Instant }>(READERS_MAX)

  constructor(deps: RouteTableDeps) {
    this.#deps = deps
    this.flights = new Flights(deps.clock)
  }

  services(): readonly ServiceRoute[] {
    return this.#deps.services.list()
  }

  find(service: ServiceName, owner: OwnerId): Place | null {
    const workspace = this.#deps.table.find(service, owner)
    return workspace === null ? null : this.place(workspace)
  }

  /**
   * @throws NodeDaemonError `BUSY`; `NOT_FOUND` no such service, or no such group; `FORBIDDEN` the owner is shut out, or
   *   is none that the service has workspaces for
   */
  async create(service: ServiceName, owner: OwnerId): Promise<Place> {
    const { hold } = this.#deps
    // The user may have one of which this coordinator has not been told yet.
    if (hold.holds('old-backup')) throw new NodeDaemonError('BUSY', `no new workspaces now: ${hold.reason ?? ''}`)
    const declared = this.services().find(({ name }) => name === service)
    if (declared === undefined) throw new NodeDaemonError('NOT_FOUND', `the service ${service} is not there any more`)
    this.#checkOwner(declared, owner)
    return this.place(await this.#deps.director.create(service, owner))
  }

  /** What a front door says of an owner is not taken for granted. */
  #checkOwner({ name, scope }: ServiceRoute, owner: OwnerId): void {
    const { groups, users } = this.#deps
    const group = owner.startsWith(GROUP) ? owner.slice(GROUP.length) : ''
    if (scope === 'group' && isGroupName(group)) {
      if (groups.has(group)) return
      throw new NodeDaemonError('NOT_FOUND', `there is no group "${group}" any more`)
    }
    if (scope === 'user' && isUserId(owner) && !users.isBlocked(owner)) return
    if (scope === 'service' && owner === ownerOfService(name)) return
    throw new NodeDaemonError('FORBIDDEN', `${owner} gets no workspace of ${name}`)
  }

  changed(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    return this.#deps.director.changed(workspace, signal)
  }

  anyInstance(service: ServiceName, owner: OwnerId | null): Home | null {
    const { hold, fleet, clock } = this.#deps
    // The user may have a workspace of which this coordinator has not been told yet.
    if (owner !== null && hold.holds('old-backup')) return null
    const key = `${service} ${owner ?? ''}`
    const before = this.#readers.get(key)
    if (before !== undefined && clock.now() < before.until && fleet.isConnected(before.home)) return before
    const first = readerOfNothing(service, owner, fleet.candidates())
    if (first === null) return null
    const reader = { home: first.peer, homeName: first.name, until: clock.now() + READER_MS }
    this.#readers.set(key, reader)
    return reader
  }

  suspect(home: PeerIdText): void {
    this.#deps.log.info({ home }, 'a request to this home failed')
  }

  /** A request was sent to the home of a workspace, by whichever front door. */
  used(workspace: WorkspaceId): void {
    this.#deps.onUse?.(workspace)
  }

  enter(workspace: WorkspaceId, breakOff: () => void): () => void {
    this.used(workspace)
    return this.flights.enter(workspace, breakOff)
  }

  /** Where a workspace that there is is served. */
  place(workspace: WorkspaceId): Place {
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
