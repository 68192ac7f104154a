import type { Duplex } from 'node:stream'
import { codeOf, ERRORS, NodeDaemonError } from '../core/errors.ts'
import type { OwnerId, PeerIdText, ServiceName, WorkspaceId } from '../core/ids.ts'
import { announcedBody, BodyBudget } from './body.ts'
import { type Claiming, claimOf, type Disclaim } from './claim.ts'
import { type Client, Clients } from './client.ts'
import { Connections } from './connections.ts'
import { SessionCookies } from './cookie.ts'
import { type Arrival, DoorServer } from './door-server.ts'
import { Exchange } from './exchange.ts'
import type { ExchangeDeps, ExchangeOptions } from './exchange-deps.ts'
import { requestHeaders } from './headers.ts'
import { Hold } from './hold.ts'
import { type Asking, Identifier, type Refusal, type Visitor } from './identify.ts'
import { FRONT_DOOR_LIMITS } from './limits.ts'
import type { Certificate, FrontDoorDeps, FrontDoorOptions, ServiceRoute } from './neighbours.ts'
import { addOwnHeaders } from './own-headers.ts'
import { answer, answerJson, answerNothing, type Page } from './pages.ts'
import { Pools } from './pool.ts'
import { countedAs, RATES, Rates } from './rates.ts'
import * as pages from './refusals.ts'
import { originForm } from './request-target.ts'
import { CONNECT, compileRoutes, isHost, type Router } from './route.ts'
import { redirectAfter, takeBack } from './routes/redirect.ts'
import { Sockets } from './sockets.ts'
import { Turns } from './turns.ts'

export type {
  Certificate,
  CookieKeys,
  FrontDoorDeps,
  FrontDoorOptions,
  Groups,
  Home,
  HomeRoutes,
  OwnPages,
  OwnRequest,
  Place,
  ServiceRoute,
  Tunnel,
  Uploads,
  Users,
  Workspaces
} from './neighbours.ts'

/** The HTTP entrance of the federation: tells users apart, finds their workspaces, and brings requests there. */
export class FrontDoor implements AsyncDisposable {
  readonly #deps: FrontDoorDeps
  readonly #options: FrontDoorOptions
  readonly #server: DoorServer
  readonly #identifier: Identifier
  readonly #clients: Clients
  readonly #rates: Rates
  readonly #hold: Hold
  readonly #pools: Pools
  readonly #sockets: Sockets
  readonly #exchangeDeps: ExchangeDeps
  readonly #exchangeOptions: ExchangeOptions
  readonly #userHeader: string | null
  #routes: { readonly of: readonly ServiceRoute[]; readonly router: Router } | null = null
  #closing: Promise<void> | null = null

