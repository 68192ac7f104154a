import type { Instant } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { DrainPlan, PlannedHandover } from '../placement/plan-drain.ts'

/**
 * The life of a drain.
 *
 *   serving ─▶ preparing ─▶ draining ⇄ stalled
 *                │   │          │         │
 *                │   └──────┐   ├─────────┤
 *                ▼          ▼   ▼         ▼
 *             failed     cancelled | drained | expired
 *
 * `preparing` ends as failed, cancelled or draining; `draining` and `stalled` each as drained, expired or cancelled. From
 * any of the four ends a new drain may begin.
 */
export type Drain =
  | { readonly state: 'serving' }
  | Preparing
  | Draining
  | Stalled
  | { readonly state: 'drained'; readonly total: number; readonly bytes: number; readonly certificate: Uint8Array }
  | { readonly state: 'expired'; readonly unproven: readonly WorkspaceId[] }
  | { readonly state: 'cancelled'; readonly unproven: readonly WorkspaceId[] }
  | { readonly state: 'failed'; readonly reasons: readonly string[] }

interface Preparing {
  readonly state: 'preparing'
  readonly deadline: Instant
}

/** Workspaces with users at work, which are moved at `until` at the latest. */
export interface Waiting {
  readonly workspaces: ReadonlySet<WorkspaceId>
  readonly until: Instant
}

interface Progress {
  readonly deadline: Instant
  /** All that is and was to be handed over, as it was planned last. */
  readonly moves: readonly PlannedHandover[]
  readonly pending: ReadonlySet<WorkspaceId>
  /** Of what is pending: bytes that are at their targets already. */
  readonly arrivedBytes: number
  readonly waiting: Waiting
  readonly startedAt: Instant
  readonly progressAt: Instant
}

export interface Draining extends Progress {
  readonly state: 'draining'
}

export interface Stalled extends Progress {
  readonly state: 'stalled'
  readonly reason: string
}

type UnderWay = Preparing | Draining | Stalled

/** Without progress for so long, a drain is stalled, and says why. */
export const STALLED_AFTER_MS = 10_000

const NOBODY: Waiting = { workspaces: new Set(), until: 0 }

const illegal = (from: Drain, to: Drain['state']): NodeDaemonError =>
  new NodeDaemonError('ILLEGAL_TRANSITION', `a drain that is ${from.state} cannot become ${to}`)

function goingOn(drain: Drain, to: Drain['state']): Draining | Stalled {
  if (drain.state === 'draining' || drain.state === 'stalled') return drain
  throw illegal(drain, to)
}

/** serving → preparing. An ended drain may begin again. */
export function prepare(drain: Drain, deadline: Instant): Preparing {
  if (isUnderWay(drain)) throw illegal(drain, 'preparing')
  return { state: 'preparing', deadline }
}

/** preparing → draining, or failed where the plan says that it cannot be done. */
export function begin(drain: Drain, plan: DrainPlan, now: Instant): Drain & { state: 'draining' | 'failed' } {
  if (drain.state !== 'preparing') throw illegal(drain, 'draining')
  if (plan.kind === 'refused') return { state: 'failed', reasons: plan.reasons }
  const { deadline } = drain
  const pending = new Set(plan.moves.map(({ workspace }) => workspace.workspace))
  const times = { startedAt: now, progressAt: now }
  return { state: 'draining', deadline, moves: plan.moves, pending, arrivedBytes: 0, waiting: NOBODY, ...times }
}

/** In any state under way: it must end earlier than it had to. A later deadline changes nothing. */
export function hasten(drain: Drain, deadline: Instant): UnderWay {
  if (!isUnderWay(drain)) throw illegal(drain, 'draining')
  return { ...drain, deadline: Math.min(drain.deadline, deadline) }
}

/**
 * draining, stalled → the same: what is left was planned anew. `pending`: all of it, also what went elsewhere and is to be
 * proven, or what nobody can take now.
 */
export function replan(
  drain: Drain,
  moves: readonly PlannedHandover[],
  pending: ReadonlySet<WorkspaceId>
): Draining | Stalled {
  const before = goingOn(drain, 'draining')
  const planned = new Map(before.moves.map((move) => [move.workspace.workspace, move]))
  for (const move of moves) planned.set(move.workspace.workspace, move)
  return { ...before, moves: [...planned.values()], pending }
}

/** draining, stalled → draining: more bytes are at the targets. The same where there are not more than before. */
export function arrived(drain: Drain, bytes: number, now: Instant): Draining | Stalled {
  const before = goingOn(drain, 'draining')
  if (bytes <= before.arrivedBytes) return { ...before, arrivedBytes: bytes }
  return { ...progressOf(before), state: 'draining', arrivedBytes: bytes, progressAt: now }
}

/** draining, stalled → draining: one more workspace is handed over and proven. */
export function handedOver(drain: Drain, workspace: WorkspaceId, now: Instant): Draining {
  const before = goingOn(drain, 'draining')
  const pending = new Set(before.pending)
  pending.delete(workspace)
  return { ...progressOf(before), state: 'draining', pending, progressAt: now }
}

