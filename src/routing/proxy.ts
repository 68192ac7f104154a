import {
  type Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse
} from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import { UPLOAD_BYTES_MIN, type UploadTap } from '../sync/provisional.ts'
import { headText } from '../wire/http.ts'
import { onInterim, passInterim } from '../wire/interim.ts'
import { type Body, framing, passOn } from './body.ts'
import { responseHeaders, trailers } from './headers.ts'
import { answer } from './pages.ts'
import { TOO_LARGE } from './refusals.ts'

/** A connection that the client asked to upgrade, and what it has sent on it since. */
export interface Upgrade {
  readonly socket: Duplex
  readonly head: Buffer
}

/** One attempt to have a request answered by an instance. */
export interface Attempt {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly upgrade: Upgrade | null
  /** All lines for the instance but those of framing. */
  readonly headers: readonly string[]
  readonly body: Body
  /** Hears the body as it passes; null where nobody does. */
  readonly tap: (() => UploadTap) | null
  /** Does the client wait for `100 Continue`? */
  readonly expects: boolean
  readonly stream: Duplex
  /** The name of the instance, for `x-served-by`. */
  readonly servedBy: string
  readonly setCookie: string | null
}

/** What happens to an attempt. At most one of `onMoved`, `onLost` and `onUpgrade` is called; none where it is answered or given up. */
export interface AttemptEvents {
  /** The instance says that it is not the home: it has not executed the request. */
  onMoved(): void
  /** The connection was lost before any answer. */
  onLost(error: Error): void
  /** Both sides speak another protocol now. */
  onUpgrade(client: Duplex, instance: Duplex): void
  /** The stream is free for another request. */
  onFree(): void
  /** The instance has nothing more to do with this attempt. Called once, last. */
  onEnd(): void
}

export interface ProxyOptions {
  readonly maxBodyBytes: number
  /** How long an instance may take to ask for a body that it was told of. */
  readonly continueMs: number
}

const MAX_ANSWER_HEADER_BYTES = 64 * 1024

/** Sends the request to the instance and its answer to the client. The returned function breaks both off. */
export function forward(clock: Clock, attempt: Attempt, options: ProxyOptions, events: AttemptEvents): () => void {
  const { request, body, stream, upgrade } = attempt
  const upstream = httpRequest({
    agent: agentOf(stream),
    method: request.method ?? 'GET',
    path: request.url ?? '/',
    headers: linesFor(attempt),
    setHost: false,
    maxHeaderSize: MAX_ANSWER_HEADER_BYTES
  })
  let settled = false
  let upgraded = false
  const settle = (outcome: () => void): void => {
    if (settled) return
    settled = true
    outcome()
  }
  const upload =
    body.kind === 'stream'
      ? new Upload(clock, attempt, body, upstream, options, () => settle(() => answer(attempt.response, TOO_LARGE)))
      : null
  onInterim(upstream, (interim) => passInterim(interim, attempt.response))
  const onFree = (): void => events.onFree()
  stream.once('free', onFree)
  upstream.on('error', (error) => {
    upload?.stop()
    settle(() => events.onLost(error))
  })
  upstream.once('response', (incoming) => {
    upload?.answered()
    settle(() => onResponse(attempt, upstream, incoming, events))
  })
  upstream.once('close', () => {
    upload?.stop()
    if (!upstream.shouldKeepAlive && !upgraded) stream.destroy()
    settle(() => events.onLost(new NodeDaemonError('OUT_OF_REACH', 'the connection was lost')))
    events.onEnd()
  })
  if (upgrade !== null) {
    upstream.once('upgrade', (incoming, instance, head) => {
      upgraded = true
      stream.removeListener('free', onFree)
      settle(() => onUpgraded(attempt, upgrade, incoming, { instance, head }, events))
    })
  }
  if (body.kind === 'kept') {
    upstream.end(body.bytes)
    hear(attempt, body.bytes)
  } else if (upload === null) upstream.end()
  return () => {
    settled = true
    upload?.stop()
    upstream.destroy()
  }
}

function hear({ tap }: Attempt, bytes: Uint8Array): void {
  if (bytes.length < UPLOAD_BYTES_MIN) return
  const listening = tap?.()
  listening?.write(bytes)
  listening?.end(true)
}

/** To `node:http` an agent is whatever has `addRequest`; this one has the one stream. */
export function agentOf(stream: Duplex): Agent {
  const agent = {
    keepAlive: true,
    protocol: 'http:',
    defaultPort: 80,
    addRequest: (upstream: ClientRequest) => upstream.onSocket(stream as Socket)
  }
  return agent as unknown as Agent
}

function linesFor(attempt: Attempt): string[] {
  const { request, upgrade, body } = attempt
  const lines = [...attempt.headers, ...framing(request.method ?? 'GET', body)]
  if (upgrade !== null) lines.push('connection', 'Upgrade', 'upgrade', request.headers.upgrade ?? '')
  else if (/\btrailers\b/i.test(String(request.headers.te))) lines.push('te', 'trailers', 'connection', 'TE')
  if (body.kind === 'stream') lines.push('expect', '100-continue')
  return lines
}

/** A body that is passed on once the instance asks for it, so that it is still whole where the instance refuses. */
class Upload {
  readonly #attempt: Attempt
  readonly #body: Extract<Body, { kind: 'stream' }>
  readonly #upstream: ClientRequest
  readonly #options: ProxyOptions
  readonly #onTooLarge: () => void
  readonly #timer: { cancel(): void }
  #stop: (() => void) | null = null
  #over = false

