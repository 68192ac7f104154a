import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  ServerResponse
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { sleep } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { answerOn } from './answer-on.ts'
import { announcedBody, BodyBudget } from './body.ts'
import { Clients } from './client.ts'
import { SessionCookies } from './cookie.ts'
import { Exchange, type ExchangeDeps, type ExchangeOptions } from './exchange.ts'
import { requestHeaders } from './headers.ts'
import { Hold } from './hold.ts'
import { Identifier, type Refusal, type Visitor } from './identify.ts'
import { FRONT_DOOR_LIMITS } from './limits.ts'
import type { FrontDoorDeps, FrontDoorOptions, ServiceRoute } from './neighbours.ts'
import { addOwnHeaders } from './own-headers.ts'
import { answer, answerJson, type Page, rawAnswer } from './pages.ts'
import { Pools } from './pool.ts'
import type { Upgrade } from './proxy.ts'
import * as pages from './refusals.ts'
import { compileRoutes, isHost, type Router } from './route.ts'
import { Sockets } from './sockets.ts'

export type {
  CookieKeys,
  FrontDoorDeps,
  FrontDoorOptions,
  Home,
  Place,
  ServiceRoute,
  Tunnel,
  Uploads,
  Users,
  Workspaces
} from './neighbours.ts'

/** A request as it came in. */
interface Arrival {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly upgrade: Upgrade | null
  readonly expects: boolean
}

/** The HTTP entrance of the federation: tells users apart, finds their workspaces, and brings requests there. */
export class FrontDoor implements AsyncDisposable {
  readonly #deps: FrontDoorDeps
  readonly #options: FrontDoorOptions
  readonly #server: Server
  readonly #identifier: Identifier
  readonly #clients: Clients
  readonly #hold: Hold
  readonly #pools: Pools
  readonly #sockets: Sockets
  readonly #exchangeDeps: ExchangeDeps
  readonly #exchangeOptions: ExchangeOptions
  readonly #userHeader: string | null
  /** The latest response of each connection: requests on one connection are taken one after another. */
  readonly #latest = new WeakMap<Duplex, ServerResponse>()
  /** How many requests of a connection wait for those before them. */
  readonly #pipelined = new WeakMap<Duplex, number>()
  #routes: { readonly of: readonly ServiceRoute[]; readonly router: Router } | null = null
  #underWay = 0
  #closing: Promise<void> | null = null