/**
 * draining, stalled → the same: these workspaces are waited for. Where all that is pending is, that is no stall, and the
 * time counts for nothing.
 */
export function waitFor(drain: Drain, waiting: Waiting, now: Instant): Draining | Stalled {
  const before = goingOn(drain, 'draining')
  const next = { ...before, waiting }
  if (onlyWaits(next)) return { ...progressOf(next), state: 'draining' }
  if (!onlyWaits(before)) return next
  return { ...next, startedAt: before.startedAt + now - before.progressAt, progressAt: now }
}

/** draining → stalled, once nothing went on for a while that is not waited for. Unchanged before. */
export function stall(drain: Drain, reason: string, now: Instant): Draining | Stalled {
  const before = goingOn(drain, 'stalled')
  if (onlyWaits(before)) return before
  if (before.state === 'draining' && now - before.progressAt < STALLED_AFTER_MS) return before
  return { ...before, state: 'stalled', reason }
}

/** draining, stalled → drained: everything is handed over and proven. */
export function finish(drain: Drain, certificate: Uint8Array): Drain & { state: 'drained' } {
  const { pending, moves } = goingOn(drain, 'drained')
  if (pending.size > 0) throw illegal(drain, 'drained')
  return { state: 'drained', total: moves.length, bytes: bytesOf(moves), certificate }
}

/** draining, stalled → expired: the deadline is over. */
export function expire(drain: Drain): Drain & { state: 'expired' } {
  return { state: 'expired', unproven: [...goingOn(drain, 'expired').pending] }
}

/** preparing, draining, stalled → cancelled. */
export function cancel(drain: Drain): Drain & { state: 'cancelled' } {
  if (!isUnderWay(drain)) throw illegal(drain, 'cancelled')
  return { state: 'cancelled', unproven: 'pending' in drain ? [...drain.pending] : [] }
}

export function isUnderWay(drain: Drain): drain is UnderWay {
  return drain.state === 'preparing' || drain.state === 'draining' || drain.state === 'stalled'
}

/** Is all that is left waited for? */
export function onlyWaits({ pending, waiting }: Progress): boolean {
  return pending.size > 0 && [...pending].every((workspace) => waiting.workspaces.has(workspace))
}

function progressOf(drain: Draining | Stalled): Progress {
  const { deadline, moves, pending, arrivedBytes, waiting, startedAt, progressAt } = drain
  return { deadline, moves, pending, arrivedBytes, waiting, startedAt, progressAt }
}

/** How far it is, for people. */
export interface DrainFigures {
  readonly workspaces: { readonly done: number; readonly total: number }
  readonly bytes: { readonly done: number; readonly total: number }
  /** 0 only where nothing is left to do. */
  readonly etaMs: number
}

export function figures(drain: Drain, now: Instant): DrainFigures {
  if (drain.state === 'drained') return whole(drain.total, drain.bytes)
  if (drain.state !== 'draining' && drain.state !== 'stalled') return whole(0, 0)
  const left = drain.moves.filter(({ workspace }) => drain.pending.has(workspace.workspace))
  const total = bytesOf(drain.moves)
  const done = drain.moves.length - left.length
  return {
    workspaces: { done, total: done + drain.pending.size },
    bytes: { done: total - bytesOf(left) + Math.min(drain.arrivedBytes, bytesOf(left)), total },
    etaMs: etaMs(drain, left, now)
  }
}

/** What is done says how much slower or faster than planned it goes; at first the plan counts for so much. */
const PLAN_COUNTS_MS = 5000
const ETA_MS_MIN = 1000

function etaMs(drain: Draining | Stalled, left: readonly PlannedHandover[], now: Instant): number {
  if (drain.pending.size === 0) return 0
  const leftMs = costOf(left)
  const leftBytes = bytesOf(left)
  const arrivedMs = leftBytes === 0 ? 0 : leftMs * Math.min(1, drain.arrivedBytes / leftBytes)
  const doneMs = costOf(drain.moves) - leftMs + arrivedMs
  const waits = onlyWaits(drain)
  const workedMs = (waits ? drain.progressAt : now) - drain.startedAt
  const pace = (workedMs + PLAN_COUNTS_MS) / (doneMs + PLAN_COUNTS_MS)
  const waitMs = waits ? Math.max(0, drain.waiting.until - now) : 0
  return Math.max(ETA_MS_MIN, Math.round(waitMs + (leftMs - arrivedMs) * pace))
}

const whole = (workspaces: number, bytes: number): DrainFigures => ({
  workspaces: { done: workspaces, total: workspaces },
  bytes: { done: bytes, total: bytes },
  etaMs: 0
})

const bytesOf = (moves: readonly PlannedHandover[]): number => moves.reduce((sum, { bytes }) => sum + bytes, 0)
const costOf = (moves: readonly PlannedHandover[]): number => moves.reduce((sum, { costMs }) => sum + costMs, 0)
