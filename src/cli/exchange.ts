import {
  type Agent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
  request as requestHttp
} from 'node:http'
import { request as requestHttps } from 'node:https'
import { NodeDaemonError } from '../core/errors.ts'

/** Where an HTTP server listens: a unix socket, or a web address. */
export type HttpTarget = { readonly socketPath: string } | { readonly url: string }

export interface Exchange {
  readonly target: HttpTarget
  readonly method: string
  /** Path and query, from the target's root. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  /** Longest silence of the connection; 0 waits for ever. */
  readonly silenceMs: number
  readonly signal?: AbortSignal
  /** The connections to use again. */
  readonly agent?: Agent
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
}

function requestOptions(exchange: Exchange): RequestOptions {
  const length = exchange.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(exchange.body)) }
  return {
    method: exchange.method,
    path: exchange.path,
    headers: { ...exchange.headers, ...length },
    // Said also where it is 0: the agent has a limit of its own, of a few seconds.
    timeout: exchange.silenceMs,
    ...(exchange.signal === undefined ? {} : { signal: exchange.signal }),
    ...(exchange.agent === undefined ? {} : { agent: exchange.agent }),
    ...('socketPath' in exchange.target ? { socketPath: exchange.target.socketPath } : {})
  }
}

/** Sends a request; resolves with the head of the answer, whose body is to be read. Redirects are not followed. */
export function openExchange(exchange: Exchange): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = requestOptions(exchange)
    const url = 'url' in exchange.target ? new URL(exchange.path, exchange.target.url) : null
    const send = url?.protocol === 'https:' ? requestHttps : requestHttp
    const request = url === null ? send(options) : send(url, options)
    request.once('response', resolve)
    request.once('error', reject)
    request.once('timeout', () => {
      request.destroy(new NodeDaemonError('TIMED_OUT', `no answer for ${exchange.silenceMs / 1000} s`))
    })
    request.end(exchange.body)
  })
}

/** The whole body; `TOO_LARGE` beyond `bytesMax`. */
export async function readBody(message: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of message) {
    bytes += part.length
    if (bytes > bytesMax) throw new NodeDaemonError('TOO_LARGE', `the answer is larger than ${bytesMax} bytes`)
    parts.push(part)
  }
  if (!message.complete) throw new NodeDaemonError('OUT_OF_REACH', 'the answer was cut short')
  return Buffer.concat(parts)
}

/** A whole exchange; the answer's body is bounded by `bytesMax`. */
export async function exchange(exchange: Exchange, bytesMax: number): Promise<Answer> {
  const message = await openExchange(exchange)
  const body = await readBody(message, bytesMax)
  return { status: message.statusCode ?? 0, headers: message.headers, body }
}
