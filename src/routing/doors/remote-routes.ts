import type { Clock, Instant } from '../../core/clock.ts'
import { isGroupName, type OwnerId, type PeerIdText, type ServiceName, type WorkspaceId } from '../../core/ids.ts'
import { KeyedSignal } from '../../core/keyed-signal.ts'
import type { Logger } from '../../core/log.ts'
import { rank } from '../../placement/rendezvous.ts'
import type { DoorInstance, DoorPlace, DoorService, ToDoor } from '../../wire/front-door.ts'
import type { Flights } from '../flights.ts'
import { type Home, type Place, SCOPES, type ServiceRoute, type Workspaces } from '../neighbours.ts'

/** Stands for the workspace of somebody of whom it is not known now whether they have one. */
const UNKNOWN = '0'.repeat(32) as WorkspaceId

export interface RemoteRoutesDeps {
  readonly flights: Flights
  /** Has the coordinator place a new workspace. @throws NodeDaemonError `BUSY` */
  readonly create: (service: ServiceName, owner: OwnerId) => Promise<DoorPlace>
  readonly clock: Clock
  readonly log: Logger
}

interface Kept {
  readonly place: DoorPlace
  /** Of which stream with the coordinator it was told last. */
  readonly told: number
}

/**
 * The route table of a front door that is a process of its own, as the coordinator tells it. Requests pass while the whole
 * table is there and the lease to route lasts; otherwise all of them wait, since workspaces may be served elsewhere.
 */
export class RemoteRoutes implements Workspaces {
  readonly #deps: RemoteRoutesDeps
  readonly #kept = new Map<WorkspaceId, Kept>()
  readonly #byOwner = new Map<string, WorkspaceId>()
  readonly #changed = new KeyedSignal<WorkspaceId>()
  #services: readonly ServiceRoute[] = []
  #instances: readonly DoorInstance[] = []
  #stream = 0
  #isWhole = false
  #leaseUntil: Instant = Number.NEGATIVE_INFINITY

  constructor(deps: RemoteRoutesDeps) {
    this.#deps = deps
  }

  /** Do requests pass now? */
  get routes(): boolean {
    return this.#isWhole && this.#deps.clock.now() < this.#leaseUntil
  }

  get size(): number {
    return this.#kept.size
  }

  /** A new stream with the coordinator: everything is told again. What was told before counts until its lease has ended. */
  begin(): void {
    this.#stream += 1
  }

  tellServices(services: readonly DoorService[]): void {
    this.#services = services.flatMap((service) => serviceRoute(service) ?? [])
  }

  tellInstances(instances: readonly DoorInstance[]): void {
    this.#instances = instances
  }

  tellPlaces({ places, gone, whole }: Omit<Extract<ToDoor, { kind: 'places' }>, 'kind'>): void {
    for (const place of places) this.tellPlace(place)
    for (const workspace of gone) this.#forget(workspace)
    if (!whole) return
    for (const [workspace, { told }] of this.#kept) if (told !== this.#stream) this.#forget(workspace)
    this.#isWhole = true
    this.#changed.tellAll()
  }

  tellPlace(place: DoorPlace): void {
    const { workspace, service, owner } = place
    this.#disown(workspace)
    this.#byOwner.set(ownerKey(service, owner), workspace)
    this.#kept.set(workspace, { place, told: this.#stream })
    this.#changed.tell(workspace)
  }

  #forget(workspace: WorkspaceId): void {
    this.#disown(workspace)
    this.#kept.delete(workspace)
    this.#changed.tell(workspace)
  }

  /** The owner may have another workspace by now, of which this front door has been told before. */
  #disown(workspace: WorkspaceId): void {
    const kept = this.#kept.get(workspace)
    if (kept === undefined) return
    const key = ownerKey(kept.place.service, kept.place.owner)
    if (this.#byOwner.get(key) === workspace) this.#byOwner.delete(key)
  }

  /** It may route until then. */
  leased(until: Instant): void {
    const before = this.routes
    this.#leaseUntil = Math.max(this.#leaseUntil, until)
    if (!before && this.routes) this.#changed.tellAll()
  }

  /** Do requests of the workspace pass? */
  passes(workspace: WorkspaceId): boolean {
    return this.#kept.get(workspace)?.place.state === 'serving'
  }

  services(): readonly ServiceRoute[] {
    return this.#services
  }

  find(service: ServiceName, owner: OwnerId): Place | null {
    const workspace = this.#byOwner.get(ownerKey(service, owner))
    if (!this.routes) return { state: 'waiting', workspace: workspace ?? UNKNOWN, reason: 'starting' }
    const kept = workspace === undefined ? undefined : this.#kept.get(workspace)
    return kept === undefined ? null : placeOf(kept.place)
  }

  async create(service: ServiceName, owner: OwnerId): Promise<Place> {
    const place = await this.#deps.create(service, owner)
    this.tellPlace(place)
    return placeOf(place)
  }

  changed(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    return this.#changed.next(workspace, signal)
  }

  anyInstance(service: ServiceName, owner: OwnerId | null): Home | null {
    if (!this.routes) return null
    const offering = this.#instances.filter(({ services }) => services.includes(service))
    const [first] = rank(
      owner ?? service,
      offering,
      ({ peer }) => peer,
      () => 1
    )
    return first === undefined ? null : { home: first.peer, homeName: first.name }
  }

  suspect(home: PeerIdText): void {
    this.#deps.log.info({ home }, 'a request to this home failed')
  }

  enter(workspace: WorkspaceId, breakOff: () => void): () => void {
    return this.#deps.flights.enter(workspace, breakOff)
  }
}

const ownerKey = (service: ServiceName, owner: OwnerId): string => `${service}\n${owner}`

/** Null for one whose scope is not known here: it cannot be let in by this door. */
const serviceRoute = ({ name, host, prefix, scope: told, writers: group }: DoorService): ServiceRoute | null => {
  const scope = SCOPES.find((one) => one === told)
  if (scope === undefined) return null
  const writers = group !== '' && isGroupName(group) ? group : null
  return { name, route: host === '' ? { kind: 'path', prefix } : { kind: 'host', host }, scope, writers }
}

function placeOf({ workspace, state, epoch, home, homeName, limitBytes }: DoorPlace): Place {
  if (state !== 'serving' || home === null) {
    const reason = state === 'serving' ? 'restoring' : state
    return { state: 'waiting', workspace, reason }
  }
  const place = { state: 'serving', workspace, epoch, home, homeName } as const
  return limitBytes === null ? place : { ...place, limitBytes }
}
