import type { Clock, Instant, TimerHandle } from '../core/clock.ts'
import { type ErrorCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Standstill } from '../core/standstill.ts'
import type { Channel, Host, Link } from '../network/host.ts'
import {
  CONTROL_PROTOCOL,
  type DrainReport,
  type DrainRequest,
  type FromInstance,
  fromInstance,
  type Heartbeat,
  type Hello,
  type Order,
  type ReportOrder,
  type ServiceLevel,
  type StopIntent,
  type ToInstance,
  toInstance,
  type Welcome
} from '../wire/control.ts'
import type { IngressNews } from '../wire/ingress.ts'
import { type NeighbourBytes, neighboursParts } from '../wire/neighbours.ts'
import { knows } from '../wire/revision.ts'

/** The longest that an instance may take from opening the stream to its first message. */
const HELLO_MS = 10_000
const ORDERS_MAX = 10_000
/** Messages that may wait to be sent to one instance. */
const UNSENT_MAX = 20_000

/** The coordinator's end of one instance's control stream. */
export interface Session {
  readonly peer: PeerIdText
  readonly hello: Hello
  readonly link: Link
  /** The newest heartbeat; null before the first. */
  readonly heartbeat: Heartbeat | null
  /** When the instance was last heard. */
  readonly heardAt: Instant
  /** What it said it is about to do, if it said so. */
  readonly intent: StopIntent | null
  /** When the newest lease was granted. */
  readonly leaseGrantedAt: Instant
  /**
   * Has the instance do something and waits for its answer: its receipt, empty where the order leaves none.
   *
   * @throws NodeDaemonError what the instance answered; `TIMED_OUT`; `OUT_OF_REACH` where the stream ends before
   */
  order(order: Order | ReportOrder, timeoutMs: number): Promise<Uint8Array>
  tellDrain(report: DrainReport): void
  tellMembers(memberList: Uint8Array): void
  /** Ends the stream of an instance that cannot read it: it connects anew, and is welcomed with what it can read. */
  tellServices(services: readonly ServiceLevel[]): void
  /** Nothing is told to an instance that cannot read it. */
  tellNeighbours(news: NeighbourBytes): void
  /** Nothing is told to an instance that cannot read it. */
  tellIngress(news: IngressNews): void
  /** Says why, then ends the stream. */
  end(code: ErrorCode, message: string): void
}

export interface ControlEvents {
  opened(session: Session): void
  /** The stream is over. `replaced`: by a newer one of the same instance. */
  closed(session: Session, replaced: boolean): void
  heartbeat(session: Session): void
  stopping(session: Session, intent: StopIntent): void
  drain(session: Session, request: DrainRequest): void
  drainCancel(session: Session): void
}

export interface ControlServerDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Is this a member that serves workspaces? Others get no stream. */
  readonly mayServe?: (peer: PeerIdText) => boolean
  readonly welcome: (peer: PeerIdText) => Welcome
  readonly events: ControlEvents
  readonly standstill: Pick<Standstill, 'endedAt'>
}

/** Accepts the control streams of instances; one session for each, the newest wins. */
export class ControlServer {
  readonly #deps: ControlServerDeps
  readonly #leaseMs: number
  readonly #silentMs: number
  readonly #sessions = new Map<PeerIdText, LiveSession>()

  /** `silentMs`: an instance that was not heard for so long counts as lost, even though its connection stands. */
  constructor(deps: ControlServerDeps, options: { readonly leaseMs: number; readonly silentMs: number }) {
    this.#deps = deps
    this.#leaseMs = options.leaseMs
    this.#silentMs = options.silentMs
  }

