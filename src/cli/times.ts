import { NodeDaemonError } from '../core/errors.ts'
import { moment } from './values.ts'

const CLOCK = /^([01]\d|2[0-3]):([0-5]\d)$/
const AHEAD_MS_MAX = 366 * 86_400_000

/**
 * A time of day that is to come, in Unix milliseconds: `2026-01-31T12:00:00Z`, or `22:30` of this machine's clock, today
 * or tomorrow.
 */
export function timeAhead(text: string, nowMs: number): number {
  const clock = CLOCK.exec(text.trim())
  const atMs = clock === null ? moment(() => nowMs)(text) : nextAt(nowMs, Number(clock[1]), Number(clock[2]))
  if (atMs > nowMs && atMs - nowMs <= AHEAD_MS_MAX) return atMs
  throw new NodeDaemonError('BAD_USAGE', `"${text.slice(0, 100)}" is not within the year to come`, {
    advice: 'write it like 22:30 or 2026-01-31T12:00:00Z'
  })
}

function nextAt(nowMs: number, hours: number, minutes: number): number {
  const at = new Date(nowMs)
  at.setHours(hours, minutes, 0, 0)
  if (at.getTime() <= nowMs) at.setDate(at.getDate() + 1)
  return at.getTime()
}
