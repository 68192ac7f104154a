import type { ServerResponse } from 'node:http'
import type { Clock } from '../../core/clock.ts'
import { messageOf } from '../../core/errors.ts'
import type { Identity } from '../../core/identity.ts'
import type { UserId, WorkspaceId } from '../../core/ids.ts'
import type { Logger } from '../../core/log.ts'
import type { Random } from '../../core/random.ts'
import { isRead, type RawHeaders } from '../../wire/http.ts'
import type { IngressNews } from '../../wire/ingress.ts'
import { announcedBody } from '../body.ts'
import { type Client, Clients } from '../client.ts'
import { Connections } from '../connections.ts'
import { type Arrival, DoorServer } from '../door-server.ts'
import { headerOf } from '../headers.ts'
import { isCrossSite } from '../identify.ts'
import type { Ingress } from '../ingress.ts'
import { FRONT_DOOR_LIMITS } from '../limits.ts'
import { answer, prefersHtml } from '../pages.ts'
import { RATES, Rates } from '../rates.ts'
import * as pages from '../refusals.ts'
import { isHost, WELL_KNOWN } from '../route.ts'
import { dress, hasOneHost } from './dress.ts'
import { ticketIn, withBack } from './marks.ts'
import { nonceIn, PROOF_PATH, Prover } from './proof.ts'
import { answerProof, answerRedirect, isNavigation, refuseDirect, reload } from './replies.ts'
import { IngressSessions, type Said } from './sessions.ts'
import { Stays } from './stays.ts'
import { TICKET_HEADER, TicketCheck } from './tickets.ts'

const NO_INVITATION = { federationName: '', url: '/', navigates: false }
const CROSS_SITE = pages.refusalPage({ status: 403, why: 'cross-site' }, NO_INVITATION)
/** A front door adds its own lines to what it accepts from clients. */
const HEADER_BYTES = 32 * 1024

export interface IngressDoorDeps {
  readonly identity: Identity
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export interface IngressDoorOptions {
  /** Where users and the front door reach it: scheme, host and port. */
  readonly url: string
  /** CIDRs of proxies in front whose `X-Forwarded-For` is believed. */
  readonly trustProxy: readonly string[]
}

/** What an ingress has behind it. */
export interface Behind {
  readonly ingress: Ingress
  /** The name of the instance, for `x-served-by`. */
  readonly name: () => string
  /** Is this instance the home of the workspace in this epoch, and may it serve it now? */
  readonly serves: (workspace: WorkspaceId, epoch: number) => boolean
}

/**
 * The entrance of an instance that listens at an address of its own. Nothing is believed but what tickets of the front door
 * say: one with each request of a front door itself, or one that a user was sent here with, in place of which the user gets a cookie.
 */
export class IngressDoor implements AsyncDisposable {
  readonly #log: Logger
  readonly #url: string
  readonly #server: DoorServer
  readonly #clients: Clients
  readonly #rates: Rates
  readonly #connections: Connections
  readonly #prover: Prover
  readonly #tickets: TicketCheck
  readonly #sessions: IngressSessions
  readonly #stays: Stays
  readonly #clock: Clock
  #behind: Behind | null = null
  #frontDoor = ''
  #closing: Promise<void> | null = null

  constructor(deps: IngressDoorDeps, options: IngressDoorOptions) {
    const secure = options.url.startsWith('https:')
    this.#log = deps.log.child({ part: 'ingress' })
    this.#clock = deps.clock
    this.#url = options.url
    this.#clients = new Clients({ trustProxy: options.trustProxy, secure })
    this.#rates = new Rates(deps.clock, RATES)
    this.#connections = new Connections(this.#clients, this.#rates)
    this.#prover = new Prover(deps, options.url)
    this.#tickets = new TicketCheck(deps.clock)
    this.#sessions = new IngressSessions(deps, { secure })
    this.#stays = new Stays(deps.clock)
    this.#server = new DoorServer(
      {
        clock: deps.clock,
        take: (arrival) => this.#take(arrival),
        admits: (socket) => this.#connections.admits(socket)
      },
      { holdMs: 0, headerBytes: HEADER_BYTES, flag: '--ingress' }
    )
  }

  /** @throws NodeDaemonError `PORT_IN_USE` */
  listen(host: string, port: number): Promise<{ host: string; port: number }> {
    return this.#server.listen(host, port)
  }

