import { isIP } from 'node:net'
import { parseCommand } from '../apps/command/spec.ts'
import { parseUpstream } from '../apps/upstream/target.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { isServiceName } from '../core/ids.ts'
import type { Offer } from '../daemon/offers.ts'
import type { HostPort } from '../daemon/options.ts'
import { RETENTION, type RetentionPolicy } from '../store/repository.ts'
import { HOURS_MAX, type Hours, type LimitSchedule } from '../sync/limit-schedule.ts'
import { isServiceVersion } from '../wire/control.ts'
import { originOf } from '../wire/ingress.ts'

/** Reads what a person typed. Throws `BAD_USAGE` with how to write it where it is not one. */
export type Parser<T> = (text: string) => T

const bad = (text: string, what: string, advice: string): NodeDaemonError =>
  new NodeDaemonError('BAD_USAGE', `"${text.slice(0, 100)}" is not ${what}`, { advice })

const SIZE = /^(\d{1,15}(?:\.\d{1,6})?) ?(|B|[kMGTP]B|[KMGTP]iB)$/i
const POWERS = 'kmgtp'

/** `10GB` is 10 × 10⁹ bytes, `10GiB` is 10 × 2³⁰; a number alone counts bytes. */
export function size(text: string): number {
  const match = SIZE.exec(text.trim())
  const unit = match?.[2]?.toLowerCase() ?? ''
  const power = POWERS.indexOf(unit.charAt(0) || '-') + 1
  const bytes = Math.floor(Number(match?.[1]) * (unit.endsWith('ib') ? 1024 : 1000) ** power)
  if (!Number.isSafeInteger(bytes)) throw bad(text, 'a size', 'write it like 500MB, 10GB or 50GiB')
  return bytes
}

/** `10MB/s`, `1MiB/s` or `100Mbit/s`, as bytes a second; at least 1. */
export function rate(text: string): number {
  const advice = 'write it like 10MB/s, 500KiB/s or 100Mbit/s'
  const bits = /^(\d{1,12}(?:\.\d{1,6})?) ?([kMG]?)bit\/s$/i.exec(text.trim())
  const bytes = /^(.*)\/s$/i.exec(text.trim())
  if (bytes === null) throw bad(text, 'a rate', advice)
  const perSecond =
    bits === null
      ? sizeOr(bytes[1] ?? '', () => bad(text, 'a rate', advice))
      : Math.floor(size(`${bits[1]}${bits[2]}B`) / 8)
  if (perSecond < 1) throw bad(text, 'a rate of at least one byte a second', advice)
  return perSecond
}

const countPer =
  (unit: 's' | 'h'): Parser<number> =>
  (text) => {
    const count = Number(new RegExp(`^(\\d{1,9})/${unit}$`).exec(text.trim())?.[1])
    if (!(count >= 1)) throw bad(text, 'a rate', `write it like 100/${unit}, or none`)
    return count
  }
/** `200/s`, as a number of at least 1. */
export const perSecond = countPer('s')
/** `120/h`, as a number of at least 1. */
export const perHour = countPer('h')

const CLOCK_HOURS = /^([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)$/

/**
 * `10MB/s`, or with hours `10MB/s,1MB/s@08:00-18:00,none@22:00-06:00`; `none` for no limit. The first hours that fit hold;
 * `24:00` is the end of the day.
 */
export function limitSchedule(text: string): LimitSchedule {
  const [base = '', ...rest] = text.split(',').map((part) => part.trim())
  if (base.includes('@')) {
    throw bad(text, 'a limit', `begin with the limit of the other hours, or none: none,${base.slice(0, 40)}`)
  }
  if (rest.length > HOURS_MAX) throw bad(text, `a limit with at most ${HOURS_MAX} kinds of hours`, 'say fewer of them')
  return { limit: orNone(rate)(base), hours: rest.map((part) => hoursOf(part)) }
}

function hoursOf(part: string): Hours {
  const [limit = '', when = '', ...more] = part.split('@')
  const match = more.length > 0 ? null : CLOCK_HOURS.exec(when)
  if (match === null) {
    throw bad(
      part,
      'a limit with hours',
      'write hours with four digits each: 10MB/s,1MB/s@08:00-18:00; 24:00 ends the day'
    )
  }
  const [fromHour, fromMinute, toHour, toMinute] = match.slice(1).map((digits) => Number(digits ?? 0))
  const from = (fromHour ?? 0) * 60 + (fromMinute ?? 0)
  const to = (toHour ?? 0) * 60 + (toMinute ?? 0)
  if (from === to && !when.endsWith('24:00')) {
    throw bad(part, 'a limit with hours: they end as they begin', 'for the whole day write 00:00-24:00')
  }
  return { fromMinute: from, toMinute: to, limit: orNone(rate)(limit) }
}

function sizeOr(text: string, failure: () => NodeDaemonError): number {
  if (!SIZE.test(text.trim())) throw failure()
  return size(text)
}

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000
}
const DURATION_MS_MAX = 3650 * 86_400_000

