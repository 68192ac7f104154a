import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { codeOf, ERRORS, messageOf } from '../core/errors.ts'
import { isServiceName, isUserId, isWorkspaceId, type ServiceName, type UserId, type WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Upgrading } from '../wire/http.ts'
import { answerOn } from './answer-on.ts'

/** What the front door says about a request. */
export interface IngressTarget {
  /** Null for a newcomer's read. */
  readonly workspace: WorkspaceId | null
  /** 0 where there is no workspace. */
  readonly epoch: number
  readonly service: ServiceName
  /** The path prefix under which users reach the service; '' for the root or a host of its own. */
  readonly prefix: string
  readonly user: UserId | null
  /** How much the workspace may hold, in bytes; not there: no bound. */
  readonly limitBytes?: number
}

export interface IngressDeps {
  /**
   * Answers a request. A body is asked for (`100 Continue`) when it is first read: what is refused before, with
   * `NOT_HOME`, can be sent elsewhere whole.
   *
   * @throws NodeDaemonError answered with the status of its code, while no answer has begun
   */
  serve(request: IncomingMessage, response: ServerResponse, target: IngressTarget): Promise<void>
  /**
   * Takes over a connection that is to speak another protocol (WebSocket). Without it, `serve` answers such requests.
   *
   * @throws NodeDaemonError as `serve`, unless the connection was taken over or the upgrade declined
   */
  upgrade?(request: IncomingMessage, upgrading: Upgrading, target: IngressTarget): Promise<void>
  readonly log: Logger
}

/** How a request is taken in that did not come through the tunnel. */
export interface Taking {
  /** Does the client wait for `100 Continue`? */
  readonly expects: boolean
  /** The body is asked for. */
  readonly onAsked?: () => void
  /** Answers where this instance is not the home (any more); nothing was executed. */
  readonly onMoved?: () => void
}

const NO_FRONT_DOOR = 'BAD_REQUEST: this did not come from a front door\n'
/** The front door accepts 16 KiB of headers from clients, and adds its own. */
const MAX_HEADER_BYTES = 32 * 1024
const EPOCH = /^[1-9]\d{0,14}$/
const BYTES = /^\d{1,15}$/

/** Has the requests of front doors answered. It listens nowhere: streams come from the tunnel, other requests from `IngressDoor`. */
export class Ingress implements AsyncDisposable {
  readonly #deps: IngressDeps
  readonly #server: Server
  readonly #streams = new Set<Duplex>()
  #closed = false

