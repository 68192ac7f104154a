import type { PeerIdText, ServiceName, WorkspaceId } from '../core/ids.ts'
import { type Candidate, RESERVE_BYTES, roomOf } from './candidate.ts'
import { rank } from './rendezvous.ts'

export interface ToPlace {
  readonly workspace: WorkspaceId
  readonly service: ServiceName
  readonly bytes: number
}

/** Those that may take a workspace, best first. */
export function eligible(what: ToPlace, candidates: readonly Candidate[]): Candidate[] {
  const able = candidates.filter((one) => isAble(what, one))
  return rank(
    what.workspace,
    able,
    (one) => one.peer,
    (one) => roomOf(one) / RESERVE_BYTES
  )
}

const isAble = (what: ToPlace, one: Candidate): boolean =>
  one.services.includes(what.service) && roomOf(one) > what.bytes

/** The home of a new workspace; null where no instance can take it. */
export function chooseHome(what: ToPlace, candidates: readonly Candidate[]): Candidate | null {
  return eligible(what, candidates)[0] ?? null
}

/**
 * The standbys that a workspace should have: those that it has and that may stay, then the best others, of zones that
 * are not among them before any other. Fewer than `count` where there are not enough. `isAwaited`: no candidate for now,
 * and about to be one again with all that it holds.
 */
export function chooseStandbys(
  what: ToPlace,
  home: PeerIdText | null,
  current: readonly PeerIdText[],
  candidates: readonly Candidate[],
  count: number,
  isAwaited: (peer: PeerIdText) => boolean
): PeerIdText[] {
  const others = candidates.filter((one) => one.peer !== home && one.services.includes(what.service))
  const stays = (peer: PeerIdText): boolean => others.some((one) => one.peer === peer) || isAwaited(peer)
  const chosen = current.filter((peer) => peer !== home && stays(peer)).slice(0, count)
  const zones = new Zones(candidates, home === null ? chosen : [home, ...chosen])
  const left = eligible(what, others).filter(({ peer }) => !chosen.includes(peer))
  while (chosen.length < count) {
    const next = left.find((one) => zones.isElsewhere(one)) ?? left[0]
    if (next === undefined) break
    left.splice(left.indexOf(next), 1)
    zones.take(next)
    chosen.push(next.peer)
  }
  return chosen
}

/** Could one more stand by? Cheap: for each of many workspaces. */
export function mayGrow(
  what: ToPlace,
  home: PeerIdText | null,
  standbys: readonly PeerIdText[],
  candidates: readonly Candidate[]
): boolean {
  return candidates.some((one) => one.peer !== home && !standbys.includes(one.peer) && isAble(what, one))
}

/** One standby in the place of another. */
export interface Exchange {
  readonly add: PeerIdText
  readonly drop: PeerIdText
}

/**
 * What spreads a workspace over one zone more: an instance of a zone where it is not yet, for a standby that shares its
 * zone with the home or with a standby before it, or has none. Null where that is not to be had, and while it has no
 * home: nothing moves that is no gain.
 */
export function betterSpread(
  what: ToPlace,
  home: PeerIdText | null,
  standbys: readonly PeerIdText[],
  candidates: readonly Candidate[]
): Exchange | null {
  const drop = home === null ? undefined : badlyPlaced(home, standbys, (peer) => zoneOf(candidates, peer))
  if (home === null || drop === undefined) return null
  const kept = [home, ...standbys.filter((peer) => peer !== drop)]
  const zones = new Zones(candidates, kept)
  const elsewhere = candidates.filter((one) => !standbys.includes(one.peer) && zones.isElsewhere(one))
  const [add] = eligible(what, elsewhere)
  return add === undefined ? null : { add: add.peer, drop }
}

/** The last standby that adds no zone. Cheap: for each of many workspaces. */
export function badlyPlaced(
  home: PeerIdText,
  standbys: readonly PeerIdText[],
  zone: (peer: PeerIdText) => string | null
): PeerIdText | undefined {
  const seen = new Set([zone(home)])
  let last: PeerIdText | undefined
  for (const peer of standbys) {
    const own = zone(peer)
    if (own === null || seen.has(own)) last = peer
    else seen.add(own)
  }
  return last
}

const zoneOf = (candidates: readonly Candidate[], peer: PeerIdText): string | null =>
  candidates.find((one) => one.peer === peer)?.zone ?? null

/** The zones that a workspace is in. */
class Zones {
  readonly #taken = new Set<string>()

  constructor(candidates: readonly Candidate[], peers: readonly PeerIdText[]) {
    for (const one of candidates) if (peers.includes(one.peer)) this.take(one)
  }

  take({ zone }: Candidate): void {
    if (zone !== null) this.#taken.add(zone)
  }

  /** Certainly apart: not where nothing is known of those that there are. */
  isElsewhere({ zone }: Candidate): boolean {
    return zone !== null && this.#taken.size > 0 && !this.#taken.has(zone)
  }
}

/**
 * Who takes over from a home that is gone: the standby that holds most of the base, then any other instance with room.
 * `held`: the sequence of the head that a peer is known to hold.
 */
export function chooseSuccessor(
  what: ToPlace,
  standbys: readonly PeerIdText[],
  held: (peer: PeerIdText) => number,
  candidates: readonly Candidate[]
): PeerIdText | null {
  const offering = candidates.filter((one) => one.services.includes(what.service))
  const near = standbys.filter((peer) => offering.some((one) => one.peer === peer)).sort((a, b) => held(b) - held(a))
  return near[0] ?? chooseHome(what, candidates)?.peer ?? null
}