  async register(host: Host): Promise<void> {
    await host.handle(CONTROL_PROTOCOL, (channel, link) => this.#serve(channel, link))
  }

  session(peer: PeerIdText): Session | null {
    return this.#sessions.get(peer) ?? null
  }

  sessions(): readonly Session[] {
    return [...this.#sessions.values()]
  }

  async #serve(channel: Channel, link: Link): Promise<void> {
    const { clock, events, welcome, mayServe } = this.#deps
    if (mayServe?.(link.peer) === false) throw new NodeDaemonError('FORBIDDEN', `${link.peer} is no instance`)
    const limit = clock.after(HELLO_MS, () => channel.abort(new Error('no hello')))
    const first = await channel.receive().finally(() => limit.cancel())
    const message = first === null ? null : fromInstance.decode(first)
    if (message?.kind !== 'hello')
      throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a control stream begins with a hello')

    const session = new LiveSession(this.#deps, channel, link, message.hello, this.#silentMs)
    const before = this.#sessions.get(link.peer)
    this.#sessions.set(link.peer, session)
    before?.replace()
    session.send({ kind: 'welcome', welcome: welcome(link.peer) })
    events.opened(session)
    try {
      for (;;) {
        const frame = await channel.receive()
        if (frame === null) break
        this.#handle(session, fromInstance.decode(frame))
      }
    } finally {
      session.closed()
      const current = this.#sessions.get(link.peer) === session
      if (current) this.#sessions.delete(link.peer)
      events.closed(session, !current)
    }
  }

  #handle(session: LiveSession, message: FromInstance): void {
    const { events } = this.#deps
    session.heard()
    switch (message.kind) {
      case 'heartbeat':
        session.beat(message.heartbeat, this.#leaseMs)
        return events.heartbeat(session)
      case 'done':
        return session.answered(message)
      case 'stopping':
        session.intent = message.intent
        return events.stopping(session, message.intent)
      case 'drain':
        return events.drain(session, message.request)
      case 'drain-cancel':
        return events.drainCancel(session)
      case 'hello':
        throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a second hello')
    }
  }
}

interface Waiting {
  readonly resolve: (receipt: Uint8Array) => void
  readonly reject: (error: NodeDaemonError) => void
  readonly timer: TimerHandle
}

class LiveSession implements Session {
  readonly peer: PeerIdText
  readonly hello: Hello
  readonly link: Link
  heartbeat: Heartbeat | null = null
  heardAt: Instant
  intent: StopIntent | null = null
  leaseGrantedAt: Instant
  readonly #deps: ControlServerDeps
  readonly #channel: Channel
  readonly #silentMs: number
  readonly #orders = new Map<number, Waiting>()
  #nextOrder = 1
  #watchdog: TimerHandle
  #open = true
  #unsent = 0

  constructor(deps: ControlServerDeps, channel: Channel, link: Link, hello: Hello, silentMs: number) {
    this.#deps = deps
    this.#channel = channel
    this.#silentMs = silentMs
    this.peer = link.peer
    this.hello = hello
    this.link = link
    this.heardAt = deps.clock.now()
    this.leaseGrantedAt = this.heardAt
    this.#watchdog = this.#watch()
  }

  order(order: Order | ReportOrder, timeoutMs: number): Promise<Uint8Array> {
    if (!this.#open) return Promise.reject(gone(this.peer))
    if (this.#orders.size >= ORDERS_MAX) {
      return Promise.reject(new NodeDaemonError('BUSY', `${this.peer} has too many orders under way`))
    }
    const id = this.#nextOrder++
    return new Promise((resolve, reject) => {
      const timer = this.#deps.clock.after(timeoutMs, () => {
        this.#orders.delete(id)
        reject(
          new NodeDaemonError('TIMED_OUT', `${this.peer} did not carry out "${order.kind}" within ${timeoutMs} ms`)
        )
      })
      this.#orders.set(id, { resolve, reject, timer })
      this.send({ kind: 'order', id, order })
    })
  }

  tellDrain(report: DrainReport): void {
    this.send({ kind: 'drain', report })
  }

  tellMembers(memberList: Uint8Array): void {
    this.send({ kind: 'members', memberList })
  }

  tellServices(services: readonly ServiceLevel[]): void {
    // One that cannot read it hears of the change in its next welcome.
    if (!knows(this.hello, 'services')) return this.end('CLOSED', 'the services of the federation have changed')
    this.send({ kind: 'services', services })
  }

  tellNeighbours(news: NeighbourBytes): void {
    if (knows(this.hello, 'neighbours')) this.#sendFrame(neighboursParts(news))
  }

  tellIngress(news: IngressNews): void {
    if (knows(this.hello, 'ingress')) this.send({ kind: 'ingress', news })
  }

  end(code: ErrorCode, message: string): void {
    this.send({ kind: 'goodbye', code, message })
    void this.#channel.close()
  }

  /** A process that made a newer stream itself does not hear this any more. Another one with the same key does. */
  replace(): void {
    this.#deps.log.warn(
      { peer: this.peer },
      'a newer control stream of this instance takes the place of the one before'
    )
    this.end('CONFLICT', 'another process runs with the key of this instance: a data folder was copied')
  }

  heard(): void {
    this.heardAt = this.#deps.clock.now()
  }

  beat(heartbeat: Heartbeat, leaseMs: number): void {
    this.heartbeat = heartbeat
    this.send({ kind: 'beat', sequence: heartbeat.sequence, leaseMs })
    // The grantor counts from after it granted, the holder from before it asked: the holder always gives up first.
    this.leaseGrantedAt = this.#deps.clock.now()
  }

  answered(done: FromInstance & { kind: 'done' }): void {
    const waiting = this.#orders.get(done.order)
    if (waiting === undefined) return
    this.#orders.delete(done.order)
    waiting.timer.cancel()
    if (done.failure === null) waiting.resolve(done.receipt)
    else waiting.reject(new NodeDaemonError(done.failure.code, done.failure.message))
  }

  closed(): void {
    this.#open = false
    this.#watchdog.cancel()
    for (const waiting of this.#orders.values()) {
      waiting.timer.cancel()
      waiting.reject(gone(this.peer))
    }
    this.#orders.clear()
  }

  send(message: ToInstance): void {
    this.#sendFrame([toInstance.encode(message)])
  }

  #sendFrame(parts: readonly Uint8Array[]): void {
    // One who asks and never reads.
    if (this.#unsent >= UNSENT_MAX) return this.#channel.abort(new Error('too much waits to be sent'))
    this.#unsent++
    this.#channel
      .send(...parts)
      .catch((error: unknown) => {
        this.#deps.log.debug({ peer: this.peer, error: messageOf(error) }, 'a control message was not sent')
        this.#channel.abort(error instanceof Error ? error : new Error(String(error)))
      })
      .finally(() => {
        this.#unsent--
      })
  }

  /** Ends the stream of an instance that is not heard any more: a stopped process keeps its connections. */
  #watch(): TimerHandle {
    const { clock, standstill } = this.#deps
    // Before its first heartbeat it opens its other connection, which takes a while over a slow link.
    const silentMs = this.heartbeat === null ? Math.max(HELLO_MS, this.#silentMs) : this.#silentMs
    // What it said while this process stood still was not read yet.
    const quietMs = (): number => clock.now() - Math.max(this.heardAt, standstill.endedAt)
    return clock.after(Math.max(1, Math.min(silentMs - quietMs(), this.#silentMs)), () => {
      if (quietMs() >= silentMs) this.#channel.abort(new Error('silent for too long'))
      else this.#watchdog = this.#watch()
    })
  }
}

const gone = (peer: PeerIdText): NodeDaemonError => new NodeDaemonError('OUT_OF_REACH', `${peer} is not connected`)
