import type { Clock } from '../core/clock.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Ownership, SignedHead } from '../core/records.ts'
import type { Host } from '../network/host.ts'
import { Neighbours } from '../network/neighbours.ts'
import type { Providers } from '../network/providers.ts'
import { Reach } from '../network/reach.ts'
import { Announcements } from '../sync/announcements.ts'
import type { Members, NearBlocks } from '../sync/members.ts'
import { NearMembers } from '../sync/near-blocks.ts'
import type { RateLimit } from '../sync/rate-limit.ts'
import { NEIGHBOUR_LIMITS, type NeighbourNews } from '../wire/neighbours.ts'
import { byReach } from './addresses.ts'
import { DoorLinks } from './door-links.ts'
import type { KnownMembers } from './known-members.ts'
import type { Pin } from './pin.ts'
import type { Trusted } from './trusted.ts'

/** What the coordinator is told of where this host listens: those that reach furthest, as far as there is room. */
export const toldAddresses = (addresses: readonly string[]): string[] =>
  byReach(addresses)
    .filter((address) => address.length <= NEIGHBOUR_LIMITS.addressMax)
    .slice(0, NEIGHBOUR_LIMITS.addressesMax)

export interface VicinityDeps {
  readonly host: Host
  readonly trusted: Trusted
  readonly pin: Pick<Pin, 'peer'>
  readonly openProviders: (neighbours: Neighbours, reach: Reach) => Promise<Providers>
  readonly download: RateLimit
  readonly clock: Clock
  readonly log: Logger
}

/** The members around an instance: who listens, who has what, and how they are reached. */
export class Vicinity implements Members {
  readonly #deps: VicinityDeps
  readonly #neighbours: Neighbours
  readonly #providers: Providers
  readonly #announcements: Announcements
  readonly #members: NearMembers
  readonly #doors: DoorLinks
  #zone: string | null = null

  private constructor(deps: VicinityDeps, neighbours: Neighbours, reach: Reach, providers: Providers) {
    const { host, clock } = deps
    this.#deps = deps
    this.#neighbours = neighbours
    this.#providers = providers
    this.#announcements = new Announcements(providers, clock)
    this.#doors = new DoorLinks(deps)
    this.#members = new NearMembers({
      ...deps,
      self: host.peerId,
      zone: () => this.#zone,
      neighbours,
      reach,
      providers
    })
  }

  /** `members`: of the newest list that is known. */
  static async open(deps: VicinityDeps, members: Pick<KnownMembers, 'peers' | 'doors'>): Promise<Vicinity> {
    const { host, trusted, pin, clock } = deps
    trusted.listed(members.peers(), members.doors())
    const neighbours = new Neighbours()
    // A connection with the coordinator beside those that it knows would take users' requests, and then end.
    const dials = (peer: PeerIdText): boolean => peer !== pin.peer && trusted.isMember(peer)
    const reach = new Reach({ host, neighbours, dials, clock })
    return new Vicinity(deps, neighbours, reach, await deps.openProviders(neighbours, reach))
  }

  /** The coordinator is connected: it is asked like a member that listens. */
  connected(addresses: readonly string[]): void {
    this.#neighbours.note({ peer: this.#deps.pin.peer, zone: null, addresses })
  }

  told({ whole, zone, neighbours }: NeighbourNews): void {
    const { pin, host } = this.#deps
    this.#zone = zone
    const kept = new Set([pin.peer, ...neighbours.map(({ peer }) => peer)])
    if (whole) for (const { peer } of this.#neighbours.all()) if (!kept.has(peer)) this.#neighbours.remove(peer)
    if (whole) for (const peer of this.#doors.peers()) if (!kept.has(peer)) this.#doors.forget(peer)
    for (const one of neighbours) {
      const isNew = this.#neighbours.get(one.peer) === null
      if (one.peer === host.peerId || one.peer === pin.peer) continue
      if (this.#deps.trusted.isDoor(one.peer)) {
        this.#doors.note(one)
        continue
      }
      if (isNew && this.#neighbours.all().length > NEIGHBOUR_LIMITS.neighboursMax) continue
      this.#neighbours.note(one)
    }
  }

  /** A newer member list is there. Who is on it no more is cut off. */
  listed(members: readonly PeerIdText[], doors: readonly PeerIdText[] = []): void {
    const { trusted, host } = this.#deps
    for (const peer of trusted.listed(members, doors)) {
      this.#neighbours.remove(peer)
      this.#doors.forget(peer)
      host.cut(peer, 'it is no member any more')
    }
  }

  near(head: SignedHead, ownership: Ownership, signal: AbortSignal): NearBlocks {
    return this.#members.open(head, ownership, signal)
  }

  holds({ value, cid }: SignedHead): void {
    if (this.#deps.host.addresses().length > 0) this.#announcements.holds(value.workspace, cid)
  }

  letGo(workspace: WorkspaceId): void {
    this.#announcements.letGo(workspace)
  }

  async close(): Promise<void> {
    this.#doors.close()
    // Nothing more is announced, and what is under way ends with the providers.
    await Promise.all([this.#announcements.close(), this.#providers.close()])
  }
}
