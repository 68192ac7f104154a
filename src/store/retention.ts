import type { RetentionPolicy } from './repository.ts'

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
 * Says of one head after another, newest first by their sequence, whether it stays: the first, and of each kind of period the newest head of each of the first so many periods that
 * have any, in the order of the heads. Periods are counted and never compared with the time of day, so that a clock
 * that jumps wipes no history.
 */
export function retention(policy: RetentionPolicy): (acceptedAtMs: number) => boolean {
  const kinds = periodsOf(policy).map(([count, period]) => ({ count, period, seen: new Set<number>() }))
  let isFirst = true
  return (acceptedAtMs) => {
    let stays = isFirst
    isFirst = false
    for (const { count, period, seen } of kinds) {
      const name = period(Math.min(acceptedAtMs, LAST_MS))
      if (seen.size >= count || seen.has(name)) continue
      seen.add(name)
      stays = true
    }
    return stays
  }
}