  /** @throws NodeDaemonError `BAD_CONFIG` a CIDR or a cookie key cannot be used */
  constructor(deps: FrontDoorDeps, options: FrontDoorOptions) {
    const { clock, random, users, workspaces, tunnel } = deps
    const log = deps.log.child({ part: 'front-door' })
    const changed = workspaces.changed.bind(workspaces)
    const cookies = new SessionCookies(deps.cookieKeys, options)
    const { held, heldPerWorkspace, streamsPerHome, queuePerHome, connectMs, streamIdleMs } = FRONT_DOOR_LIMITS
    this.#deps = { ...deps, log }
    this.#options = options
    this.#userHeader = options.trustUserHeader?.toLowerCase() ?? null
    this.#clients = new Clients(options)
    this.#identifier = new Identifier({ users, cookies, clock, random }, { ...options, userHeader: this.#userHeader })
    this.#hold = new Hold({ clock, log, changed }, { total: held, perWorkspace: heldPerWorkspace })
    this.#sockets = new Sockets({ clock, log, changed })
    this.#pools = new Pools(
      { tunnel, clock },
      { streams: options.maxStreamsPerHome ?? streamsPerHome, queue: queuePerHome, connectMs, idleMs: streamIdleMs }
    )
    this.#exchangeDeps = {
      workspaces,
      clock,
      log,
      hold: this.#hold,
      pools: this.#pools,
      sockets: this.#sockets,
      uploads: deps.uploads,
      budget: new BodyBudget(FRONT_DOOR_LIMITS.keptBodiesBytes)
    }
    this.#exchangeOptions = {
      holdMs: options.holdMs,
      maxBodyBytes: options.maxBodyBytes ?? FRONT_DOOR_LIMITS.bodyBytes,
      continueMs: FRONT_DOOR_LIMITS.continueMs
    }
    this.#server = this.#createServer()
  }

  /** Requests that wait, requests under way (those that wait included), and open WebSockets. */
  get load(): { readonly held: number; readonly underWay: number; readonly webSockets: number } {
    return { held: this.#hold.size, underWay: this.#underWay, webSockets: this.#sockets.size }
  }

  /** @throws NodeDaemonError `PORT_IN_USE` */
  listen(host: string, port: number): Promise<{ host: string; port: number }> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EADDRINUSE') return reject(error)
        reject(new NodeDaemonError('PORT_IN_USE', `${host}:${port} is in use`, { advice: 'choose another --http' }))
      })
      this.#server.listen(port, host, () => {
        const address = this.#server.address() as AddressInfo
        resolve({ host: address.address, port: address.port })
      })
    })
  }

  /** Breaks what is under way to a home that is given up, so that it is sent to the next one or refused now. */
  dropHome(home: PeerIdText): void {
    this.#pools.drop(home)
  }

  /** Are connections of a workspace's users open that speak another protocol than HTTP by now? */
  hasSockets(workspace: WorkspaceId): boolean {
    return this.#sockets.has(workspace)
  }

  /** Takes no more requests, refuses those that wait, and gives those under way a few seconds. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #shutDown(): Promise<void> {
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    this.#hold.close()
    this.#sockets.close()
    this.#server.closeIdleConnections()
    const patience = new AbortController()
    const late = sleep(this.#deps.clock, FRONT_DOOR_LIMITS.closeMs, patience.signal).catch(() => undefined)
    await Promise.race([closed, late])
    patience.abort()
    this.#sockets.destroy()
    this.#server.closeAllConnections()
    this.#pools.close()
    if (this.#server.listening) await closed
  }

  #createServer(): Server {
    const limits = FRONT_DOOR_LIMITS
    const options: ServerOptions = {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: 0,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: 5_000,
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
        : createTlsServer({ ...options, cert: bytesOf(tls.cert), key: bytesOf(tls.key) }, listener)
    server.maxHeadersCount = 0
    server.maxConnections = limits.connections
    server.timeout = Math.max(limits.idleMs, this.#options.holdMs + 30_000)
    server.on('checkContinue', (request, response) => this.#arrive({ request, response, upgrade: null, expects: true }))
    server.on('checkExpectation', (_request, response) => answer(response, pages.EXPECTATION_FAILED))
    server.on('upgrade', (request, socket, head) => this.#arriveToUpgrade(request, socket, head))
    server.on('timeout', (socket: Socket) => this.#idle(socket))
    server.on('clientError', (error, socket) => this.#malformed(error, socket))
    return server
  }

  /** The request of an upgrade gets a response like any other, until an instance agrees to the upgrade. */
  #arriveToUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    answerOn(socket, response)
    socket.on('error', () => socket.destroy())
    this.#arrive({ request, response, upgrade: { socket, head }, expects: false })
  }

  #arrive(arrival: Arrival): void {
    const { request, response } = arrival
    const { socket } = request
    if (socket.destroyed) return
    const before = this.#latest.get(socket)
    this.#latest.set(socket, response)
    if (before === undefined || before.writableFinished || before.destroyed) this.#take(arrival)
    else this.#takeAfter(before, arrival)
  }

  #takeAfter(before: ServerResponse, arrival: Arrival): void {
    const { socket } = arrival.request
    const waiting = (this.#pipelined.get(socket) ?? 0) + 1
    this.#pipelined.set(socket, waiting)
    if (waiting > FRONT_DOOR_LIMITS.pipelined) {
      socket.destroy()
      return
    }
    before.once('close', () => {
      this.#pipelined.set(socket, (this.#pipelined.get(socket) ?? 1) - 1)
      if (!socket.destroyed) this.#take(arrival)
    })
  }

  #take(arrival: Arrival): void {
    const { response } = arrival
    this.#underWay += 1
    response.once('close', () => this.#over())
    response.once('finish', () => this.#linger(arrival.request))
    if (this.#closing !== null) response.shouldKeepAlive = false
    try {
      this.#look(arrival)
    } catch (error) {
      this.#broken(arrival, error)
    }
  }

  #over(): void {
    this.#underWay -= 1
    if (this.#closing !== null) this.#server.closeIdleConnections()
  }

  /** A client that still sends a body reads the answer only afterwards: it has a while to come to an end. */
  #linger(request: IncomingMessage): void {
    if (request.complete || request.destroyed) return
    const timer = this.#deps.clock.after(FRONT_DOOR_LIMITS.lingerMs, () => request.socket.destroy())
    request.once('close', () => timer.cancel())
  }

  #look(arrival: Arrival): void {
    const { request, upgrade } = arrival
    const url = request.url ?? ''
    if (url.length > FRONT_DOOR_LIMITS.urlLength) return this.#refuse(arrival, pages.URL_TOO_LONG)
    const body = announcedBody(request)
    const headers = requestHeaders(request.rawHeaders, {
      connection: request.headers.connection,
      userHeader: this.#userHeader
    })
    if (
      !url.startsWith('/') ||
      url.includes('#') ||
      !isHost(request.headers.host) ||
      body === null ||
      headers === null
    ) {
      return this.#refuseForGood(arrival, pages.BAD_REQUEST)
    }
    if (upgrade !== null && body.kind !== 'none') return this.#refuseForGood(arrival, pages.BAD_REQUEST)
    if (request.method === 'TRACE') return this.#refuse(arrival, pages.NOT_ALLOWED)
    if (body.kind === 'stream' && (body.length ?? 0) > this.#exchangeOptions.maxBodyBytes) {
      return this.#refuse(arrival, pages.TOO_LARGE)
    }
    const client = this.#clients.of(request)
    const destination = this.#router().find(client.host, url)
    if (destination.kind === 'nothing') return this.#refuse(arrival, pages.NOTHING_HERE)
    if (destination.kind === 'well-known') return this.#describe(arrival)
    const { service } = destination
    const asking = {
      method: request.method ?? 'GET',
      headers: request.headers,
      client,
      upgrade: upgrade !== null
    }
    const go = (visitor: Visitor | Refusal): void => {
      if ('why' in visitor) return this.#refuse(arrival, pages.refusalPage(visitor, this.#options.federationName))
      addOwnHeaders(headers, { client, service, visitor })
      const asked = { ...arrival, service, visitor, body, headers, onUpgrade: () => this.#over() }
      new Exchange(this.#exchangeDeps, this.#exchangeOptions, asked).start()
    }
    const visitor = this.#identifier.identify(asking)
    if (!(visitor instanceof Promise)) return go(visitor)
    visitor.then(go).catch((error: unknown) => this.#broken(arrival, error))
  }

  #router(): Router {
    const services = this.#deps.workspaces.services()
    if (this.#routes?.of !== services) this.#routes = { of: services, router: compileRoutes(services) }
    return this.#routes.router
  }

  #describe(arrival: Arrival): void {
    const { request, response } = arrival
    if (request.method !== 'GET' && request.method !== 'HEAD') return this.#refuse(arrival, pages.NOT_ALLOWED)
    answerJson(response, this.#deps.wellKnown(request))
  }

  #refuse(arrival: Arrival, page: Page): void {
    // A client that waits for `100 Continue` and gets an answer may send the body or not: only closing is plain.
    if (arrival.expects) arrival.response.shouldKeepAlive = false
    answer(arrival.response, page)
  }

  #refuseForGood(arrival: Arrival, page: Page): void {
    arrival.response.shouldKeepAlive = false
    answer(arrival.response, page)
  }

  #broken(arrival: Arrival, error: unknown): void {
    this.#deps.log.error({ error }, 'a request failed unexpectedly')
    this.#refuse(arrival, pages.errorPage(error))
  }

  /** An instance may take its time to answer; a client may not, neither with its body nor with reading. */
  #idle(socket: Socket): void {
    const latest = this.#latest.get(socket)
    const waitsForInstance =
      latest !== undefined && !latest.writableFinished && latest.req.complete && latest.writableLength === 0
    if (!waitsForInstance) socket.destroy()
  }

  #malformed(error: Error & { code?: string }, socket: Duplex): void {
    const latest = this.#latest.get(socket)
    const answering = latest !== undefined && !latest.writableFinished
    if (!socket.writable || (answering && latest.headersSent)) {
      socket.destroy()
      return
    }
    const status = STATUS_OF_PARSER[error.code ?? ''] ?? 400
    socket.end(rawAnswer(status), () => socket.destroy())
  }
}

/** Is another protocol offered than the forms of HTTP that clients try? Else the request is one like any other. */
const leavesHttp = (offered: string): boolean =>
  offered.split(',').some((name) => !/^(h2c|tls|http)(\/|$)/i.test(name.trim()))

const STATUS_OF_PARSER: Readonly<Record<string, 408 | 431>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408
}

const bytesOf = (text: string | Uint8Array): string | Buffer => (typeof text === 'string' ? text : Buffer.from(text))
