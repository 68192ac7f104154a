import type { RetentionPolicy } from './repository.ts'

/** A head, as far as retention looks at it. */
export interface Moment {
  readonly cid: string
  readonly sequence: number
  readonly acceptedAtMs: number
}

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
/** The first of January 1970 was a Thursday; weeks begin on Monday. */
const DAYS_BEFORE_MONDAY = 3
/** Beyond this there is no date. */
const LAST_MS = 8.64e15

type Period = (ms: number) => number

const MONTH: Period = (ms) => {
  const date = new Date(ms)
  return date.getUTCFullYear() * 12 + date.getUTCMonth()
}

const periodsOf = (policy: RetentionPolicy): readonly (readonly [number, Period])[] => [
  [policy.minutes, (ms) => Math.floor(ms / MINUTE)],
  [policy.hours, (ms) => Math.floor(ms / HOUR)],
  [policy.days, (ms) => Math.floor(ms / DAY)],
  [policy.weeks, (ms) => Math.floor((Math.floor(ms / DAY) + DAYS_BEFORE_MONDAY) / 7)],
  [policy.months, MONTH]
]

/**
 * Which heads stay: the first, and of each kind of period the newest head of each of the first so many periods that
 * have any, in the order of the heads. Periods are counted and never compared with the time of day, so that a clock
 * that jumps wipes no history.
 *
 * @param heads newest first, by their sequence
 */
export function retained(heads: readonly Moment[], policy: RetentionPolicy): Set<string> {
  const kept = new Set<string>(heads.slice(0, 1).map(({ cid }) => cid))
  for (const [count, period] of periodsOf(policy)) {
    const seen = new Set<number>()
    for (const { cid, acceptedAtMs } of heads) {
      if (seen.size >= count) break
      const name = period(Math.min(acceptedAtMs, LAST_MS))
      if (!seen.has(name)) kept.add(cid)
      seen.add(name)
    }
  }
  return kept
}
