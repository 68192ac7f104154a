import type { Clock, TimerHandle } from '../core/clock.ts'
import type { PeerIdText } from '../core/ids.ts'
import { formatMultiaddr, isLoopbackHost, isUnspecifiedHost, parseMultiaddr } from '../membership/addresses.ts'
import type { ControlServer, Session } from '../membership/control-server.ts'
import { Neighbours } from '../network/neighbours.ts'
import { NEIGHBOUR_LIMITS, type Neighbour } from '../wire/neighbours.ts'

/** Changes of so long are told together. */
const GATHER_MS = 500

export interface NeighbourhoodDeps {
  readonly control: () => ControlServer
  /** See `Fleet.zoneOf`. */
  readonly zoneOf: (peer: PeerIdText) => string | null
  readonly clock: Clock
}

/** The connected instances that listen, and what all of them are told of it. */
export class Neighbourhood {
  readonly neighbours = new Neighbours()
  readonly #deps: NeighbourhoodDeps
  readonly #changed = new Set<PeerIdText>()
  #timer: TimerHandle | null = null

  constructor(deps: NeighbourhoodDeps) {
    this.#deps = deps
  }

  opened(session: Session): void {
    this.#note(session)
    this.#tellAll(session)
  }

  /** One that is away is none to fetch from. */
  closed(peer: PeerIdText): void {
    if (this.neighbours.get(peer) === null) return
    this.neighbours.remove(peer)
    this.#later(peer)
  }

  /** Its labels may be others now. */
  relabelled(peer: PeerIdText): void {
    const session = this.#deps.control().session(peer)
    if (session === null) return
    this.#note(session)
    this.#tellAll(session)
  }

  close(): void {
    this.#timer?.cancel()
  }

  #note({ peer, hello }: Session): void {
    const before = this.neighbours.get(peer)
    const next = { peer, zone: this.#deps.zoneOf(peer), addresses: usable(hello.addresses) }
    if (next.addresses.length === 0 && before === null) return
    if (before === null && this.neighbours.all().length >= NEIGHBOUR_LIMITS.neighboursMax) return
    this.neighbours.note(next)
    this.#later(peer)
  }

  #tellAll(session: Session): void {
    const neighbours = this.neighbours.all().filter(({ peer }) => peer !== session.peer)
    session.tellNeighbours({ whole: true, zone: this.#deps.zoneOf(session.peer), neighbours })
  }

  #later(peer: PeerIdText): void {
    this.#changed.add(peer)
    this.#timer ??= this.#deps.clock.after(GATHER_MS, () => {
      this.#timer = null
      this.#tellChanges()
    })
  }

  #tellChanges(): void {
    const gone = (peer: PeerIdText): Neighbour => ({ peer, zone: null, addresses: [] })
    const changes = [...this.#changed].map((peer) => this.neighbours.get(peer) ?? gone(peer))
    this.#changed.clear()
    for (const session of this.#deps.control().sessions()) {
      const others = changes.filter(({ peer }) => peer !== session.peer)
      if (others.length === 0) continue
      if (others.length > NEIGHBOUR_LIMITS.neighboursMax) this.#tellAll(session)
      else session.tellNeighbours({ whole: false, zone: this.#deps.zoneOf(session.peer), neighbours: others })
    }
  }
}

/** Those that somebody else could dial; those of the machine itself only where there are no others. */
function usable(addresses: readonly string[]): string[] {
  const parsed = addresses
    .flatMap((text) => parseMultiaddr(text) ?? [])
    .filter(({ host, rest }) => rest === '' && !isUnspecifiedHost(host))
  const outside = parsed.filter(({ host }) => !isLoopbackHost(host))
  const best = outside.length > 0 ? outside : parsed
  return [...new Set(best.map((address) => formatMultiaddr({ ...address, peer: null })))]
}
