import type { ServerResponse } from 'node:http'
import type { Refusal } from './refusal.ts'

export interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string | number>>
  readonly body?: string | Buffer
}

/** For all answers: what a workspace holds is private, and is what its name says. */
export const COMMON_HEADERS = {
  'Cache-Control': 'private, no-cache',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin'
} as const

const TEXT_HEADERS = {
  'Content-Type': 'text/plain; charset=utf-8',
  'Content-Security-Policy': "sandbox; default-src 'none'; frame-ancestors 'none'"
} as const

export const RETRY_AFTER_SECONDS = 5
export const ALLOWED_METHODS = 'OPTIONS, GET, HEAD, PUT, DELETE, MKCOL, COPY, MOVE, PROPFIND, PROPPATCH, LOCK, UNLOCK'

/** Sends an answer whose body is in memory. Does nothing where the connection is gone or an answer has begun. */
export function send(response: ServerResponse, reply: Reply): void {
  if (response.headersSent || response.destroyed) return
  const bodiless = reply.status === 204 || reply.status === 304
  const length = bodiless ? {} : { 'Content-Length': Buffer.byteLength(reply.body ?? '') }
  response.writeHead(reply.status, { ...COMMON_HEADERS, ...length, ...reply.headers })
  response.end(response.req.method === 'HEAD' || bodiless ? undefined : reply.body)
}

/** A plain sentence. */
export function textReply(status: number, text: string, headers: Reply['headers'] = {}): Reply {
  return { status, headers: { ...TEXT_HEADERS, ...headers }, body: `${text}\n` }
}

export function refusalReply(refusal: Refusal): Reply {
  if (refusal.status === 503) return textReply(503, refusal.message, { 'Retry-After': RETRY_AFTER_SECONDS })
  if (refusal.status === 405) return textReply(405, refusal.message, { Allow: ALLOWED_METHODS })
  return textReply(refusal.status, refusal.message)
}
