import type { IncomingMessage, ServerResponse } from 'node:http'
import { codeOf, ERRORS, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'

export const BODY_MAX_BYTES = 256 * 1024
const RETRY_AFTER_S = 10

/** What every answer carries: nothing is framed, sniffed, cached or told to other sites. */
const SAFETY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store'
}

export type Headers = Readonly<Record<string, string>>

/** Sends a whole answer. The body is left out for HEAD by node:http. */
export function reply(
  response: ServerResponse,
  status: number,
  type: string,
  body: string,
  headers: Headers = {}
): void {
  response.writeHead(status, {
    ...SAFETY_HEADERS,
    'content-type': type,
    'content-length': String(Buffer.byteLength(body)),
    ...headers
  })
  response.end(body)
}

export function replyJson(response: ServerResponse, status: number, value: unknown, headers: Headers = {}): void {
  reply(response, status, 'application/json', `${JSON.stringify(value ?? {})}\n`, headers)
}

/** The form in which an error leaves. What is not ours stays in the log: its text may hold what is nobody's business. */
function errorBody(error: unknown): { error: { code: string; message: string; advice: string | null } } {
  if (error instanceof NodeDaemonError) {
    return { error: { code: error.code, message: messageOf(error), advice: error.advice ?? null } }
  }
  return {
    error: { code: codeOf(error), message: 'something unexpected happened', advice: 'see the log of the daemon' }
  }
}

/** Answers with an error; where an answer has begun, cuts the connection, so that nobody takes it for complete. */
export function replyError(response: ServerResponse, error: unknown, log: Logger, headers: Headers = {}): void {
  const code = codeOf(error)
  if (!(error instanceof NodeDaemonError) && code === 'UNEXPECTED') log.error({ err: error }, 'a request failed')
  if (response.destroyed) return
  if (response.headersSent) {
    response.destroy()
    return
  }
  replyJson(response, ERRORS[code].http, errorBody(error), {
    ...(code === 'UNAUTHENTICATED' && { 'www-authenticate': 'Bearer realm="node-daemon"' }),
    ...(code === 'BUSY' && { 'retry-after': String(RETRY_AFTER_S) }),
    ...(code === 'TOO_LARGE' && { connection: 'close' }),
    ...headers
  })
}

/**
 * A request's body as JSON; an empty one is an empty object.
 *
 * @throws NodeDaemonError `TOO_LARGE` beyond 256 KiB, `BAD_REQUEST` not JSON in UTF-8, `ABORTED` the client went away
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const tooLarge = (): NodeDaemonError =>
    new NodeDaemonError('TOO_LARGE', `a body may have at most ${BODY_MAX_BYTES / 1024} KiB`)
  if (Number(request.headers['content-length'] ?? 0) > BODY_MAX_BYTES) throw tooLarge()
  const bytes = await readBytes(request, tooLarge)
  if (bytes.length === 0) return {}
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new NodeDaemonError('BAD_REQUEST', 'the body is not JSON', { cause })
  }
}

async function readBytes(request: IncomingMessage, tooLarge: () => NodeDaemonError): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      length += part.length
      if (length > BODY_MAX_BYTES) throw tooLarge()
      parts.push(part)
    }
  } catch (cause) {
    if (cause instanceof NodeDaemonError) throw cause
    throw new NodeDaemonError('ABORTED', 'the client went away', { cause })
  }
  return Buffer.concat(parts)
}

/**
 * Sends one JSON document a line as they come, at the pace of the reader. An error before the first line is answered
 * as usual; one after it becomes the last line.
 */
export async function replyLines(response: ServerResponse, items: AsyncIterable<object>, log: Logger): Promise<void> {
  const iterator = items[Symbol.asyncIterator]()
  const first = await iterator.next()
  response.writeHead(200, { ...SAFETY_HEADERS, 'content-type': 'application/x-ndjson' })
  try {
    for (let item = first; item.done !== true && !response.destroyed; item = await iterator.next()) {
      await send(response, `${JSON.stringify(item.value)}\n`)
    }
  } catch (error) {
    if (codeOf(error) === 'UNEXPECTED') log.error({ err: error }, 'a stream of lines failed')
    if (!response.destroyed) await send(response, `${JSON.stringify(errorBody(error))}\n`)
  } finally {
    await iterator.return?.()
    response.end()
  }
}

/** The trailer that tells, as JSON in percent-encoding, why bytes broke off. Only whoever sent `TE: trailers` is sent one. */
const ERROR_TRAILER = 'nd-error'

/**
 * Sends bytes as they come, at the pace of the reader. An error before the first of them is answered as usual; one after
 * it is told in a trailer to whoever reads trailers, else it cuts the connection, so that nobody takes what came for
 * complete.
 */
export async function replyBytes(
  request: IncomingMessage,
  response: ServerResponse,
  type: string,
  parts: AsyncIterable<Uint8Array>,
  headers: Headers
): Promise<void> {
  const readsTrailers = request.httpVersion === '1.1' && /(?:^|,)\s*trailers\b/i.test(String(request.headers.te ?? ''))
  const iterator = parts[Symbol.asyncIterator]()
  try {
    const first = await iterator.next()
    const trailer = readsTrailers ? { trailer: ERROR_TRAILER } : {}
    response.writeHead(200, { ...SAFETY_HEADERS, 'content-type': type, ...headers, ...trailer })
    for (let part = first; part.done !== true && !response.destroyed; part = await iterator.next()) {
      await send(response, part.value)
    }
    response.end()
  } catch (error) {
    if (!readsTrailers || !response.headersSent || !(error instanceof NodeDaemonError)) throw error
    response.addTrailers({ [ERROR_TRAILER]: encodeURIComponent(JSON.stringify(errorBody(error))) })
    response.end()
  } finally {
    await iterator.return?.()
  }
}

async function send(response: ServerResponse, text: string | Uint8Array): Promise<void> {
  if (response.write(text)) return
  const { promise, resolve } = Promise.withResolvers<void>()
  response.once('drain', resolve).once('close', resolve)
  await promise
  response.off('drain', resolve).off('close', resolve)
}

export function beginEvents(response: ServerResponse): void {
  response.writeHead(200, { ...SAFETY_HEADERS, 'content-type': 'text/event-stream' })
}
