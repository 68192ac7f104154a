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
  const able = candidates.filter((one) => one.services.includes(what.service) && roomOf(one) > what.bytes)
  return rank(
    what.workspace,
    able,
    (one) => one.peer,
    (one) => roomOf(one) / RESERVE_BYTES
  )
}

/** The home of a new workspace; null where no instance can take it. */
export function chooseHome(what: ToPlace, candidates: readonly Candidate[]): Candidate | null {
  return eligible(what, candidates)[0] ?? null
}

/**
 * The standbys that a workspace should have: those that it has and that may stay, then the best others.
 * Fewer than `count` where there are not enough.
 */
export function chooseStandbys(
  what: ToPlace,
  home: PeerIdText | null,
  current: readonly PeerIdText[],
  candidates: readonly Candidate[],
  count: number
): PeerIdText[] {
  const others = candidates.filter((one) => one.peer !== home && one.services.includes(what.service))
  const staying = current.filter((peer) => others.some((one) => one.peer === peer))
  const added = eligible(what, others)
    .map((one) => one.peer)
    .filter((peer) => !staying.includes(peer))
  return [...staying, ...added].slice(0, count)
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
