import { parse } from '../core/parse.ts'
import type { Hours } from '../sync/limit-schedule.ts'

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const
const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const LINE_MAX = 2000

/** Text that came from outside, safe to show in a terminal. */
export const clean = (text: unknown): string => parse.line(String(text ?? ''), LINE_MAX)

/** `3200000000` as `3.2 GB`. */
export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return '–'
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, count)) / 3)))
  const scaled = count / 1000 ** power
  return `${power === 0 || scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${UNITS[power]}`
}

/** `4000` as `4 s`, `130000` as `2 min 10 s`: at most two units. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–'
  if (ms < SECOND) return `${Math.round(ms)} ms`
  if (ms < MINUTE) return `${ms < 10 * SECOND ? Math.round(ms / 100) / 10 : Math.round(ms / SECOND)} s`
  if (ms < HOUR) return pair(ms, MINUTE, 'min', SECOND, 's')
  return ms < 2 * DAY ? pair(ms, HOUR, 'h', MINUTE, 'min') : pair(ms, DAY, 'd', HOUR, 'h')
}

function pair(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const whole = Math.floor(ms / large)
  const rest = Math.floor((ms - whole * large) / small)
  return rest === 0 ? `${whole} ${largeName}` : `${whole} ${largeName} ${rest} ${smallName}`
}

/** `10.0 MB/s, 1.0 MB/s from 08:00 to 18:00`. */
export function limitText(limit: number | null, hours: readonly Hours[]): string {
  const speed = (one: number | null): string => (one === null ? 'no limit' : `${bytes(one)}/s`)
  const clock = (minute: number): string =>
    `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
  return [
    speed(limit),
    ...hours.map((one) => `${speed(one.limit)} from ${clock(one.fromMinute)} to ${clock(one.toMinute || 1440)}`)
  ].join(', ')
}

/** How long ago an RFC 3339 time was. */
export function ago(at: string | null | undefined, nowMs: number): string {
  const then = at === null || at === undefined ? Number.NaN : Date.parse(at)
  if (Number.isNaN(then)) return '–'
  const age = nowMs - then
  return age < SECOND ? 'now' : `${duration(Math.round(age / SECOND) * SECOND)} ago`
}

/** Bytes that are not yet elsewhere, and since when. */
export function unsynced(count: number | undefined, ageMs: number | undefined): string {
  if (!count && !ageMs) return 'none'
  // Changes that were not read yet are not counted.
  return `${count ? bytes(count) : 'changes'}, ${duration(ageMs)}`
}

export const count = (number: number, one: string, many: string): string =>
  `${number.toLocaleString('en')} ${number === 1 ? one : many}`

export const labels = (map: Readonly<Record<string, string>> | undefined): string =>
  Object.entries(map ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(' ')

/** At most `width` characters; what is cut is shown as `…`. */
export function shorten(text: string, width: number): string {
  const characters = [...text]
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`
}

/** What an admin sees first while promotions are held. */
export const heldText = (reason: string): string =>
  `NOTHING IS PROMOTED: ${clean(reason)}. If they are gone indeed: node-daemon failover confirm`
