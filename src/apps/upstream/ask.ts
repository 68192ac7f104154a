import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { type Interim, onInterim } from '../../wire/interim.ts'
import type { AppRequestContext } from '../app.ts'
import { hasBody, isFramed, requestLines, trailerPairs } from './lines.ts'
import type { UpstreamTarget } from './target.ts'

/** Servers close idle connections after 2 s and more: ours are given up earlier, so that none is met while it closes. */
const KEPT_IDLE_MS = 1_000
const CONNECTIONS_MAX = 512
const MAX_ANSWER_HEADER_BYTES = 64 * 1024

/** What an app answered, and the request that it answers. */
export interface Answered {
  readonly incoming: IncomingMessage
  /** Breaks the connection with the app. */
  breakOff(): void
}

/** Asks an app. Reads share connections; a change has one of its own, so that it is never lost with one that was closing. */
export class UpstreamClient {
  readonly #target: UpstreamTarget
  readonly #agent = new Agent({ keepAlive: true, timeout: KEPT_IDLE_MS, maxSockets: CONNECTIONS_MAX })

  constructor(target: UpstreamTarget) {
    this.#target = target
  }

  /**
   * Passes a request on, with its body as it comes, no faster than the app takes it. Resolves with the head of the answer.
   *
   * @throws what the connection failed with, before there was an answer
   */
  async ask(
    request: IncomingMessage,
    context: AppRequestContext,
    options: { readonly shared: boolean; readonly signal: AbortSignal; readonly interim: (interim: Interim) => void }
  ): Promise<Answered> {
    const { shared, signal, interim } = options
    const outgoing = this.#open(request, requestLines(request, context), shared ? this.#agent : false)
    try {
      return await answered(request, outgoing, signal, interim)
    } catch (error) {
      if (!outgoing.reusedSocket || hasBody(request) || signal.aborted) throw error
      return this.ask(request, context, { shared: false, signal, interim })
    }
  }

  /** A request that is to become another protocol. It is sent; who listens has its events. */
  upgrade(request: IncomingMessage, context: AppRequestContext): ClientRequest {
    const lines = [...requestLines(request, context), 'connection', 'Upgrade', 'upgrade', request.headers.upgrade ?? '']
    return this.#open(request, lines, false).end()
  }

  #open(request: IncomingMessage, lines: string[], agent: Agent | false): ClientRequest {
    return httpRequest({
      ...this.#target,
      agent,
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      headers: lines,
      setHost: false,
      maxHeaderSize: MAX_ANSWER_HEADER_BYTES
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

function answered(
  request: IncomingMessage,
  outgoing: ClientRequest,
  signal: AbortSignal,
  interim: (interim: Interim) => void
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const breakOff = (): void => {
      outgoing.destroy()
    }
    const stop = (): void => {
      signal.removeEventListener('abort', breakOff)
      request.unpipe(outgoing)
    }
    outgoing.on('error', reject)
    outgoing.once('close', () => {
      stop()
      reject(new Error('the connection was lost'))
    })
    outgoing.once('response', (incoming) => {
      if (isFramed(incoming)) return resolve({ incoming, breakOff })
      breakOff()
      reject(new Error('the answer has an encoding that is not known'))
    })
    onInterim(outgoing, interim)
    signal.addEventListener('abort', breakOff, { once: true })
    if (signal.aborted) breakOff()
    else sendBody(request, outgoing)
  })
}

function sendBody(request: IncomingMessage, outgoing: ClientRequest): void {
  if (!hasBody(request)) {
    outgoing.end()
    return
  }
  request.once('end', () => {
    const trailers = trailerPairs(request.rawTrailers)
    if (trailers.length > 0) outgoing.addTrailers(trailers)
  })
  // What is cut off must not look whole to the app.
  request.once('close', () => {
    if (!request.complete) outgoing.destroy()
  })
  request.pipe(outgoing)
}
