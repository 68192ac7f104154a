import type { PeerIdText } from '../core/ids.ts'
import { type Candidate, roomOf } from './candidate.ts'
import { eligible, type ToPlace } from './place.ts'

export interface DrainableWorkspace extends ToPlace {
  /** Standbys, with the bytes that each still lacks. */
  readonly standbys: readonly { readonly peer: PeerIdText; readonly lackingBytes: number }[]
  /** Requests in flight or open connections: it is moved last. */
  readonly busy: boolean
}

export interface DrainPolicy {
  readonly deadlineMs: number
  /** Only this instance, where it was named. */
  readonly to: PeerIdText | null
  /** Into the main repository; nobody serves the workspaces meanwhile. */
  readonly toRepository: boolean
  /** The rate at which data is expected to move, in bytes a second. */
  readonly bytesPerSecond: number
}

export interface PlannedHandover {
  readonly workspace: DrainableWorkspace
  /** Null: the main repository is the recipient. */
  readonly to: PeerIdText | null
  readonly toName: string
  /** What has to move before it can be promoted. */
  readonly bytes: number
  /** From the start of the drain until this one is handed over. */
  readonly etaMs: number
}

export type DrainPlan =
  | {
      readonly kind: 'planned'
      readonly moves: readonly PlannedHandover[]
      readonly bytes: number
      readonly etaMs: number
    }
  | { readonly kind: 'refused'; readonly reasons: readonly string[] }

/** What the handover of one workspace costs beside its bytes: freeze, seal, swap. */
const MOVE_MS = 200
const REASONS_MAX = 20

/**
 * Who takes what, and can it be done in time?
 *
 * `candidates` are the other instances that serve. Where there is none at all, the main repository is the recipient.
 */
export function planDrain(
  workspaces: readonly DrainableWorkspace[],
  candidates: readonly Candidate[],
  policy: DrainPolicy
): DrainPlan {
  const intoRepository = policy.toRepository || (candidates.length === 0 && policy.to === null)
  const allowed = policy.to === null ? candidates : candidates.filter(({ peer }) => peer === policy.to)
  if (!intoRepository && allowed.length === 0) {
    return { kind: 'refused', reasons: [`${policy.to} is not an instance that serves now`] }
  }
  const rooms = new Rooms(allowed)
  const reasons: string[] = []
  const moves: PlannedHandover[] = []
  let bytes = 0
  for (const workspace of [...workspaces].sort(idleFirst)) {
    const target = intoRepository ? repositoryTarget : chooseTarget(workspace, rooms)
    if (target === null) {
      reasons.push(refusal(workspace, allowed))
      continue
    }
    if (target.peer !== null) rooms.take(target.peer, target.lackingBytes)
    bytes += target.lackingBytes
    const etaMs = (moves.length + 1) * MOVE_MS + (bytes / policy.bytesPerSecond) * 1000
    moves.push({ workspace, to: target.peer, toName: target.name, bytes: target.lackingBytes, etaMs })
  }
  const etaMs = moves.at(-1)?.etaMs ?? 0
  if (reasons.length > 0) return { kind: 'refused', reasons: shortened(reasons) }
  if (etaMs > policy.deadlineMs) {
    const text = `${bytes} bytes to hand over take about ${Math.ceil(etaMs / 1000)} s at this bandwidth, longer than the deadline of ${Math.ceil(policy.deadlineMs / 1000)} s`
    return { kind: 'refused', reasons: [text] }
  }
  return { kind: 'planned', moves, bytes, etaMs }
}

interface Target {
  readonly peer: PeerIdText | null
  readonly name: string
  readonly lackingBytes: number
}

const repositoryTarget: Target = { peer: null, name: 'the main repository', lackingBytes: 0 }

const idleFirst = (a: DrainableWorkspace, b: DrainableWorkspace): number =>
  Number(a.busy) - Number(b.busy) || a.bytes - b.bytes || (a.workspace < b.workspace ? -1 : 1)

/** The standby that lacks least, then the best other instance with room. */
function chooseTarget(workspace: DrainableWorkspace, rooms: Rooms): Target | null {
  const near = [...workspace.standbys]
    .sort((a, b) => a.lackingBytes - b.lackingBytes)
    .find(({ peer, lackingBytes }) => rooms.has(peer, lackingBytes))
  if (near !== undefined) return { ...near, name: rooms.name(near.peer) }
  const other = eligible(workspace, rooms.candidates()).find(({ peer }) => rooms.has(peer, workspace.bytes))
  return other === undefined ? null : { peer: other.peer, name: other.name, lackingBytes: workspace.bytes }
}

function refusal(workspace: DrainableWorkspace, allowed: readonly Candidate[]): string {
  const id = workspace.workspace.slice(0, 8)
  const offering = allowed.filter(({ services }) => services.includes(workspace.service))
  if (offering.length === 0) return `no other instance offers the service ${workspace.service} of workspace ${id}`
  const rooms = offering.map((one) => `${one.name} has room for ${roomOf(one)}`).join(', ')
  return `no instance has room for the ${workspace.bytes} bytes of workspace ${id} (${rooms})`
}

function shortened(reasons: readonly string[]): string[] {
  const more = reasons.length - REASONS_MAX
  return more > 0 ? [...reasons.slice(0, REASONS_MAX), `and ${more} more`] : [...reasons]
}

/** What is left of each candidate's room while a plan is made. */
class Rooms {
  readonly #byPeer: Map<PeerIdText, { candidate: Candidate; taken: number }>

  constructor(candidates: readonly Candidate[]) {
    this.#byPeer = new Map(candidates.map((candidate) => [candidate.peer, { candidate, taken: 0 }]))
  }

  has(peer: PeerIdText, bytes: number): boolean {
    const room = this.#byPeer.get(peer)
    return room !== undefined && (bytes === 0 || roomOf(room.candidate) - room.taken > bytes)
  }

  take(peer: PeerIdText, bytes: number): void {
    const room = this.#byPeer.get(peer)
    if (room !== undefined) room.taken += bytes
  }

  name(peer: PeerIdText): string {
    return this.#byPeer.get(peer)?.candidate.name ?? peer
  }

  candidates(): Candidate[] {
    return [...this.#byPeer.values()].map(({ candidate, taken }) => ({
      ...candidate,
      usedBytes: candidate.usedBytes + taken
    }))
  }
}