  /** @throws NodeDaemonError `BAD_CONFIG` a CIDR or a cookie key cannot be used */
  constructor(deps: FrontDoorDeps, options: FrontDoorOptions) {
    const { clock, random, users, workspaces, tunnel } = deps
    const log = deps.log.child({ part: 'front-door' })
    const changed = workspaces.changed.bind(workspaces)
    const cookies = new SessionCookies(deps.cookieKeys, options)
    const limits = { ...FRONT_DOOR_LIMITS, ...options.limits }
    const { streamsPerHome, queuePerHome, connectMs, streamIdleMs } = limits
    this.#deps = { ...deps, log }
    this.#options = options
    this.#userHeader = options.trustUserHeader?.toLowerCase() ?? null
    this.#clients = new Clients(options)
    this.#identifier = new Identifier({ users, cookies, clock, random }, { ...options, userHeader: this.#userHeader })
    this.#hold = new Hold(
      { clock, log, changed },
      {
        total: limits.held,
        perWorkspace: limits.heldPerWorkspace,
        perClient: limits.heldPerClient
      }
    )
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
      routes: deps.routes,
      sockets: this.#sockets,
      uploads: deps.uploads,
      budget: new BodyBudget({ bytes: limits.keptBodiesBytes, perUser: limits.keptBodiesBytesPerUser }),
      turns: {
        ofUser: new Turns({ atOnce: limits.atOncePerUser, waiting: limits.waitingForTurn }),
        ofWorkspace: new Turns({ atOnce: limits.atOncePerWorkspace, waiting: limits.waitingForTurn }),
        ofGuests: new Turns({ atOnce: limits.atOnceForGuests, waiting: limits.waitingForTurn }),
        ofGuestsAt: new Turns({ atOnce: limits.atOnceForGuestsPerAddress, waiting: limits.waitingForTurn })
      }
    }
    this.#exchangeOptions = {
      holdMs: options.holdMs,
      keptBodyMs: limits.keptBodyMs,
      maxBodyBytes: options.maxBodyBytes ?? limits.bodyBytes,
      continueMs: limits.continueMs
    }
    this.#rates = new Rates(clock, options.rates ?? RATES)
    const connections = new Connections(this.#clients, this.#rates)
    this.#server = new DoorServer(
      {
        clock,
        take: (arrival) => this.#take(arrival),
        // Those that another front door passes on are many clients' and come from no address.
        admits: (socket) => this.#clients.isTrusted(socket) || connections.admits(socket)
      },
      options
    )
  }

  /** Requests that wait, requests under way (those that wait included), and open WebSockets. */
  get load(): { readonly held: number; readonly underWay: number; readonly webSockets: number } {
    return { held: this.#hold.size, underWay: this.#server.underWay, webSockets: this.#sockets.size }
  }

  /** @throws NodeDaemonError `PORT_IN_USE` */
  listen(host: string, port: number): Promise<{ host: string; port: number }> {
    return this.#server.listen(host, port)
  }

  /** Shows this certificate from now on, where the front door speaks TLS. @throws Error the one before stays */
  useCertificate(certificate: Certificate): void {
    this.#server.useCertificate(certificate)
  }

  /**
   * Takes requests that another front door of the federation passes on: it has told who asks, and from where. How many
   * such connections there are is for the caller to bound.
   */
  accept(connection: Duplex): void {
    this.#clients.trust(connection)
    this.#server.accept(connection)
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
    const ended = this.#server.close()
    this.#hold.close()
    this.#sockets.close()
    await ended
    this.#sockets.destroy()
    this.#server.destroy()
    this.#pools.close()
  }

  #take(arrival: Arrival): void {
    try {
      this.#look(arrival)
    } catch (error) {
      this.#broken(arrival, error)
    }
  }

  #look(arrival: Arrival): void {
    const { request, upgrade } = arrival
    if ((request.url ?? '').length > FRONT_DOOR_LIMITS.urlLength) return this.#refuse(arrival, pages.URL_TOO_LONG)
    if (!isSpoken(request.httpVersion)) return this.#refuseForGood(arrival, pages.VERSION_NOT_SPOKEN)
    const url = originForm(request.url ?? '', request.headers.host)
    const body = announcedBody(request)
    const headers = requestHeaders(request.rawHeaders, {
      connection: request.headers.connection,
      userHeader: this.#userHeader
    })
    if (!isHost(request.headers.host) || body === null || headers === null) {
      return this.#refuseForGood(arrival, pages.BAD_REQUEST)
    }
    if (request.url === '*' && request.method === 'OPTIONS') return answerNothing(arrival.response)
    if (url === null) return this.#refuseForGood(arrival, pages.BAD_REQUEST)
    request.url = url
    if (upgrade !== null && body.kind !== 'none') return this.#refuseForGood(arrival, pages.BAD_REQUEST)
    if (REFUSED_METHODS.has(request.method ?? '')) return this.#refuse(arrival, pages.NOT_ALLOWED)
    if (body.kind === 'stream' && (body.length ?? 0) > this.#exchangeOptions.maxBodyBytes) {
      return this.#refuse(arrival, pages.TOO_LARGE)
    }
    const client = this.#clients.of(request)
    const waitMs = this.#rates.request(client)
    if (waitMs > 0) return this.#refuse(arrival, pages.tooMany(waitMs))
    const destination = this.#router().find(client.host, url)
    if (destination.kind === 'nothing') return this.#refuse(arrival, pages.NOTHING_HERE)
    if (destination.kind === 'well-known') return this.#describe(arrival)
    const asking: Asking = {
      method: request.method ?? 'GET',
      headers: request.headers,
      client,
      upgrade: upgrade !== null
    }
    if (destination.kind === 'own') return this.#own(arrival, destination.path, asking)
    const { service } = destination
    const go = (visitor: Visitor | Refusal): void => {
      if ('why' in visitor) return this.#refuseVisitor(arrival, visitor, client)
      const claiming = { ...asking, url, user: visitor.user }
      const claim = claimOf(service, claiming, this.#deps.groups)
      if ('why' in claim) return this.#disclaim(arrival, claim)
      addOwnHeaders(headers, { client, service, visitor, claim })
      const about = { service, body, isUpgrade: upgrade !== null, back: takeBack(request) }
      const asked = {
        ...arrival,
        service,
        visitor,
        client: countedAs(client),
        owner: claim.owner,
        body,
        headers,
        mayBegin: () => this.#mayBegin(visitor, client),
        mayStay: () => this.#mayStay({ service: service.name, owner: claim.owner }, claiming, asking),
        from: `${client.scheme}://${client.host}`,
        redirectAfter: redirectAfter(request, about),
        onUpgrade: () => this.#server.over()
      }
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

  /** What the front door has for users itself, and where members come in. */
  #own(arrival: Arrival, path: string, asking: Asking): void {
    const { request, response, upgrade, expects } = arrival
    if (path === CONNECT && upgrade !== null) {
      response.detachSocket(request.socket)
      this.#server.over()
      return this.#deps.connect(request, upgrade, asking.client)
    }
    if (upgrade !== null) return this.#refuseForGood(arrival, pages.NOTHING_HERE)
    if (expects) response.writeContinue()
    let isTooMany = false
    const identify = async (): Promise<Visitor | Refusal> => {
      const visitor = await this.#identifier.identify(asking)
      isTooMany = 'why' in visitor && !this.#mayTryAgain(visitor, asking.client)
      if (isTooMany) throw new NodeDaemonError('UNAUTHENTICATED', pages.TOO_MANY_WRONG_TOKENS.title)
      return visitor
    }
    this.#deps.ownPages.answer({ request, response, path, client: asking.client, identify }).catch((error: unknown) => {
      if (isTooMany) this.#refuse(arrival, pages.TOO_MANY_WRONG_TOKENS)
      else this.#broken(arrival, error)
    })
  }

  #mayBegin({ user }: Visitor, client: Client): Page | null {
    const waitMs = user?.startsWith('guest:') === true ? this.#rates.newGuest(client) : 0
    return waitMs === 0 ? null : pages.tooManyGuests(waitMs)
  }

  #mayStay(
    into: { readonly service: ServiceName; readonly owner: OwnerId | null },
    claiming: Claiming,
    asking: Asking
  ): boolean | Promise<boolean> {
    const { users, workspaces, groups } = this.#deps
    const { user } = claiming
    // Who was removed must not come into being again by a sign-on that is looked at anew.
    if (user !== null && users.isBlocked(user)) return false
    const service = workspaces.services().find(({ name }) => name === into.service)
    const claim = service === undefined ? null : claimOf(service, claiming, groups)
    if (claim === null || 'why' in claim || claim.owner !== into.owner) return false
    const isSame = (visitor: Visitor | Refusal): boolean => 'user' in visitor && visitor.user === user
    const visitor = this.#identifier.identify(asking)
    return visitor instanceof Promise ? visitor.then(isSame) : isSame(visitor)
  }

  #refuseVisitor(arrival: Arrival, refusal: Refusal, client: Client): void {
    if (!this.#mayTryAgain(refusal, client)) return this.#refuse(arrival, pages.TOO_MANY_WRONG_TOKENS)
    this.#refuse(arrival, pages.refusalPage(refusal, this.#invitation(arrival)))
  }

  #mayTryAgain({ why }: Refusal, client: Client): boolean {
    return why !== 'unknown-credentials' || this.#rates.wrongToken(client)
  }

  #disclaim(arrival: Arrival, disclaim: Disclaim): void {
    this.#refuse(arrival, pages.disclaimPage(disclaim, this.#invitation(arrival)))
  }

  #invitation({ request }: Arrival): pages.Invitation {
    const { method, url = '/', headers } = request
    const navigates = method === 'GET' && headers['sec-fetch-mode'] === 'navigate'
    return { federationName: this.#options.federationName, url, navigates }
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
    const isOurs = ERRORS[codeOf(error)].http >= 500
    this.#deps.log[isOurs ? 'error' : 'debug'](
      { error },
      isOurs ? 'a request failed unexpectedly' : 'a request was refused'
    )
    this.#refuse(arrival, pages.errorPage(error))
  }
}

/** TRACE repeats what only the front door may read; SOURCE belongs to another protocol that the parser knows. */
const REFUSED_METHODS: ReadonlySet<string> = new Set(['TRACE', 'SOURCE'])

const isSpoken = (version: string): boolean => version === '1.1' || version === '1.0'