/** `500ms`, `2s`, `10m`, `1h30m`, `7d`, `2w`, as milliseconds; at most ten years. */
export function duration(text: string): number {
  const trimmed = text.trim()
  const advice = 'write it like 500ms, 2s, 10m, 1h30m or 7d'
  if (!/^(\d{1,9}(\.\d{1,3})?(ms|[smhdw])){1,6}$/.test(trimmed)) throw bad(text, 'a duration', advice)
  const parts = trimmed.matchAll(/([\d.]+)([a-z]+)/g)
  const ms = Math.round(
    [...parts].reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS_MS[unit ?? ''] ?? 0), 0)
  )
  if (ms > DURATION_MS_MAX) throw bad(text, 'a duration of at most ten years', advice)
  return ms
}

const HOST_PORT = /^(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253}):(\d{1,5})$/

/** `127.0.0.1:9480`, `[::1]:9480`, `localhost:0`. The host comes without brackets. */
export function hostPort(text: string): HostPort {
  const match = HOST_PORT.exec(text.trim())
  const host = match?.[1]?.replaceAll(/[[\]]/g, '') ?? ''
  const port = Number(match?.[2])
  const bracketed = text.trim().startsWith('[')
  if (match === null || port > 65_535 || (bracketed && isIP(host) !== 6)) {
    throw bad(text, 'a host and port', 'write it like 127.0.0.1:9480 or [::1]:9480; port 0 picks a free one')
  }
  return { host, port }
}

const MULTIADDR =
  /^\/(?:(ip4|ip6)\/([0-9a-fA-F:.]+)|(?:dns|dns4|dns6|dnsaddr)\/[A-Za-z0-9.-]{1,253})\/tcp\/(\d{1,5})(?:\/(?:tls|ws|wss|http|sni\/[A-Za-z0-9.-]+))*(?:\/p2p\/[1-9A-HJ-NP-Za-km-z]{40,64})?$/

/** `/ip4/0.0.0.0/tcp/9470`. Only its form is checked. */
export function multiaddr(text: string): string {
  const match = MULTIADDR.exec(text.trim())
  const version = match?.[1] === undefined ? 0 : match[1] === 'ip4' ? 4 : 6
  const hostIsRight = version === 0 || isIP(match?.[2] ?? '') === version
  if (match === null || !hostIsRight || Number(match[3]) > 65_535) {
    throw bad(
      text,
      'an address of the network',
      'write it like /ip4/0.0.0.0/tcp/9470 or /dns/main.example.org/tcp/9470'
    )
  }
  return text.trim()
}

const LABEL_KEY = /^[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?$/i
const LABEL_VALUE = /^[^\p{Cc}\p{Cf}]{0,63}$/u

/** `key=value` as a pair. */
export function label(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  const key = text.slice(0, at)
  const value = text.slice(at + 1)
  if (at < 1 || !LABEL_KEY.test(key) || !LABEL_VALUE.test(value)) {
    throw bad(
      text,
      'a label',
      'write it like site=freiburg: letters, digits and . _ / - before the =, at most 63 characters'
    )
  }
  return [key, value]
}

/** `key=value` sets a label, `key-` takes it away (null). */
export function labelChange(text: string): readonly [string, string | null] {
  return /^[^=]+-$/.test(text) && LABEL_KEY.test(text.slice(0, -1)) ? [text.slice(0, -1), null] : label(text)
}

const BUILT_IN = 'files'

/** `files`, `shared=files` (the files app under another name), `notes=http://127.0.0.1:8080`, or `notes=command:my-app --socket {socket}`. */
export function offer(text: string): Offer {
  const at = text.indexOf('=')
  const name = at < 0 ? text : text.slice(0, at)
  const how = at < 0 ? null : text.slice(at + 1)
  if (!isServiceName(name)) throw bad(text, 'a service', 'write it like files, or notes=http://127.0.0.1:8080')
  if (how?.startsWith(COMMAND) === true)
    return { name, upstream: null, command: parseCommand(how.slice(COMMAND.length)) }
  if (how === null && name !== BUILT_IN) {
    throw bad(
      text,
      'a service that is built in',
      `say how it runs: ${name}=http://127.0.0.1:8080, '${name}=command:…', or ${name}=${BUILT_IN} for the files app`
    )
  }
  return { name, upstream: how === null || how === BUILT_IN ? null : parseUpstream(how), command: null }
}

/** `notes=/opt/my-app` as a pair: a service, and a path from the root. */
export function servicePath(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  const [name, path] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)]
  if (!isServiceName(name) || !/^\/[^\0]*$/.test(path)) {
    throw bad(text, "a service's path", 'write it like notes=/opt/my-app')
  }
  return [name, path]
}

const COMMAND = 'command:'
const COMMAND_CHARACTERS_MAX = 4000

