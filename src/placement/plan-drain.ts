import type { PeerIdText, ServiceName } from '../core/ids.ts'
import { type Candidate, roomOf } from './candidate.ts'
import { eligible, type ToPlace } from './place.ts'

export interface DrainableWorkspace extends ToPlace {
  /** Standbys, with the bytes that each still lacks. */
  readonly standbys: readonly { readonly peer: PeerIdText; readonly lackingBytes: number }[]
  /** What its home has not published yet, in bytes. */
  readonly unsyncedBytes: number
  /** Requests in flight, open connections, or an app that says so: it is moved last. */
  readonly busy: boolean
}

export interface DrainPolicy {
  readonly deadlineMs: number
  /** Only this instance, where it was named. */
  readonly to: PeerIdText | null
  /** Into the main repository; nobody serves the workspaces meanwhile. */
  readonly toRepository: boolean
  /** Other instances are away for a moment only: that there are none now does not mean that nobody can take over. */
  readonly othersAwaited: boolean
  /** How fast data has reached each instance, in bytes a second, as far as it was measured. */
  readonly measured: ReadonlyMap<PeerIdText, number>
  /** What is expected of those that were not measured, in bytes a second. */
  readonly assumed: number
  /** The limit on what the draining instance sends, in bytes a second; null: none. */
  readonly uploadLimit: number | null
}

export interface PlannedHandover {
  readonly workspace: DrainableWorkspace
  /** Null: the main repository is the recipient. */
  readonly to: PeerIdText | null
  readonly toName: string
  /** What has to move before it can be promoted. */
  readonly bytes: number
  /** How long this one takes, in milliseconds. */
  readonly costMs: number
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
const UNFIT_TOLD_MAX = 5

/**
 * Who takes what, and can it be done in time?
 *
 * `candidates` are the other instances that serve. Where there is none at all, and none is awaited, the main repository is
 * the recipient.
 */
export function planDrain(
  workspaces: readonly DrainableWorkspace[],
  candidates: readonly Candidate[],
  policy: DrainPolicy
): DrainPlan {
  const nobody = candidates.length === 0 && policy.to === null
  const intoRepository = policy.toRepository || (nobody && !policy.othersAwaited)
  const allowed = policy.to === null ? candidates : candidates.filter(({ peer }) => peer === policy.to)
  if (!intoRepository && allowed.length === 0 && workspaces.length > 0) {
    const why = nobody
      ? 'the other instances are away for the moment'
      : `${policy.to} is not an instance that serves now`
    return { kind: 'refused', reasons: [why] }
  }
  const rooms = new Rooms(allowed)
  const reasons: string[] = []
  const moves: PlannedHandover[] = []
  let etaMs = 0
  for (const workspace of [...workspaces].sort(idleFirst)) {
    const target = intoRepository ? repositoryTarget : chooseTarget(workspace, rooms)
    if (target === null) {
      reasons.push(refusal(workspace, allowed))
      continue
    }
    if (target.peer !== null) rooms.take(target.peer, target.lackingBytes)
    const costMs = cost(workspace, target, policy)
    etaMs += costMs
    moves.push({ workspace, to: target.peer, toName: target.name, bytes: target.lackingBytes, costMs, etaMs })
  }
  if (reasons.length > 0) return { kind: 'refused', reasons: shortened(reasons) }
  const bytes = moves.reduce((sum, move) => sum + move.bytes, 0)
  if (etaMs > policy.deadlineMs) return { kind: 'refused', reasons: [tooSlow(bytes, etaMs, policy)] }
  return { kind: 'planned', moves, bytes, etaMs }
}

/** What was not published yet goes up first; what the target lacks comes down to it after that. */
function cost({ unsyncedBytes }: DrainableWorkspace, { peer, lackingBytes }: Target, policy: DrainPolicy): number {
  const down = (peer === null ? undefined : policy.measured.get(peer)) ?? policy.assumed
  const up = Math.min(policy.assumed, policy.uploadLimit ?? policy.assumed)
  return MOVE_MS + (lackingBytes / down + unsyncedBytes / up) * 1000
}

function tooSlow(bytes: number, etaMs: number, { deadlineMs, uploadLimit }: DrainPolicy): string {
  const limit = uploadLimit === null ? '' : ` and an upload limit of ${uploadLimit} bytes a second`
  const [takes, has] = [etaMs, deadlineMs].map((ms) => Math.ceil(ms / 1000))
  return `${bytes} bytes to hand over take about ${takes} s at this bandwidth${limit}, longer than the deadline of ${has} s`
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
  const none = `no instance may take workspace ${workspace.workspace.slice(0, 8)}`
  const offering = allowed.filter(({ services }) => services.includes(workspace.service))
  if (offering.length === 0) return `${none} (${whyNobodyOffers(workspace.service, allowed)})`
  const rooms = offering.map((one) => `${one.name} has room for ${roomOf(one)}`).join(', ')
  return `${none}: it needs room for ${workspace.bytes} bytes (${rooms})`
}

function whyNobodyOffers(service: ServiceName, allowed: readonly Candidate[]): string {
  const unfit = allowed.flatMap(({ name, unfit: reasons }) => {
    const why = reasons.get(service)
    return why === undefined ? [] : [`${name}: ${why}`]
  })
  if (unfit.length === 0) return `no other offers its service ${service}`
  return `no other can run its service ${service}: ${unfit.slice(0, UNFIT_TOLD_MAX).join('; ')}`
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
