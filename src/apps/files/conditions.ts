import type { IncomingHttpHeaders } from 'node:http'
import { Refusal } from './refusal.ts'
import type { Found } from './tree.ts'

/**
 * Compares the conditional headers (RFC 9110, section 13) with what is there.
 *
 * @returns whether the client of a GET or HEAD already has it
 * @throws Refusal 412 where a condition does not hold
 */
export function isUnchanged(headers: IncomingHttpHeaders, found: Found, reading: boolean): boolean {
  const etag = found.kind === 'absent' ? null : found.etag
  const seconds = found.kind === 'absent' ? null : Math.floor(found.modifiedMs / 1000)
  const match = headers['if-match']
  const unmodifiedSince = secondsOf(headers['if-unmodified-since'])
  if (match !== undefined ? !names(match, etag, true) : seconds !== null && seconds > (unmodifiedSince ?? seconds)) {
    throw new Refusal(412, 'this was changed meanwhile')
  }
  const noneMatch = headers['if-none-match']
  if (noneMatch === undefined) {
    const since = secondsOf(headers['if-modified-since'])
    return reading && since !== null && seconds !== null && seconds <= since
  }
  if (!names(noneMatch, etag, false)) return false
  if (reading) return true
  throw new Refusal(412, 'there is something of that name already')
}

/** Does an `If-Match` or `If-None-Match` value name this entity tag? `*` names any that exists. */
function names(value: string, etag: string | null, strong: boolean): boolean {
  if (etag === null) return false
  if (value.trim() === '*') return true
  return value.split(',').some((item) => {
    const tag = item.trim()
    return tag === etag || (!strong && tag === `W/${etag}`)
  })
}

function secondsOf(date: string | undefined): number | null {
  const ms = date === undefined ? Number.NaN : Date.parse(date)
  return Number.isNaN(ms) ? null : Math.floor(ms / 1000)
}

export interface ByteRange {
  readonly start: number
  /** The last byte that belongs to it. */
  readonly end: number
}

const RANGE = /^bytes=(\d{0,15})-(\d{0,15})$/

/**
 * The part that a Range header asks for. Null: all of it, also where several parts are asked for, which RFC 9110 allows.
 *
 * @throws Refusal 416 where it begins after the end
 */
export function rangeOf(
  headers: IncomingHttpHeaders,
  etag: string,
  modifiedMs: number,
  size: number
): ByteRange | null {
  const match = RANGE.exec(headers.range?.trim() ?? '')
  if (match === null || !isStillValid(singleOf(headers['if-range']), etag, modifiedMs)) return null
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return null
  if (first === '') return suffix(Number(last), size)
  const start = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < start) return null
  if (start >= size) throw new Refusal(416, `this file has ${size} bytes`)
  return { start, end }
}

const singleOf = (value: string | string[] | undefined): string | undefined =>
  value === undefined ? undefined : String(value)

function suffix(length: number, size: number): ByteRange {
  if (length === 0 || size === 0) throw new Refusal(416, `this file has ${size} bytes`)
  return { start: Math.max(0, size - length), end: size - 1 }
}

function isStillValid(ifRange: string | undefined, etag: string, modifiedMs: number): boolean {
  if (ifRange === undefined) return true
  const seconds = secondsOf(ifRange)
  return ifRange.trim() === etag || (!ifRange.includes('"') && seconds === Math.floor(modifiedMs / 1000))
}