/** `files=/path/to/script --flag` as a pair: a service, and a line for the shell. */
export function serviceVersion(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  const [name, version] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)]
  if (!isServiceName(name) || !isServiceVersion(version)) {
    throw bad(text, "a service's version", 'write it like notes=2.4.1')
  }
  return [name, version]
}

export function serviceCommand(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  const name = text.slice(0, Math.max(0, at))
  const command = text.slice(at + 1)
  const isCommand = command.trim() !== '' && command.length <= COMMAND_CHARACTERS_MAX && !command.includes('\0')
  if (!isServiceName(name) || !isCommand) {
    throw bad(text, "a service's command", 'write it like files=/path/to/script')
  }
  return [name, command]
}

export function yesNo(text: string): boolean {
  if (['yes', 'true', 'on', '1'].includes(text.toLowerCase())) return true
  if (['no', 'false', 'off', '0'].includes(text.toLowerCase())) return false
  throw bad(text, 'yes or no', 'write yes or no')
}

/** An address or a range of them: `10.0.0.0/8`, `::1`. */
export function cidr(text: string): string {
  const [address = '', bits, ...rest] = text.trim().split('/')
  const version = isIP(address)
  const bitsAreRight = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
  if (version === 0 || !bitsAreRight || rest.length > 0) {
    throw bad(text, 'an address or a range of addresses', 'write it like 10.0.0.0/8 or 127.0.0.1')
  }
  return text.trim()
}

export function webUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null || !['http:', 'https:'].includes(url.protocol) || text.length > 2000) {
    throw bad(text, 'a web address', 'write it like https://main.example.org')
  }
  return text
}

/** A web address that is nothing but scheme, host and port. */
export function origin(text: string): string {
  const found = originOf(text)
  if (found === null)
    throw bad(text, 'an address of a server', 'write it like https://alpha.example.org, without a path')
  return found
}

/** A line of text for people: no control characters, at most `max` characters. */
export const line =
  (max: number): Parser<string> =>
  (text) => {
    if (text.length > max || /[\p{Cc}\u2028\u2029]/u.test(text)) {
      throw bad(text, `one line of at most ${max} characters`, 'write it shorter, on one line')
    }
    return text
  }

export const whole =
  (min: number, max: number): Parser<number> =>
  (text) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (!(number >= min && number <= max)) {
      throw bad(text, `a whole number from ${min} to ${max}`, `write a number from ${min} to ${max}`)
    }
    return number
  }

export const oneOf =
  <const T extends string>(...words: readonly T[]): Parser<T> =>
  (text) => {
    const word = words.find((candidate) => candidate === text)
    if (word === undefined) throw bad(text, `one of ${words.join(', ')}`, `write one of: ${words.join(', ')}`)
    return word
  }

/** What the parser reads, or null for the word `none`. */
export const orNone =
  <T>(parser: Parser<T>): Parser<T | null> =>
  (text) =>
    text === 'none' ? null : parser(text)

const HEADS_MAX = 1_000_000

/** `hours=48,days=30`: what is not said stays as it is by default. */
export function retention(text: string): RetentionPolicy {
  const counts = pairs(
    text.split(',').map((part) => {
      const [period = '', count = ''] = part.trim().split('=')
      if (!Object.hasOwn(RETENTION, period)) {
        const known = Object.keys(RETENTION).join(', ')
        throw bad(text, `a list of counts of ${known}`, 'write it like minutes=120,hours=48,days=30,weeks=26,months=60')
      }
      return [period, whole(0, HEADS_MAX)(count)] as const
    })
  )
  return { ...RETENTION, ...counts }
}

const DAY = /^\d{4}-\d{2}-\d{2}$/
const AT = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:\d{2})?$/

/** A moment in Unix milliseconds: `2026-01-31T12:00:00Z`, a day, or how long ago, such as `2h`. Without a zone it is local time. */
export const moment =
  (nowMs: () => number): Parser<number> =>
  (text) => {
    const trimmed = text.trim()
    // A day alone would be taken for one of UTC.
    const at = DAY.test(trimmed) ? Date.parse(`${trimmed}T00:00:00`) : Date.parse(trimmed)
    if ((DAY.test(trimmed) || AT.test(trimmed)) && !Number.isNaN(at)) return at
    if (/^[\d.]+[a-z]/.test(trimmed)) return nowMs() - duration(trimmed)
    throw bad(text, 'a time', 'write it like 2026-01-31T12:00:00Z, or how long ago, like 2h or 3d')
  }

/** `KEY=VALUE` words as an object; a key that stands twice is refused. */
export function pairs<T>(entries: readonly (readonly [string, T])[]): Record<string, T> {
  const result: Record<string, T> = Object.create(null)
  for (const [key, value] of entries) {
    if (key in result) throw new NodeDaemonError('BAD_USAGE', `"${key}" is given twice`, { advice: 'say it once' })
    result[key] = value
  }
  return { ...result }
}
