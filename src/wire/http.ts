import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Protocol } from './protocol.ts'

/** HTTP/1.1 on a byte stream that the coordinator opens to an instance. One request at a time, kept for the next. */
export const HTTP_PROTOCOL: Protocol = {
  id: '/node-daemon/http/1.0.0',
  maxFrameBytes: 0,
  maxStreams: 512,
  open: 'members'
}

/** Header lines as node gives and takes them: name, value, name, value … */
export type RawHeaders = readonly string[]

/** Meant for the next hop alone (RFC 9110 §7.6.1). Framing and upgrade are written anew. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade'
])

/** The names that a Connection header lists, in lower case; null where there is none but `close` and `keep-alive`. */
export function connectionNames(connection: string | undefined): ReadonlySet<string> | null {
  if (connection === undefined) return null
  const lower = connection.toLowerCase()
  if (lower === 'keep-alive' || lower === 'close') return null
  return new Set(lower.split(',').map((name) => name.trim()))
}

/** Methods that change nothing. */
const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PROPFIND'])

export const isRead = (method: string): boolean => READS.has(method)

/** The lines of a header section as text, with the empty line at its end. */
export function headText(firstLine: string, raw: RawHeaders): string {
  let text = `${firstLine}\r\n`
  for (let index = 0; index + 1 < raw.length; index += 2) text += `${raw[index]}: ${raw[index + 1]}\r\n`
  return `${text}\r\n`
}

/** A connection that is asked to speak another protocol (WebSocket). */
export interface Upgrading {
  readonly socket: Duplex
  /** What was sent on it since. */
  readonly head: Buffer
  /** Stays with HTTP: gives the response for the one request. The connection ends after it. Called once at most. */
  decline(): ServerResponse
}
