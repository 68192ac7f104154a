import type { Clock, Instant } from '../core/clock.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { DrainSights } from '../handover/drain-deps.ts'
import type { FailureDetector } from '../handover/failure-detector.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { Session } from '../membership/control-server.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import type { Fleet } from './fleet.ts'

/** Less than this between two heartbeats says nothing about a line. */
const MEASURED_BYTES_MIN = 256 * 1024
/** How much a new measurement counts beside those before it. */
const NEWEST = 0.3

export interface LiveSightsDeps {
  readonly fleet: Fleet
  readonly table: OwnershipTable
  readonly registry: MemberRegistry
  readonly detector: FailureDetector
  readonly clock: Clock
  /** Are requests of the workspace in flight? */
  readonly isInFlight: (workspace: WorkspaceId) => boolean
  /** Are connections of its users open that speak another protocol than HTTP by now, or requests that take long? */
  readonly isHeldOpen: (workspace: WorkspaceId) => boolean
}

interface Heard {
  readonly at: Instant
  readonly bytesPerSecond: number | null
  readonly uploadLimit: number | null
  readonly atWork: ReadonlySet<WorkspaceId>
}

/** What drains see of workspaces and lines, from heartbeats and from the front door. */
export class LiveSights implements DrainSights {
  readonly #deps: LiveSightsDeps
  readonly #heard = new Map<PeerIdText, Heard>()

  constructor(deps: LiveSightsDeps) {
    this.#deps = deps
  }

  heard({ peer, heartbeat }: Session): void {
    if (heartbeat === null) return
    const now = this.#deps.clock.now()
    const before = this.#heard.get(peer)
    const bytes = heartbeat.arrived.reduce((sum, one) => sum + one.bytes, 0)
    const rate = before === undefined ? null : before.bytesPerSecond
    const { uploadLimit, busy } = heartbeat
    const since = { at: now, uploadLimit, atWork: new Set(busy) }
    if (before === undefined || bytes < MEASURED_BYTES_MIN || now <= before.at) {
      this.#heard.set(peer, { ...since, bytesPerSecond: rate })
      return
    }
    const measured = (bytes / (now - before.at)) * 1000
    const bytesPerSecond = rate === null ? measured : rate * (1 - NEWEST) + measured * NEWEST
    this.#heard.set(peer, { ...since, bytesPerSecond })
  }

  usedBytes(workspace: WorkspaceId): number {
    return this.#deps.fleet.usedBytes(workspace)
  }

  unsyncedBytes(workspace: WorkspaceId): number {
    return this.#deps.fleet.usage(workspace)?.unsyncedBytes ?? 0
  }

  isBusy(workspace: WorkspaceId): boolean {
    return this.#deps.isInFlight(workspace) || this.isOccupied(workspace)
  }

  isOccupied(workspace: WorkspaceId): boolean {
    if (this.#deps.isHeldOpen(workspace)) return true
    const home = this.#deps.table.get(workspace)?.signed.value.home ?? null
    return home !== null && this.#heard.get(home)?.atWork.has(workspace) === true
  }

  bytesPerSecond(to: PeerIdText): number | null {
    return this.#heard.get(to)?.bytesPerSecond ?? null
  }

  uploadLimit(peer: PeerIdText): number | null {
    return this.#heard.get(peer)?.uploadLimit ?? null
  }

  awaitsOthers(peer: PeerIdText): boolean {
    const { registry, detector, fleet } = this.#deps
    return registry.members().some(({ peerId, state }) => {
      const mayCome = peerId !== peer && state === 'approved' && !fleet.isDrained(peerId) && !fleet.isDraining(peerId)
      return mayCome && detector.isAwaited(peerId)
    })
  }
}