  /** Requests are answered from now on. */
  open(behind: Behind): void {
    this.#behind = behind
    this.#stays.watch(behind.serves)
  }

  /** What the coordinator says. */
  told({ route, key, secret, frontDoor, alone, user }: IngressNews): void {
    this.#frontDoor = frontDoor
    if (user !== null) return this.#endOf(user)
    if (alone || route !== 'redirect') {
      this.#sessions.endAll()
      this.#stays.endAll()
    }
    if (route === 'tunnel') this.#tickets.forget()
    else this.#tickets.learn({ id: key, secret, madeAt: this.#clock.now() }, alone)
  }

  #endOf(user: UserId): void {
    this.#tickets.endOf(user)
    this.#sessions.endOf(user)
    this.#stays.endOf(user)
  }

  /** Workspaces whose users are at work here past the front door: open WebSockets, open pages, requests that take long. */
  busy(): WorkspaceId[] {
    return this.#stays.busy()
  }

  /** Takes no more requests, and breaks those on their way. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown()
    return this.#closing
  }

  async #shutDown(): Promise<void> {
    this.#behind = null
    this.#stays.close()
    const closed = this.#server.close()
    this.#server.destroy()
    await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #take(arrival: Arrival): void {
    try {
      this.#look(arrival)
    } catch (error) {
      this.#log.error({ error: messageOf(error) }, 'a request failed unexpectedly')
      answer(arrival.response, pages.errorPage(error))
    }
  }

  #look(arrival: Arrival): void {
    const { request, response, upgrade, expects } = arrival
    const url = request.url ?? ''
    const body = announcedBody(request)
    const isPlain = url.startsWith('/') && !url.includes('#') && isHost(request.headers.host)
    if (!isPlain || body === null || !hasOneHost(request.rawHeaders) || (upgrade !== null && body.kind !== 'none')) {
      response.shouldKeepAlive = false
      return answer(response, pages.BAD_REQUEST)
    }
    // A client that waits for `100 Continue` and gets an answer may send the body or not: only closing is plain.
    if (expects) response.shouldKeepAlive = false
    if (url.length > FRONT_DOOR_LIMITS.urlLength + HEADER_BYTES / 2) return answer(response, pages.URL_TOO_LONG)
    if (request.method === 'TRACE') return answer(response, pages.NOT_ALLOWED)
    if (url.startsWith(PROOF_PATH)) return this.#prove(arrival, url.slice(PROOF_PATH.length))
    const behind = this.#behind
    if (behind === null) return answer(response, pages.unavailable('This server is starting'))
    const ticket = request.headers[TICKET_HEADER]
    if (typeof ticket === 'string') this.#ofFrontDoor(arrival, behind, ticket)
    else this.#ofUser(arrival, behind, url)
  }

  #prove({ request, response }: Arrival, query: string): void {
    const nonce = request.method === 'GET' ? nonceIn(query) : null
    if (nonce === null) return answer(response, pages.BAD_REQUEST)
    this.#prover.prove(nonce, this.#tickets.newest).then(
      (proof) => answerProof(response, proof),
      (error: unknown) => answer(response, pages.errorPage(error))
    )
  }

  #ofFrontDoor(arrival: Arrival, { ingress }: Behind, text: string): void {
    const { request, response, upgrade, expects } = arrival
    const ticket = this.#tickets.direct(text)
    if (ticket === null) return refuseDirect(response)
    this.#connections.ofFrontDoor(request.socket)
    dress(request, ticket.lines, { forwarded: true })
    if (upgrade === null) ingress.answer(request, response, { expects, onAsked: () => keepAlive(response) })
    else ingress.answerUpgrade(request, { ...upgrade, decline: () => response })
  }

  #ofUser(arrival: Arrival, behind: Behind, url: string): void {
    const { request, response, upgrade } = arrival
    const waitMs = this.#rates.request(this.#clients.of(request))
    if (waitMs > 0) return answer(response, pages.tooMany(waitMs))
    const method = request.method ?? 'GET'
    const mark = upgrade === null && (method === 'GET' || method === 'HEAD') ? ticketIn(url) : null
    if (mark !== null) return this.#arriveWithTicket(arrival, behind, mark.url, mark.value)
    const said = this.#sessions.find(request.headers.cookie, url)
    if (said === null) return this.#sendBack(arrival, url, { to: this.#frontDoor, epoch: 0 })
    if (url.startsWith(WELL_KNOWN)) return this.#sendBack(arrival, url, { to: said.from, epoch: null })
    if ((upgrade !== null || !isRead(method)) && this.#isCrossSite(arrival)) {
      return answer(response, CROSS_SITE)
    }
    if ((upgrade !== null || !isRead(method)) && headerOf(said.lines, 'x-workspace-rights') === 'read') {
      return answer(response, pages.disclaimPage({ why: 'read-only' }, NO_INVITATION))
    }
    this.#serve(arrival, behind, said, { ofPage: true })
  }

  #arriveWithTicket(arrival: Arrival, behind: Behind, url: string, text: string): void {
    const { request, response } = arrival
    const ticket = this.#tickets.redeem(text)
    if ('why' in ticket) {
      return this.#sendBack(arrival, url, { to: ticket.ticket?.from ?? this.#frontDoor, epoch: 0 })
    }
    if (prefersHtml(request.headers.accept)) {
      // The ticket must not stay in the address, where others could read it.
      const setCookie = isPutHere(request, ticket.from) ? null : this.#sessions.begin(request.headers.cookie, ticket)
      if (setCookie === null) return this.#sendBack(arrival, url, { to: ticket.from, epoch: 0 })
      return answerRedirect(response, this.#url + url, { setCookie, servedBy: behind.name() })
    }
    // A program may know no cookies: it is served with the ticket alone.
    request.url = url
    this.#serve(arrival, behind, ticket, { ofPage: false })
  }

  #serve(arrival: Arrival, { ingress, name }: Behind, said: Said, { ofPage }: { readonly ofPage: boolean }): void {
    const { request, response, upgrade, expects } = arrival
    dress(request, [...said.lines, ...this.#forwarded(request)], { forwarded: false })
    const stay = this.#stays.begin(request, upgrade?.socket ?? response, ofPage)
    const onMoved = (): void => {
      stay.end()
      this.#sessions.end(said)
      this.#sendBack(arrival, request.url ?? '/', { to: said.from, epoch: stay.epoch })
    }
    response.setHeader('x-served-by', name())
    if (upgrade === null) {
      ingress.answer(request, response, { expects, onMoved, onAsked: () => keepAlive(response) })
    } else ingress.answerUpgrade(request, { ...upgrade, decline: () => response }, onMoved)
  }

  /** A browser goes back by itself where it asks for a page; the scripts of one cannot, and are told. */
  #sendBack(arrival: Arrival, url: string, back: { readonly to: string; readonly epoch: number | null }): void {
    const { request, response, upgrade } = arrival
    if (back.to === '' || upgrade !== null || !isNavigation(request)) return answer(response, reload(back.to))
    const path = back.epoch === null ? url : withBack(url, back.epoch)
    answerRedirect(response, back.to + path, { setCookie: null, servedBy: this.#behind?.name() ?? '' })
  }

  #isCrossSite({ request }: Arrival): boolean {
    const client = { ...this.#clients.of(request), host: new URL(this.#url).host }
    return isCrossSite({ headers: request.headers, client }, this.#url.startsWith('https:'))
  }

  /** Where a user's request comes from. The address of this entrance is what it says itself, whatever a client says. */
  #forwarded(request: Arrival['request']): RawHeaders {
    const client: Client = this.#clients.of(request)
    const [scheme = '', host = ''] = this.#url.split('://')
    return ['x-forwarded-for', client.addresses, 'x-forwarded-proto', scheme, 'x-forwarded-host', host]
  }
}

/** The body of a request is on its way: whatever is answered, the next request comes after it. */
function keepAlive(response: ServerResponse): void {
  response.shouldKeepAlive = true
}

/**
 * Did a page of neither this site nor the front door's bring a browser here with a ticket? Then the ticket may be somebody
 * else's, whose session that browser would be in without knowing.
 */
function isPutHere({ headers }: Arrival['request'], frontDoor: string): boolean {
  if (headers['sec-fetch-site'] !== 'cross-site') return false
  const site = URL.parse(headers.referer ?? '')?.origin
  return site === undefined || site !== URL.parse(frontDoor)?.origin
}