  constructor(
    clock: Clock,
    attempt: Attempt,
    body: Extract<Body, { kind: 'stream' }>,
    upstream: ClientRequest,
    options: ProxyOptions,
    onTooLarge: () => void
  ) {
    this.#attempt = attempt
    this.#body = body
    this.#upstream = upstream
    this.#options = options
    this.#onTooLarge = onTooLarge
    this.#timer = clock.after(options.continueMs, () => this.#begin())
    upstream.once('continue', () => this.#begin())
    upstream.flushHeaders()
  }

  #begin(): void {
    this.#timer.cancel()
    if (this.#over || this.#body.passedOn) return
    this.#body.passedOn = true
    const { request, response, expects } = this.#attempt
    if (expects) response.writeContinue()
    this.#stop = passOn(request, this.#upstream, this.#attempt.tap?.() ?? null, {
      maxBytes: this.#options.maxBodyBytes,
      onTooLarge: () => {
        this.#onTooLarge()
        this.#upstream.destroy()
      }
    })
  }

  /** The answer has come. A body that nobody asked for stays where it is. */
  answered(): void {
    if (!this.#body.passedOn) this.stop()
  }

  stop(): void {
    this.#over = true
    this.#timer.cancel()
    this.#stop?.()
    this.#stop = null
  }
}

const MOVED_HEADER = 'x-node-daemon-moved'

function onResponse(attempt: Attempt, upstream: ClientRequest, incoming: IncomingMessage, events: AttemptEvents): void {
  const { request, response, body } = attempt
  if (incoming.statusCode === 421 && incoming.headers[MOVED_HEADER] === '1') {
    discard(upstream, incoming, body)
    return events.onMoved()
  }
  if (!isFramed(request, incoming)) {
    upstream.destroy()
    return events.onLost(new NodeDaemonError('PROTOCOL_VIOLATION', 'the answer has no stated end'))
  }
  const lines = answerLines(attempt, incoming)
  if (attempt.expects && body.kind !== 'none' && !request.complete) response.shouldKeepAlive = false
  try {
    response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage ?? '', lines)
  } catch (error) {
    upstream.destroy()
    return events.onLost(new NodeDaemonError('PROTOCOL_VIOLATION', messageOf(error)))
  }
  passAnswer(incoming, response, () => {
    // The instance has answered before the end of the body, and does not want the rest.
    if (!upstream.writableEnded) upstream.destroy()
  })
}

function answerLines(attempt: Attempt, incoming: IncomingMessage): string[] {
  const lines = responseHeaders(incoming.rawHeaders, { newCookie: attempt.setCookie !== null })
  lines.push('x-served-by', attempt.servedBy)
  if (attempt.setCookie !== null) lines.push('set-cookie', attempt.setCookie)
  return lines
}

/** Reads to the end of an answer of no interest, where that leaves a stream that can be used again. */
function discard(upstream: ClientRequest, incoming: IncomingMessage, body: Body): void {
  if (body.kind === 'stream') upstream.destroy()
  else incoming.on('error', () => undefined).resume()
}

/** Is it plain where the answer ends? One that ends with its connection cannot be told from one that was cut off. */
function isFramed(request: IncomingMessage, incoming: IncomingMessage): boolean {
  const { statusCode: status = 0, headers } = incoming
  if (request.method === 'HEAD' || status === 204 || status === 304) return true
  const encoding = headers['transfer-encoding']
  return encoding === undefined ? headers['content-length'] !== undefined : encoding.toLowerCase() === 'chunked'
}

function passAnswer(incoming: IncomingMessage, response: ServerResponse, onEnd: () => void): void {
  let begun = false
  incoming.on('data', (chunk: Buffer) => {
    begun = true
    if (!response.write(chunk)) incoming.pause()
  })
  // A head that comes alone is not kept for what may follow much later; one that comes with its body goes along with it.
  queueMicrotask(() => {
    if (!begun && incoming.readableLength === 0 && !incoming.complete) response.flushHeaders()
  })
  const onDrain = (): void => {
    incoming.resume()
  }
  response.on('drain', onDrain)
  incoming.once('end', () => {
    response.removeListener('drain', onDrain)
    const lines = trailers(incoming.rawTrailers)
    if (lines.length > 0) response.addTrailers(lines)
    response.end()
    onEnd()
  })
  // What is cut off must not look whole to the client.
  incoming.once('error', () => response.destroy())
  incoming.once('close', () => {
    if (!incoming.complete) response.destroy()
  })
}

function onUpgraded(
  attempt: Attempt,
  upgrade: Upgrade,
  incoming: IncomingMessage,
  other: { readonly instance: Duplex; readonly head: Buffer },
  events: AttemptEvents
): void {
  const { socket } = upgrade
  const lines = answerLines(attempt, incoming)
  lines.push('connection', 'Upgrade', 'upgrade', incoming.headers.upgrade ?? '')
  attempt.response.detachSocket(socket as Socket)
  socket.write(headText('HTTP/1.1 101 Switching Protocols', lines), 'latin1')
  if (other.head.length > 0) other.instance.unshift(other.head)
  if (upgrade.head.length > 0) socket.unshift(upgrade.head)
  events.onUpgrade(socket, other.instance)
}
