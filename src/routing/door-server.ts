import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  ServerResponse
} from 'node:http'
import { createServer as createTlsServer, Server as TlsServer } from 'node:https'
import { type AddressInfo, Server as PlainServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Clock, sleep, type TimerHandle } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { answerOn, noticeEnd } from './answer-on.ts'
import { FRONT_DOOR_LIMITS, type FrontDoorLimits } from './limits.ts'
import type { Certificate, FrontDoorOptions } from './neighbours.ts'
import { answer, rawAnswer } from './pages.ts'
import type { Upgrade } from './proxy.ts'
import { EXPECTATION_FAILED } from './refusals.ts'

/** A request as it came in. */
export interface Arrival {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly upgrade: Upgrade | null
  /** Does the client wait for `100 Continue`? */
  readonly expects: boolean
}

export interface DoorServerOptions extends Pick<FrontDoorOptions, 'tls' | 'holdMs' | 'limits'> {
  /** The longest header section; by default that of users' requests. */
  readonly headerBytes?: number
  /** The flag by which people say where it listens; by default that of the front door. */
  readonly flag?: string
}

export interface DoorServerDeps {
  readonly clock: Clock
  /** Has a request answered. Requests of one connection come one after another. */
  readonly take: (arrival: Arrival) => void
  /** May one more connection come from there? */
  readonly admits: (socket: Socket) => boolean
}

/**
 * The listening side of the front door: connections, their time limits, and the order of requests on one connection.
 * What a request says, and where it goes, is not looked at here.
 */
export class DoorServer {
  readonly #deps: DoorServerDeps
  readonly #options: DoorServerOptions
  readonly #limits: FrontDoorLimits
  /** What ends a connection on which an answer does not go on. */
  readonly #silences = new WeakMap<Socket, TimerHandle>()
  readonly #server: Server
  /** The latest response of each connection: requests on one connection are taken one after another. */
  readonly #latest = new WeakMap<Duplex, ServerResponse>()
  /** The response that another one waits for. */
  readonly #before = new WeakMap<ServerResponse, ServerResponse>()
  /** Connections on which something came that is no request. */
  readonly #spoilt = new WeakSet<Duplex>()
  /** How many requests of a connection wait for those before them. */
  readonly #pipelined = new WeakMap<Duplex, number>()
  #underWay = 0
  #closing = false

  constructor(deps: DoorServerDeps, options: DoorServerOptions) {
    this.#deps = deps
    this.#options = options
    this.#limits = { ...FRONT_DOOR_LIMITS, ...options.limits }
    this.#server = this.#createServer()
  }

  /** Requests under way, those that wait included. */
  get underWay(): number {
    return this.#underWay
  }

