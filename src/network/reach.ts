import { BoundedMap } from '../core/bounded-map.ts'
import { type Clock, type Instant, withTimeout } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Host, Link } from './host.ts'
import type { Neighbours } from './neighbours.ts'

const DIAL_MS = 2000
/** One that could not be reached is not tried again before. */
const REST_MS = 30_000
const RESTING_MAX = 1000
/** Connections that were made from here and stay open; beyond it the one that was used longest ago ends. */
const OPEN_MAX = 64

export interface ReachDeps {
  readonly host: Host
  readonly neighbours: Neighbours
  /** May this peer be dialled at its addresses? Others are reached over the connections that stand, or not at all. */
  readonly dials: (peer: PeerIdText) => boolean
  readonly clock: Clock
}

/** Connections between members: one for each peer, made when it is needed. */
export class Reach {
  readonly #deps: ReachDeps
  readonly #dialling = new Map<PeerIdText, Promise<Link>>()
  readonly #resting = new BoundedMap<PeerIdText, Instant>(RESTING_MAX)
  /** Links that were dialled from here, in the order of their last use. */
  readonly #dialled = new Map<PeerIdText, Link>()

  constructor(deps: ReachDeps) {
    this.#deps = deps
  }

  /** Is there a connection, or may one be made now? */
  isNear(peer: PeerIdText): boolean {
    const { host, neighbours, dials, clock } = this.#deps
    if (host.links(peer).length > 0) return true
    return neighbours.get(peer) !== null && dials(peer) && (this.#resting.get(peer) ?? 0) <= clock.now()
  }

  /** The newest connection with a peer, or a new one. @throws NodeDaemonError `OUT_OF_REACH`, `TIMED_OUT` */
  async link(peer: PeerIdText): Promise<Link> {
    const open = this.#deps.host.links(peer).at(-1)
    if (open !== undefined) {
      if (this.#dialled.delete(peer)) this.#dialled.set(peer, open)
      return open
    }
    const dialling = this.#dialling.get(peer) ?? this.#dial(peer).finally(() => this.#dialling.delete(peer))
    this.#dialling.set(peer, dialling)
    return dialling
  }

  async #dial(peer: PeerIdText): Promise<Link> {
    const { host, neighbours, clock } = this.#deps
    const neighbour = neighbours.get(peer)
    if (neighbour === null || !this.isNear(peer)) {
      throw new NodeDaemonError('OUT_OF_REACH', `${peer} cannot be reached from here now`)
    }
    try {
      const link = await withTimeout(clock, DIAL_MS, `reaching ${peer}`, (signal) =>
        host.dial(neighbour.addresses, peer, signal)
      )
      this.#keep(peer, link)
      return link
    } catch (error) {
      this.#resting.set(peer, clock.now() + REST_MS)
      throw error
    }
  }

  #keep(peer: PeerIdText, link: Link): void {
    this.#dialled.set(peer, link)
    void link.closed.then(() => {
      if (this.#dialled.get(peer) === link) this.#dialled.delete(peer)
    })
    if (this.#dialled.size <= OPEN_MAX) return
    for (const [oldest, unused] of this.#dialled) {
      this.#dialled.delete(oldest)
      void unused.close()
      return
    }
  }
}
