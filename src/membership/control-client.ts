import type { Clock, Instant } from '../core/clock.ts'
import { sleep, withTimeout } from '../core/clock.ts'
import { codeOf, type ErrorCode, hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { jitter, type Random } from '../core/random.ts'
import type { Channel, Host, Link } from '../network/host.ts'
import {
  CONTROL_PROTOCOL,
  type DrainReport,
  type FromInstance,
  fromInstance,
  type Heartbeat,
  type Hello,
  type Order,
  type ReportOrder,
  type ServiceLevel,
  type ToInstance,
  toInstance,
  type Welcome
} from '../wire/control.ts'
import type { IngressNews } from '../wire/ingress.ts'
import type { NeighbourNews } from '../wire/neighbours.ts'

const RETRY_MS_MIN = 200
const RETRY_MS_MAX = 5000
/** A coordinator that does not answer heartbeats for so long is given up, and the connection made anew. */
const SILENT_BEATS_MAX = 10
const WELCOME_MS = 10_000

/** What stands while an instance is connected: control has a connection of its own, so that bulk data never delays it. */
export interface Connection {
  readonly control: Link
  readonly data: Link
  readonly welcome: Welcome
}

export interface ControlHandlers {
  hello(): Promise<Hello>
  heartbeat(sequence: number): Promise<Heartbeat>
  /** Called once per connection, before any order. */
  connected(connection: Connection): Promise<void>
  disconnected(reason: string): void
  /** The lease of a heartbeat that was asked for at `askedAt`. */
  lease(askedAt: Instant, leaseMs: number): void
  /** Resolves with the receipt that the order leaves, empty where it leaves none; a page of `report`. */
  order(order: Order | ReportOrder): Promise<Uint8Array>
  members(memberList: Uint8Array): void
  /** The levels of all services, in place of those of the welcome. */
  services(services: readonly ServiceLevel[]): void
  neighbours(news: NeighbourNews): void
  /** What counts from now on at the ingress of this instance. */
  ingress(news: IngressNews): void
  drain(report: DrainReport): void
}

export interface ControlClientDeps {
  readonly host: Host
  readonly coordinator: PeerIdText
  /** Where the coordinator may be found now. */
  readonly addresses: () => readonly string[]
  readonly handlers: ControlHandlers
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** Codes after which another attempt makes no sense: the coordinator has decided. */
const FINAL: readonly ErrorCode[] = ['REVOKED', 'DENIED', 'NOT_A_MEMBER', 'WRONG_COORDINATOR', 'CONFLICT']

/** Keeps an instance connected with its coordinator. */
export class ControlClient {
  readonly #deps: ControlClientDeps
  #channel: Channel | null = null
  #beats: Beats | null = null

  constructor(deps: ControlClientDeps) {
    this.#deps = deps
  }

  /** Sends now; silently dropped without a connection, since everything that matters is told again in the next hello. */
  tell(message: FromInstance): void {
    const channel = this.#channel
    channel?.send(fromInstance.encode(message)).catch((error: unknown) => channel.abort(error as Error))
  }

  /**
   * Sends now. Resolves once the coordinator has heard it, since it answers what came later on the same stream; or after
   * `ms`, or without a connection. That something was sent means nothing where the connection ends right after it.
   */
  async say(message: FromInstance, ms: number): Promise<void> {
    const beats = this.#beats
    this.tell(message)
    if (beats === null) return
    await withTimeout(this.#deps.clock, ms, 'the answer of the coordinator', () => beats.next()).catch(
      (error: unknown) => {
        this.#deps.log.info({ error: messageOf(error) }, 'the coordinator may not have heard the last word')
      }
    )
  }

  /** Gives the connection up, and makes it anew: everything is told again. */
  reconnect(reason: string): void {
    this.#channel?.abort(new Error(reason))
  }

  get connected(): boolean {
    return this.#channel !== null
  }

  /**
   * Connects, and again whenever the connection is lost, for ever.
   *
   * @throws NodeDaemonError when the coordinator decided that this is no member any more, when another key answers, or
   *   `ABORTED` by the signal
   */
  async run(signal: AbortSignal): Promise<never> {
    let failures = 0
    for (;;) {
      try {
        await this.#connectOnce(signal, () => {
          failures = 0
        })
      } catch (error) {
        if (signal.aborted) throw error
        if (hasCode(error, ...FINAL)) throw error
        this.#deps.log.debug({ error: messageOf(error) }, 'the connection with the coordinator failed')
        this.#deps.handlers.disconnected(messageOf(error))
      }
      const wait = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures++, 10))
      await sleep(this.#deps.clock, jitter(this.#deps.random, wait), signal)
    }
  }

  async #connectOnce(signal: AbortSignal, onWelcome: () => void): Promise<void> {
    const { host, coordinator, addresses, handlers } = this.#deps
    const control = await host.dial(addresses(), coordinator, signal)
    const links: Link[] = [control]
    const stop = (): void => {
      for (const link of links) link.abort(new Error('stopping'))
    }
    signal.addEventListener('abort', stop, { once: true })
    try {
      const channel = await control.open(CONTROL_PROTOCOL, signal)
      await channel.send(fromInstance.encode({ kind: 'hello', hello: await handlers.hello() }))
      const welcome = await this.#welcome(channel)
      const data = await host.dial([control.remoteAddress], coordinator, signal)
      links.push(data)
      // Losing the bulk connection alone would leave a home that cannot publish: both stand or fall together.
      void data.closed.then(() => channel.abort(new Error('the data connection broke')))
      this.#channel = channel
      await handlers.connected({ control, data, welcome })
      onWelcome()
      await this.#converse(channel, welcome)
    } finally {
      this.#channel = null
      signal.removeEventListener('abort', stop)
      stop()
    }
  }

  async #welcome(channel: Channel): Promise<Welcome> {
    const limit = this.#deps.clock.after(WELCOME_MS, () => channel.abort(new Error('no welcome')))
    const frame = await channel.receive().finally(() => limit.cancel())
    if (frame === null) throw new NodeDaemonError('CLOSED', 'the coordinator closed the control stream')
    const message = toInstance.decode(frame)
    if (message.kind === 'goodbye') throw new NodeDaemonError(message.code, message.message)
    if (message.kind !== 'welcome') throw new NodeDaemonError('PROTOCOL_VIOLATION', 'no welcome')
    return message.welcome
  }

  async #converse(channel: Channel, welcome: Welcome): Promise<void> {
    const beats = new Beats(this.#deps, channel, welcome.heartbeatMs)
    this.#beats = beats
    beats.start()
    try {
      for (;;) {
        const frame = await channel.receive()
        if (frame === null) throw new NodeDaemonError('CLOSED', 'the coordinator closed the connection')
        this.#handle(channel, beats, toInstance.decode(frame))
      }
    } finally {
      this.#beats = null
      beats.stop()
    }
  }

  #handle(channel: Channel, beats: Beats, message: ToInstance): void {
    const { handlers } = this.#deps
    switch (message.kind) {
      case 'beat':
        return beats.answered(message.sequence, message.leaseMs)
      case 'order':
        void this.#carryOut(channel, message.id, message.order)
        return
      case 'members':
        return handlers.members(message.memberList)
      case 'services':
        return handlers.services(message.services)
      case 'neighbours':
        return handlers.neighbours(message.news)
      case 'ingress':
        return handlers.ingress(message.news)
      case 'drain':
        return handlers.drain(message.report)
      case 'goodbye':
        throw new NodeDaemonError(message.code, message.message)
      case 'welcome':
        throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a second welcome')
    }
  }

  async #carryOut(channel: Channel, id: number, order: Order | ReportOrder): Promise<void> {
    const answer = async (): Promise<FromInstance> => {
      try {
        return { kind: 'done', order: id, failure: null, receipt: await this.#deps.handlers.order(order) }
      } catch (error) {
        this.#deps.log.warn({ order: order.kind, error: messageOf(error) }, 'an order was not carried out')
        const failure = { code: codeOf(error), message: messageOf(error) }
        return { kind: 'done', order: id, failure, receipt: new Uint8Array(0) }
      }
    }
    try {
      await channel.send(fromInstance.encode(await answer()))
    } catch (error) {
      this.#deps.log.debug({ error: messageOf(error) }, 'the answer to an order was not sent')
    }
  }
}

