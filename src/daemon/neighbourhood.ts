import type { Clock, TimerHandle } from '../core/clock.ts'
import type { PeerIdText } from '../core/ids.ts'
import { formatMultiaddr, isLoopbackHost, isUnspecifiedHost, parseMultiaddr } from '../membership/addresses.ts'
import type { ControlServer, Session } from '../membership/control-server.ts'
import { Neighbours } from '../network/neighbours.ts'
import { NEIGHBOUR_LIMITS, type Neighbour, neighbourBytes } from '../wire/neighbours.ts'

/** Changes of so long are told together. */
const GATHER_MS = 500
const DOORS_MAX = 50
/** Those that connect within that time and hear of all at once; the rest of a crowd hears of all together. */
const GREETED_MAX = 20
/** Sessions that are told before other work has its turn. */
const TOLD_AT_ONCE = 50

/** Of the members that are told of at once; the rest is for front doors. */
const NEIGHBOURS_MAX = NEIGHBOUR_LIMITS.neighboursMax - DOORS_MAX

export interface NeighbourhoodDeps {
  readonly control: () => ControlServer
  /** See `Fleet.zoneOf`. */
  readonly zoneOf: (peer: PeerIdText) => string | null
  readonly clock: Clock
}

/**
 * The connected instances that listen, and what all of them are told of it: one that connects hears of all at once, before
 * it is given anything to fetch, unless many connect together. Soon after, one that has another zone hears of all, and the
 * others of what changed. An instance may hear of itself.
 */
export class Neighbourhood {
  readonly neighbours = new Neighbours()
  readonly #deps: NeighbourhoodDeps
  readonly #changed = new Set<PeerIdText>()
  readonly #doors = new Map<PeerIdText, Neighbour>()
  /** Who is to hear of all. */
  readonly #fresh = new Set<PeerIdText>()
  /** Who heard of all at once, since the others were told. */
  #greeted = 0
  #timer: TimerHandle | null = null

  constructor(deps: NeighbourhoodDeps) {
    this.#deps = deps
  }

  opened(session: Session): void {
    this.#note(session)
    if (this.#greeted >= GREETED_MAX) return this.#refresh(session.peer)
    this.#greeted++
    this.#fresh.delete(session.peer)
    const neighbours = neighbourBytes(this.#everyone())
    session.tellNeighbours({ whole: true, zone: this.#deps.zoneOf(session.peer), neighbours })
    this.#later()
  }

  /** One that is away is none to fetch from. */
  closed(peer: PeerIdText): void {
    this.#fresh.delete(peer)
    if (this.neighbours.get(peer) === null) return
    this.neighbours.remove(peer)
    this.#changed.add(peer)
    this.#later()
  }

  /** A front door came, or went away where `addresses` is null: instances connect to it, and fetch nothing there. */
  door(peer: PeerIdText, addresses: readonly string[] | null): void {
    const told = usable(addresses ?? [])
    const isNew = !this.#doors.has(peer)
    if (isNew && (told.length === 0 || this.#doors.size >= DOORS_MAX)) return
    if (told.length === 0) this.#doors.delete(peer)
    else this.#doors.set(peer, { peer, zone: null, addresses: told })
    this.#changed.add(peer)
    this.#later()
  }

  /** Its labels may be others now. */
  relabelled(peer: PeerIdText): void {
    const session = this.#deps.control().session(peer)
    if (session === null) return
    this.#note(session)
    this.#refresh(peer)
  }

  close(): void {
    this.#timer?.cancel()
  }

  #everyone(): Neighbour[] {
    return [...this.#doors.values(), ...this.neighbours.all()]
  }

  #note({ peer, hello }: Session): void {
    const before = this.neighbours.get(peer)
    const next = { peer, zone: this.#deps.zoneOf(peer), addresses: usable(hello.addresses) }
    if (next.addresses.length === 0 && before === null) return
    if (before === null && this.neighbours.all().length >= NEIGHBOURS_MAX) return
    this.neighbours.note(next)
    this.#changed.add(peer)
  }

  #refresh(peer: PeerIdText): void {
    this.#fresh.add(peer)
    this.#later()
  }

  #later(): void {
    this.#timer ??= this.#deps.clock.after(GATHER_MS, () => this.#tellAll())
  }

  #tellAll(): void {
    const fresh = new Set(this.#fresh)
    const changed = [...this.#changed]
    this.#fresh.clear()
    this.#changed.clear()
    this.#greeted = 0
    const gone = (peer: PeerIdText): Neighbour => ({ peer, zone: null, addresses: [] })
    const news = neighbourBytes(changed.map((peer) => this.#doors.get(peer) ?? this.neighbours.get(peer) ?? gone(peer)))
    const all = fresh.size > 0 || changed.length > NEIGHBOUR_LIMITS.neighboursMax
    const everyone = all ? neighbourBytes(this.#everyone()) : news
    const tell = (session: Session): void => {
      const whole = fresh.has(session.peer) || changed.length > NEIGHBOUR_LIMITS.neighboursMax
      if (!whole && changed.length === 0) return
      const neighbours = whole ? everyone : news
      session.tellNeighbours({ whole, zone: this.#deps.zoneOf(session.peer), neighbours })
    }
    this.#inTurns(this.#deps.control().sessions(), tell)
  }

  /** What changes meanwhile is told after it: an instance hears of everything in its order. */
  #inTurns(sessions: readonly Session[], tell: (session: Session) => void): void {
    const { control, clock } = this.#deps
    for (const session of sessions.slice(0, TOLD_AT_ONCE)) {
      if (control().session(session.peer) === session) tell(session)
    }
    const rest = sessions.slice(TOLD_AT_ONCE)
    if (rest.length > 0) {
      this.#timer = clock.after(0, () => this.#inTurns(rest, tell))
      return
    }
    this.#timer = null
    if (this.#changed.size + this.#fresh.size + this.#greeted > 0) this.#later()
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
