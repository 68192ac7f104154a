/** Minutes of the local day, from 0 to 1439. */
export interface Hours {
  readonly fromMinute: number
  /** Not included. Where it is not after `fromMinute`, the hours go over midnight. */
  readonly toMinute: number
  /** Bytes a second; null for no limit. */
  readonly limit: number | null
}

/** A limit in bytes a second, null for none, and the hours of the day in which another one holds: the first that fits. */
export interface LimitSchedule {
  readonly limit: number | null
  readonly hours: readonly Hours[]
}

export const HOURS_MAX = 24
export const UNLIMITED: LimitSchedule = { limit: null, hours: [] }

/** The limit at this wall-clock time, by the local hours of this machine. */
export function limitAt({ limit, hours }: LimitSchedule, wallMs: number): number | null {
  if (hours.length === 0) return limit
  const local = new Date(wallMs)
  const minute = local.getHours() * 60 + local.getMinutes()
  const found = hours.find((one) => isWithin(one, minute))
  return found === undefined ? limit : found.limit
}

function isWithin({ fromMinute, toMinute }: Hours, minute: number): boolean {
  return fromMinute < toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute
}
