import type { Duplex } from 'node:stream'
import type { Clock, Instant, TimerHandle } from '../../core/clock.ts'
import { messageOf, NodeDaemonError } from '../../core/errors.ts'
import type { PeerIdText, UserId } from '../../core/ids.ts'
import type { Logger } from '../../core/log.ts'
import { parse } from '../../core/parse.ts'
import type { Random } from '../../core/random.ts'
import type { Session } from '../../membership/control-server.ts'
import type { RawHeaders } from '../../wire/http.ts'
import { type IngressNews, ROUTE_KINDS, type RouteKind, type RouteOffer } from '../../wire/ingress.ts'
import { knows } from '../../wire/revision.ts'
import type { HomeRoutes, Redirection } from '../neighbours.ts'
import { type TicketKey, TicketOffice } from './tickets.ts'

/** The label with which an admin says which route an instance has, whatever it offers. */
export const ROUTE_LABEL = 'route'

/** @throws NodeDaemonError `BAD_USAGE` that label would say something that is no route */
export function checkRouteLabel(labels: Readonly<Record<string, string | null>>): void {
  const said = Object.hasOwn(labels, ROUTE_LABEL) ? (labels[ROUTE_LABEL] ?? null) : null
  if (said === null || ROUTE_KINDS.some((kind) => kind === said)) return
  throw new NodeDaemonError('BAD_USAGE', `"${parse.line(said, 80)}" is no route`, {
    advice: `say one of: ${ROUTE_KINDS.map((kind) => `${ROUTE_LABEL}=${kind}`).join(', ')}; or ${ROUTE_LABEL}- for what the instance offers`
  })
}

const CHECK_EVERY_MS = 60_000
const KEY_MS = 60 * 60_000
/** A key that was just told may not have arrived. */
const AGAIN_SOON_MS = 250
const AGAIN_MS_MIN = 2_000
const AGAIN_MS_MAX = 60_000

export interface RouteBookDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly session: (peer: PeerIdText) => Pick<Session, 'peer' | 'hello' | 'tellIngress'> | null
  /** What an admin says of the route; undefined: nothing. */
  readonly labelOf: (peer: PeerIdText) => string | undefined
  /** See `dialIngress`. */
  readonly dial: (peer: PeerIdText, url: string) => Promise<{ readonly stream: Duplex; readonly key: string }>
  /** The address of the front door for users; empty where it is not known. */
  readonly frontDoor: () => string
}

/** The route of an instance, for people. */
export interface RouteState {
  readonly asked: RouteKind
  readonly url: string
  readonly inUse: RouteKind
  /** Why another one is in use than was asked for; null where it is not. */
  readonly reason: string | null
}

interface Entry {
  readonly offer: RouteOffer
  kind: RouteKind
  /** The key that was told last. */
  key: TicketKey
  /** Of the newest key that the instance has proven to know; null: everything goes through the tunnel. */
  office: TicketOffice | null
  proven: string
  reason: string | null
  failures: number
  timer: TimerHandle | null
}

/**
 * By which route users' requests reach each instance. An address counts once whoever answers there has proven to be the
 * instance, and for as long as that is found again; until then everything goes through the tunnel.
 */
export class RouteBook implements HomeRoutes {
  readonly #deps: RouteBookDeps
  readonly #entries = new Map<PeerIdText, Entry>()
  /** Of those that have connected since the start: may requests have reached it past the front door since then? */
  readonly #past = new Map<PeerIdText, boolean>()
  readonly #directly = new WeakMap<Duplex, { readonly home: PeerIdText; readonly office: TicketOffice }>()
  #closed = false

  constructor(deps: RouteBookDeps) {
    this.#deps = { ...deps, log: deps.log.child({ part: 'routes' }) }
  }

  /** An instance has connected. */
  opened(peer: PeerIdText): void {
    this.#past.set(peer, false)
    this.#begin(peer)
  }

  /** It is not connected any more. What it serves past the front door ends with its lease. */
  closed(peer: PeerIdText): void {
    this.#drop(peer)
  }