  /** @throws NodeDaemonError `PORT_IN_USE` */
  listen(host: string, port: number): Promise<{ host: string; port: number }> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        reject(cannotListen(host, port, this.#options.flag ?? '--http', error))
      })
      this.#server.listen(port, host, () => {
        const address = this.#server.address() as AddressInfo
        resolve({ host: address.address, port: address.port })
      })
    })
  }

  /**
   * Shows this certificate to connections that come from now on.
   *
   * @throws Error it cannot be used: the one before stays
   */
  useCertificate(certificate: Certificate): void {
    if (this.#server instanceof TlsServer) this.#server.setSecureContext(tlsOf(certificate))
  }

  /** Takes requests from a connection that came in elsewhere. */
  accept(connection: Duplex): void {
    this.#server.emit(this.#options.tls === undefined ? 'connection' : 'secureConnection', connection)
  }

  /** Takes no more connections. Resolves once the last one has ended. */
  async close(): Promise<void> {
    this.#closing = true
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    this.#server.closeIdleConnections()
    const patience = new AbortController()
    const late = sleep(this.#deps.clock, this.#limits.closeMs, patience.signal).catch(() => undefined)
    await Promise.race([closed, late])
    patience.abort()
  }

  /** Breaks what is still open. */
  destroy(): void {
    this.#server.closeAllConnections()
  }

  /** A request has ended: with its response, or since its connection speaks another protocol. */
  over(): void {
    this.#underWay -= 1
    if (this.#closing) this.#server.closeIdleConnections()
  }

  #createServer(): Server {
    const limits = this.#limits
    const options: ServerOptions = {
      maxHeaderSize: this.#options.headerBytes ?? limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: 0,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: Math.min(5_000, limits.headersMs),
      keepAlive: true,
      keepAliveInitialDelay: limits.idleMs,
      insecureHTTPParser: false,
      requireHostHeader: false,
      shouldUpgradeCallback: ({ headers }) => leavesHttp(headers.upgrade ?? '')
    }
    const listener: RequestListener = (request, response) =>
      this.#arrive({ request, response, upgrade: null, expects: false })
    const { tls } = this.#options
    const server: Server =
      tls === undefined
        ? createServer(options, listener)
        : createTlsServer({ ...options, ...tlsOf(tls), handshakeTimeout: limits.headersMs }, listener)
    server.maxHeadersCount = 0
    server.maxConnections = limits.connections
    server.timeout = Math.max(limits.idleMs, this.#options.holdMs + limits.idleMs / 4)
    server.on('connection', (socket: Socket) => {
      if (!this.#deps.admits(socket)) socket.destroy()
    })
    server.on('checkContinue', (request, response) => this.#arrive({ request, response, upgrade: null, expects: true }))
    server.on('checkExpectation', (_request, response) => answer(response, EXPECTATION_FAILED))
    server.on('upgrade', (request, socket, head) => this.#arriveToUpgrade(request, socket, head))
    server.on('connect', (_request, socket) => socket.end(rawAnswer(405), () => socket.destroy()))
    server.on('timeout', (socket: Socket) => this.#idle(socket))
    server.on('clientError', (error, socket) => this.#malformed(error, socket))
    return server
  }

  /** The request of an upgrade gets a response like any other, until an instance agrees to the upgrade. */
  #arriveToUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    answerOn(socket, response)
    noticeEnd(socket)
    socket.on('error', () => socket.destroy())
    this.#arrive({ request, response, upgrade: { socket, head }, expects: false })
  }

  #arrive(arrival: Arrival): void {
    const { request, response } = arrival
    const { socket } = request
    const before = this.#latest.get(socket)
    if (socket.destroyed || isLast(before)) return
    this.#latest.set(socket, response)
    if (before === undefined || isOver(before)) this.#take(arrival)
    else this.#takeAfter(before, arrival)
  }

  #takeAfter(before: ServerResponse, arrival: Arrival): void {
    const { socket } = arrival.request
    const waiting = (this.#pipelined.get(socket) ?? 0) + 1
    this.#pipelined.set(socket, waiting)
    if (waiting > this.#limits.pipelined) {
      socket.destroy()
      return
    }
    this.#before.set(arrival.response, before)
    before.once('close', () => {
      this.#pipelined.set(socket, (this.#pipelined.get(socket) ?? 1) - 1)
      const isWhole = arrival.request.complete || !this.#spoilt.has(socket)
      if (!socket.destroyed && !isLast(before) && isWhole) this.#take(arrival)
    })
  }

  #take(arrival: Arrival): void {
    const { response } = arrival
    this.#underWay += 1
    response.once('close', () => this.over())
    response.once('finish', () => this.#linger(arrival))
    if (this.#closing) response.shouldKeepAlive = false
    this.#deps.take(arrival)
  }

  /** A client that still sends a body reads the answer only afterwards: it has a while to come to an end. */
  #linger({ request, upgrade }: Arrival): void {
    if (upgrade === null && (request.complete || request.destroyed)) return
    const timer = this.#deps.clock.after(this.#limits.lingerMs, () => request.socket.destroy())
    const ending = upgrade === null ? request : upgrade.socket
    ending.once('close', () => timer.cancel())
  }

  /** An instance may take its time to answer; a client may not, neither with its body nor with reading. */
  #idle(socket: Socket): void {
    const latest = this.#latest.get(socket)
    const waitsForInstance =
      latest !== undefined && !latest.writableFinished && latest.req.complete && latest.writableLength === 0
    if (latest === undefined || !waitsForInstance) return void socket.destroy()
    const { bytesWritten } = socket
    if (!this.#silences.has(socket)) socket.once('close', () => this.#silences.get(socket)?.cancel())
    this.#silences.get(socket)?.cancel()
    const end = this.#deps.clock.after(this.#limits.answerMs - this.#server.timeout, () => {
      if (socket.bytesWritten === bytesWritten && this.#latest.get(socket) === latest) socket.destroy()
    })
    this.#silences.set(socket, end)
  }

  /** Says that what came is no request, once all that came whole before it is answered. */
  #malformed(error: Error & { code?: string }, socket: Duplex): void {
    if (this.#spoilt.has(socket)) return
    this.#spoilt.add(socket)
    const say = (): void => {
      if (socket.writable) socket.end(rawAnswer(STATUS_OF_PARSER[error.code ?? ''] ?? 400), () => socket.destroy())
      else socket.destroy()
    }
    const latest = this.#latest.get(socket)
    if (latest === undefined || (isOver(latest) && latest.req.complete)) return say()
    const before = latest.req.complete ? latest : this.#before.get(latest)
    if (before !== undefined && !isOver(before)) before.once('close', say)
    else if (latest.headersSent || isOver(latest)) socket.destroy()
    else say()
  }
}

const isOver = (response: ServerResponse): boolean => response.writableFinished || response.destroyed

/** Does the connection end with this response? What follows its request may not be what the client meant. */
const isLast = (response: ServerResponse | undefined): boolean => response?.shouldKeepAlive === false

/** Is another protocol offered than the forms of HTTP that clients try? Else the request is one like any other. */
const leavesHttp = (offered: string): boolean =>
  offered.split(',').some((name) => !/^(h2c|tls|http)(\/|$)/i.test(name.trim()))

const STATUS_OF_PARSER: Readonly<Record<string, 408 | 431>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408
}

const tlsOf = ({ cert, key }: Certificate) => ({
  cert: bytesOf(cert),
  key: bytesOf(key),
  minVersion: 'TLSv1.2' as const
})

const bytesOf = (text: string | Uint8Array): string | Buffer => (typeof text === 'string' ? text : Buffer.from(text))

function cannotListen(host: string, port: number, flag: string, cause: NodeJS.ErrnoException): Error {
  if (cause.code !== 'EADDRINUSE') return cause
  return new NodeDaemonError('PORT_IN_USE', `${host}:${port} is in use`, { advice: `choose another ${flag}`, cause })
}

/** Listens for a moment, to tell early what will not do. @throws NodeDaemonError `PORT_IN_USE` */
export async function checkFree(host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const probe = new PlainServer()
  probe.once('error', (error) => reject(cannotListen(host, port, '--http', error)))
  probe.listen(port, host, () => probe.close(() => resolve()))
  await promise
}