  constructor(deps: IngressDeps) {
    this.#deps = { ...deps, log: deps.log.child({ part: 'ingress' }) }
    // Only the front door closes idle streams, so that it never sends a request into one that is being closed.
    const options = { maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }
    this.#server = createServer(options, (request, response) => this.#take(request, response, { expects: false }))
    this.#server.timeout = 0
    this.#server.maxHeadersCount = 0
    this.#server.on('checkContinue', (request, response) => this.#take(request, response, { expects: true }))
    this.#server.on('clientError', (error, socket) => {
      if (codeOf(error) !== 'CLOSED') {
        this.#deps.log.warn({ error: messageOf(error) }, 'a malformed request came through the tunnel')
      }
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
      else socket.destroy()
    })
    if (deps.upgrade !== undefined) {
      this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    }
  }

  /** Takes a stream on which the front door speaks HTTP/1.1. */
  accept(stream: Duplex): void {
    stream.on('error', () => undefined)
    if (this.#closed) {
      stream.destroy()
      return
    }
    this.#streams.add(stream)
    stream.once('close', () => this.#streams.delete(stream))
    this.#server.emit('connection', stream)
  }

  /** Breaks all streams. What must end well has ended before. */
  async close(): Promise<void> {
    this.#closed = true
    for (const stream of [...this.#streams]) stream.destroy()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Answers a request that did not come through the tunnel. Its header lines are those of a front door. */
  answer(request: IncomingMessage, response: ServerResponse, how: Taking): void {
    if (this.#closed) response.destroy()
    else this.#take(request, response, how)
  }

  /** The same for one that asks for another protocol. */
  answerUpgrade(request: IncomingMessage, upgrading: Upgrading, onMoved?: () => void): void {
    const target = targetOf(request)
    if (target === null) return refuse(upgrading.decline(), 400, NO_FRONT_DOOR)
    const { upgrade, serve } = this.#deps
    const work =
      upgrade === undefined ? serve(request, upgrading.decline(), target) : upgrade(request, upgrading, target)
    work.catch((error: unknown) => {
      if (!upgrading.socket.destroyed) this.#failed(upgrading.decline(), error, onMoved)
    })
  }

  #take(request: IncomingMessage, response: ServerResponse, { expects, onAsked, onMoved }: Taking): void {
    if (expects) askForBodyWhenRead(request, response, onAsked)
    const target = targetOf(request)
    if (target === null) return refuse(response, 400, NO_FRONT_DOOR)
    this.#deps.serve(request, response, target).catch((error: unknown) => this.#failed(response, error, onMoved))
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    const target = targetOf(request)
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    const decline = (): ServerResponse => {
      answerOn(socket, response)
      return response
    }
    if (target === null) return refuse(decline(), 400, NO_FRONT_DOOR)
    this.#deps.upgrade?.(request, { socket, head, decline }, target).catch((error: unknown) => {
      if (!socket.destroyed) this.#failed(response.socket === null ? decline() : response, error)
    })
  }

  #failed(response: ServerResponse, error: unknown, onMoved?: () => void): void {
    const code = codeOf(error)
    if (code === 'UNEXPECTED') this.#deps.log.error({ error }, 'a request failed unexpectedly')
    if (response.headersSent) {
      response.destroy()
      return
    }
    for (const name of response.getHeaderNames()) response.removeHeader(name)
    if (code === 'NOT_HOME' && onMoved !== undefined) return onMoved()
    if (code === 'NOT_HOME') response.setHeader('x-node-daemon-moved', '1')
    refuse(response, ERRORS[code].http, `${code}: ${code === 'UNEXPECTED' ? 'see the log' : messageOf(error)}\n`)
  }
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.setHeader('content-length', Buffer.byteLength(text))
  response.end(text)
}

/** Sends `100 Continue` as soon as somebody begins to read the body. */
function askForBodyWhenRead(request: IncomingMessage, response: ServerResponse, onAsked?: () => void): void {
  const ask = (): void => {
    request.removeListener('newListener', onListener)
    request.removeListener('resume', ask)
    if (response.headersSent) return
    response.writeContinue()
    onAsked?.()
  }
  const onListener = (event: string | symbol): void => {
    if (event === 'data' || event === 'readable') ask()
  }
  request.on('newListener', onListener)
  request.on('resume', ask)
}

/** Null where the headers are not those of a front door. */
export function targetOf(request: Pick<IncomingMessage, 'headers'>): IngressTarget | null {
  const { headers } = request
  const workspace = textOf(headers['x-workspace-id'])
  const epoch = textOf(headers['x-node-daemon-epoch'])
  const service = textOf(headers['x-node-daemon-service'])
  const user = textOf(headers['x-remote-user'])
  const prefix = textOf(headers['x-forwarded-prefix']) ?? ''
  const limit = textOf(headers['x-node-daemon-limit'])
  if (service === null || !isServiceName(service)) return null
  if (user !== null && !isUserId(user)) return null
  if (limit !== null && !BYTES.test(limit)) return null
  const asked = { service, prefix, user, ...(limit !== null && { limitBytes: Number(limit) }) }
  if (workspace === null) return epoch === null ? { workspace: null, epoch: 0, ...asked } : null
  if (!isWorkspaceId(workspace) || epoch === null || !EPOCH.test(epoch)) return null
  return { workspace, epoch: Number(epoch), ...asked }
}

const textOf = (value: string | string[] | undefined): string | null => (typeof value === 'string' ? value : null)