  /** An admin may have said another route. */
  relabelled(peer: PeerIdText): void {
    const entry = this.#entries.get(peer)
    const session = this.#deps.session(peer)
    const offer = session?.hello.route ?? null
    if (offer === null || entry?.kind === this.#kindOf(peer, offer)) return
    this.#begin(peer)
  }

  /** Ends all that users were let in to past the front door: who they are is asked anew. */
  endSessions(): void {
    for (const [peer, { kind }] of [...this.#entries]) if (kind === 'redirect') this.#begin(peer)
  }

  /** The same for one user alone. */
  endSessionsOf(user: UserId): void {
    for (const [peer, entry] of this.#entries) {
      if (entry.kind === 'redirect') this.#deps.session(peer)?.tellIngress({ ...this.#news(entry), user })
    }
  }

  /**
   * May users' requests reach this instance without the front door? Then the seal of an epoch does not end what it serves,
   * and its lease must be over. Of one that was not seen since the start nothing is known.
   */
  leadsPast(peer: PeerIdText): boolean {
    return this.#past.get(peer) ?? true
  }

  state(peer: PeerIdText): RouteState | null {
    const offer = this.#deps.session(peer)?.hello.route ?? null
    if (offer === null) return null
    const entry = this.#entries.get(peer)
    const inUse = entry === undefined || entry.office === null ? 'tunnel' : entry.kind
    const reason = entry?.reason ?? (inUse === offer.kind ? null : `the label ${ROUTE_LABEL}=${inUse} says so`)
    return { asked: offer.kind, url: offer.url, inUse, reason }
  }

  redirectFor(home: PeerIdText): Redirection | null {
    const entry = this.#entries.get(home)
    if (entry === undefined || entry.kind !== 'redirect' || entry.office === null) return null
    return { url: entry.offer.url, office: entry.office }
  }

  ticketOn(stream: Duplex): ((lines: RawHeaders) => string) | null {
    const known = this.#directly.get(stream)
    if (known === undefined) return null
    const { home, office } = known
    // A stream may outlive the key that it was opened with.
    return (lines) => (this.#entries.get(home)?.office ?? office).direct(lines)
  }

  async connect(home: PeerIdText, byTunnel: () => Promise<Duplex>): Promise<Duplex> {
    const entry = this.#entries.get(home)
    if (entry === undefined || entry.kind !== 'direct' || entry.office === null) return byTunnel()
    const { office, proven } = entry
    try {
      const { stream, key } = await this.#deps.dial(home, entry.offer.url)
      if (key !== proven && key !== entry.key.id) throw new Error('it does not know the ticket key any more')
      this.#directly.set(stream, { home, office })
      return stream
    } catch (error) {
      if (this.#entries.get(home) === entry) this.#failed(home, entry, error)
      return byTunnel()
    }
  }

  close(): void {
    this.#closed = true
    for (const peer of [...this.#entries.keys()]) this.#drop(peer)
  }

  #begin(peer: PeerIdText): void {
    this.#drop(peer)
    const { session: sessionOf, clock } = this.#deps
    const session = sessionOf(peer)
    const offer = session?.hello.route ?? null
    if (session === null || offer === null || this.#closed || !knows(session.hello, 'ingress')) return
    const kind = this.#kindOf(peer, offer)
    const key = this.#makeKey()
    session.tellIngress({ ...this.#news({ kind, key }), alone: true })
    if (kind === 'tunnel') return
    if (kind === 'redirect') this.#past.set(peer, true)
    const reason = 'its address is being checked'
    const entry: Entry = { offer, kind, key, office: null, proven: '', reason, failures: 0, timer: null }
    this.#entries.set(peer, entry)
    entry.timer = clock.after(0, () => void this.#look(peer, entry))
  }

  #kindOf(peer: PeerIdText, offer: RouteOffer): RouteKind {
    const label = this.#deps.labelOf(peer)
    return isKind(label) ? label : offer.kind
  }

  /** Never rejects. */
  async #look(peer: PeerIdText, entry: Entry): Promise<void> {
    const { clock, dial, random, log } = this.#deps
    try {
      const { stream, key } = await dial(peer, entry.offer.url)
      stream.destroy()
      if (this.#entries.get(peer) !== entry) return
      const isNew = key === entry.key.id && entry.proven !== key
      if (isNew) {
        entry.office = new TicketOffice(entry.key, { clock, random })
        entry.proven = key
      }
      if (entry.reason !== null && entry.office !== null) {
        log.info({ peer, route: entry.kind, url: entry.offer.url }, 'the address of an instance is in use')
        entry.reason = null
      }
      if (key !== entry.key.id) return this.#later(peer, entry, this.#again(entry, AGAIN_SOON_MS))
      entry.failures = 0
      this.#rotate(peer, entry)
      this.#later(peer, entry, CHECK_EVERY_MS)
    } catch (error) {
      if (this.#entries.get(peer) === entry) this.#failed(peer, entry, error)
    }
  }

  /** Tells a new key when the one before is old. That one stays in use until the new one has arrived. */
  #rotate(peer: PeerIdText, entry: Entry): void {
    if (this.#deps.clock.now() - entry.key.madeAt < KEY_MS) return
    entry.key = this.#makeKey()
    this.#deps.session(peer)?.tellIngress(this.#news(entry))
  }

  #news({ kind, key }: Pick<Entry, 'kind' | 'key'>): IngressNews {
    const frontDoor = this.#deps.frontDoor()
    return { route: kind, key: key.id, secret: key.secret, frontDoor, alone: false, user: null }
  }

  #failed(peer: PeerIdText, entry: Entry, error: unknown): void {
    const reason = messageOf(error).slice(0, 300)
    if (entry.office !== null || entry.failures === 0) {
      this.#deps.log.warn({ peer, error: reason }, 'an instance is not reached at its address: the tunnel is used')
    }
    // The key stays: what was proven once must be proven anew.
    entry.office = null
    entry.proven = ''
    entry.reason = reason
    this.#later(peer, entry, this.#again(entry, AGAIN_MS_MIN))
  }

  #again(entry: Entry, firstMs: number): number {
    entry.failures += 1
    return Math.min(AGAIN_MS_MAX, firstMs * 2 ** Math.min(entry.failures - 1, 10))
  }

  #later(peer: PeerIdText, entry: Entry, ms: number): void {
    entry.timer?.cancel()
    entry.timer = this.#deps.clock.after(ms, () => void this.#look(peer, entry))
  }

  #drop(peer: PeerIdText): void {
    this.#entries.get(peer)?.timer?.cancel()
    this.#entries.delete(peer)
  }

  #makeKey(): TicketKey {
    const { random, clock } = this.#deps
    const madeAt: Instant = clock.now()
    return { id: Buffer.from(random.bytes(8)).toString('hex'), secret: random.bytes(32), madeAt }
  }
}

const isKind = (text: string | undefined): text is RouteKind => ROUTE_KINDS.some((kind) => kind === text)