/** Heartbeats of one connection. */
class Beats {
  readonly #deps: ControlClientDeps
  readonly #channel: Channel
  readonly #intervalMs: number
  readonly #asked = new Map<number, Instant>()
  readonly #stopped = new AbortController()
  readonly #waiting = new Set<{ readonly after: number; readonly heard: () => void }>()
  #sequence = 0

  constructor(deps: ControlClientDeps, channel: Channel, intervalMs: number) {
    this.#deps = deps
    this.#channel = channel
    this.#intervalMs = Math.max(50, intervalMs)
  }

  start(): void {
    this.#run().catch((error: unknown) => {
      if (!this.#stopped.signal.aborted) this.#channel.abort(error instanceof Error ? error : new Error(String(error)))
    })
  }

  stop(): void {
    this.#stopped.abort()
    for (const { heard } of this.#waiting) heard()
  }

  /** Resolves when a heartbeat that was begun after this call is answered, or when the connection ends. */
  next(): Promise<void> {
    const after = this.#sequence
    return new Promise((resolve) => {
      const waiting = { after, heard: () => void (this.#waiting.delete(waiting) && resolve()) }
      this.#waiting.add(waiting)
    })
  }

  answered(sequence: number, leaseMs: number): void {
    const askedAt = this.#asked.get(sequence)
    if (askedAt === undefined) return
    for (const { after, heard } of this.#waiting) if (sequence > after) heard()
    for (const earlier of this.#asked.keys()) if (earlier <= sequence) this.#asked.delete(earlier)
    this.#deps.handlers.lease(askedAt, leaseMs)
  }

  async #run(): Promise<void> {
    const { clock, handlers } = this.#deps
    const { signal } = this.#stopped
    while (!signal.aborted) {
      if (this.#asked.size >= SILENT_BEATS_MAX) throw new NodeDaemonError('TIMED_OUT', 'the coordinator is silent')
      const sequence = ++this.#sequence
      const heartbeat = await handlers.heartbeat(sequence)
      this.#asked.set(sequence, clock.now())
      await this.#channel.send(fromInstance.encode({ kind: 'heartbeat', heartbeat }))
      await sleep(clock, this.#intervalMs, signal)
    }
  }
}
