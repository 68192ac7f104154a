import type { Instant } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { DrainPlan, PlannedHandover } from '../placement/plan-drain.ts'

/**
 * The life of a drain.
 *
 *   serving ─▶ preparing ─▶ draining ⇄ stalled
 *                  │            │         │
 *                  ▼            ▼         ▼
 *               failed      drained   expired | cancelled
 */
export type Drain =
  | { readonly state: 'serving' }
  | { readonly state: 'preparing'; readonly deadline: Instant }
  | Draining
  | Stalled
  | { readonly state: 'drained'; readonly total: number; readonly bytes: number; readonly certificate: Uint8Array }
  | { readonly state: 'expired'; readonly unproven: readonly WorkspaceId[] }
  | { readonly state: 'cancelled'; readonly unproven: readonly WorkspaceId[] }
  | { readonly state: 'failed'; readonly reasons: readonly string[] }

interface Progress {
  readonly deadline: Instant
  readonly moves: readonly PlannedHandover[]
  readonly pending: ReadonlySet<WorkspaceId>
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

/** Without progress for so long, a drain is stalled, and says why. */
export const STALLED_AFTER_MS = 10_000

const illegal = (from: Drain, to: Drain['state']): NodeDaemonError =>
  new NodeDaemonError('ILLEGAL_TRANSITION', `a drain that is ${from.state} cannot become ${to}`)

/** serving → preparing. An ended drain may begin again. */
export function prepare(drain: Drain, deadline: Instant): Drain & { state: 'preparing' } {
  if (isUnderWay(drain)) throw illegal(drain, 'preparing')
  return { state: 'preparing', deadline }
}

/** preparing → draining, or failed where the plan says that it cannot be done. */
export function begin(drain: Drain, plan: DrainPlan, now: Instant): Drain & { state: 'draining' | 'failed' } {
  if (drain.state !== 'preparing') throw illegal(drain, 'draining')
  if (plan.kind === 'refused') return { state: 'failed', reasons: plan.reasons }
  const pending = new Set(plan.moves.map(({ workspace }) => workspace.workspace))
  return { state: 'draining', deadline: drain.deadline, moves: plan.moves, pending, startedAt: now, progressAt: now }
}

/** draining, stalled → draining: one more workspace is handed over and proven. */
export function handedOver(drain: Drain, workspace: WorkspaceId, now: Instant): Draining {
  if (drain.state !== 'draining' && drain.state !== 'stalled') throw illegal(drain, 'draining')
  const { deadline, moves, startedAt } = drain
  const pending = new Set(drain.pending)
  pending.delete(workspace)
  return { state: 'draining', deadline, moves, pending, startedAt, progressAt: now }
}

/** draining → stalled, once nothing went on for a while. Unchanged before. */
export function stall(drain: Drain, reason: string, now: Instant): Draining | Stalled {
  if (drain.state !== 'draining' && drain.state !== 'stalled') throw illegal(drain, 'stalled')
  if (drain.state === 'draining' && now - drain.progressAt < STALLED_AFTER_MS) return drain
  return { ...drain, state: 'stalled', reason }
}

/** draining, stalled → drained: everything is handed over and proven. */
export function finish(drain: Drain, certificate: Uint8Array): Drain & { state: 'drained' } {
  if ((drain.state !== 'draining' && drain.state !== 'stalled') || drain.pending.size > 0)
    throw illegal(drain, 'drained')
  return { state: 'drained', total: drain.moves.length, bytes: bytesOf(drain.moves), certificate }
}

/** draining, stalled → expired: the deadline is over. */
export function expire(drain: Drain): Drain & { state: 'expired' } {
  if (drain.state !== 'draining' && drain.state !== 'stalled') throw illegal(drain, 'expired')
  return { state: 'expired', unproven: [...drain.pending] }
}

/** preparing, draining, stalled → cancelled. */
export function cancel(drain: Drain): Drain & { state: 'cancelled' } {
  if (!isUnderWay(drain)) throw illegal(drain, 'cancelled')
  return { state: 'cancelled', unproven: 'pending' in drain ? [...drain.pending] : [] }
}

export function isUnderWay(drain: Drain): drain is Extract<Drain, { state: 'preparing' | 'draining' | 'stalled' }> {
  return drain.state === 'preparing' || drain.state === 'draining' || drain.state === 'stalled'
}

/** How far it is, for people. */
export interface DrainFigures {
  readonly workspaces: { readonly done: number; readonly total: number }
  readonly bytes: { readonly done: number; readonly total: number }
  readonly etaMs: number
}

export function figures(drain: Drain, now: Instant): DrainFigures {
  if (drain.state === 'drained') return whole(drain.total, drain.bytes)
  if (drain.state !== 'draining' && drain.state !== 'stalled') return whole(0, 0)
  const done = drain.moves.filter(({ workspace }) => !drain.pending.has(workspace.workspace))
  const planned = drain.moves.reduce((latest, move) => Math.max(latest, move.etaMs), 0)
  const elapsed = now - drain.startedAt
  const measured = done.length === 0 ? planned : (elapsed / done.length) * drain.moves.length
  return {
    workspaces: { done: done.length, total: drain.moves.length },
    bytes: { done: bytesOf(done), total: bytesOf(drain.moves) },
    etaMs: Math.max(0, Math.round(measured - elapsed))
  }
}

const whole = (workspaces: number, bytes: number): DrainFigures => ({
  workspaces: { done: workspaces, total: workspaces },
  bytes: { done: bytes, total: bytes },
  etaMs: 0
})

const bytesOf = (moves: readonly PlannedHandover[]): number =>
  moves.reduce((sum, { workspace }) => sum + workspace.bytes, 0)
