import type { Instant } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'

/** Fewer instances than this can vanish by chance: there the brake is off. */
export const KNOWN_MIN = 4

/** Who is there. Who was drained, left, was revoked or said that it stops is in neither. */
export interface Attendance {
  /** Instances that are heard now. */
  readonly serving: ReadonlySet<PeerIdText>
  /** Those that went away without a word, and when. They served until then. */
  readonly vanished: ReadonlyMap<PeerIdText, Instant>
}

/** Those who were there before a loss, as far as they count now, and who of them is missing. */
export interface Loss {
  readonly known: number
  readonly missing: number
}

export interface MassLossPolicy {
  /** Losses within so many milliseconds count as one. */
  readonly windowMs: number
  /**
   * Once enough are back, the rest gets as long again as the loss has lasted, at most so many milliseconds: it may be on
   * its way back too.
   */
  readonly settleMs: number
}

/**
 * Did so many instances vanish at once that the fault is rather this coordinator's own network?
 *
 *   clear ─▶ engaged ⇄ settling ─▶ clear
 *     ▲         │         │
 *     └─────────┴─────────┘  an admin confirms
 *
 * `known`: those that served when the loss was noticed. Who joins later says nothing about where they are.
 */
export type MassLoss =
  | { readonly state: 'clear' }
  /** Nothing is promoted. */
  | { readonly state: 'engaged'; readonly known: ReadonlySet<PeerIdText>; readonly since: Instant }
  /** Enough are back since `calmAt`. Nothing is promoted yet. */
  | {
      readonly state: 'settling'
      readonly known: ReadonlySet<PeerIdText>
      readonly since: Instant
      readonly calmAt: Instant
    }

export const CLEAR: MassLoss = { state: 'clear' }

/** Have more than half of them vanished? */
const isMajority = ({ known, missing }: Loss): boolean => missing * 2 > known

/** The loss within the window that ends now. */
export function lossOf({ serving, vanished }: Attendance, now: Instant, windowMs: number): Loss {
  const missing = recent(vanished, now, windowMs).length
  return { known: serving.size + missing, missing }
}

function recent(vanished: Attendance['vanished'], now: Instant, windowMs: number): PeerIdText[] {
  return [...vanished].filter(([, at]) => now - at <= windowMs).map(([peer]) => peer)
}

/** Of those that were known when the brake engaged: who left with a word since counts no more. */
export function stillMissing(
  { known }: Exclude<MassLoss, { readonly state: 'clear' }>,
  { serving, vanished }: Attendance
): Loss {
  const missing = [...known].filter((peer) => vanished.has(peer)).length
  const back = [...known].filter((peer) => serving.has(peer) && !vanished.has(peer)).length
  return { known: missing + back, missing }
}

/** clear → engaged: somebody is about to be taken for dead. Decides on all that are lost by now, dead already or not. */
export function judge(before: MassLoss, attendance: Attendance, now: Instant, { windowMs }: MassLossPolicy): MassLoss {
  if (before.state !== 'clear') return before
  const loss = lossOf(attendance, now, windowMs)
  if (loss.known < KNOWN_MIN || !isMajority(loss)) return before
  const known = new Set([...attendance.serving, ...recent(attendance.vanished, now, windowMs)])
  return { state: 'engaged', known, since: now }
}

/** engaged ⇄ settling → clear: as instances come back and vanish again, and as time passes. */
export function look(before: MassLoss, attendance: Attendance, now: Instant, { settleMs }: MassLossPolicy): MassLoss {
  if (before.state === 'clear') return before
  const loss = stillMissing(before, attendance)
  const { known, since } = before
  if (isMajority(loss)) return { state: 'engaged', known, since }
  if (loss.missing === 0) return CLEAR
  if (before.state === 'engaged') return { state: 'settling', known, since, calmAt: now }
  return now - before.calmAt >= Math.min(settleMs, before.calmAt - since) ? CLEAR : before
}

/** engaged, settling → clear: an admin says that they are gone indeed. */
export function confirmed(before: MassLoss): MassLoss {
  if (before.state === 'clear') throw new NodeDaemonError('ILLEGAL_TRANSITION', 'no mass loss is there to be confirmed')
  return CLEAR
}
