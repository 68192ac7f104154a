import { type Clock, type Instant, sleep, type TimerHandle } from '../../core/clock.ts'
import { type ErrorCode, hasCode, messageOf, NodeDaemonError } from '../../core/errors.ts'
import type { PeerIdText } from '../../core/ids.ts'
import type { Logger } from '../../core/log.ts'
import { jitter, type Random } from '../../core/random.ts'
import type { Channel, Host, Link } from '../../network/host.ts'
import {
  type Activity,
  type DoorAnswer,
  type DoorQuestion,
  FRONT_DOOR_PROTOCOL,
  type FromDoor,
  fromDoor,
  type ToDoor,
  toDoor
} from '../../wire/front-door.ts'
import { REVISION } from '../../wire/revision.ts'

const RETRY_MS_MIN = 200
const RETRY_MS_MAX = 5000
const WELCOME_MS = 10_000
const ANSWER_MS = 10_000
const QUESTIONS_MAX = 10_000
/** A coordinator that does not answer beats for so long is given up, and the connection made anew. */
const SILENT_BEATS_MAX = 10

/** Codes after which another attempt makes no sense: the coordinator has decided. */
const FINAL: readonly ErrorCode[] = ['REVOKED', 'DENIED', 'NOT_A_MEMBER', 'WRONG_COORDINATOR', 'CONFLICT']

export type Welcome = Extract<ToDoor, { kind: 'welcome' }>
/** What the coordinator tells while the stream lasts. */
export type News = Exclude<ToDoor, { kind: 'welcome' | 'lease' | 'told' | 'goodbye' }>

export interface DoorHandlers {
  /** Called once per connection, before anything else is told. */
  connected(connection: { readonly data: Link; readonly welcome: Welcome }): Promise<void>
  disconnected(reason: string): void
  told(news: News): void
  /** What has changed since the last call. */
  activity(): readonly Activity[]
  /** The lease that was asked for at `askedAt`. */
  leased(askedAt: Instant, leaseMs: number): void
}

export interface DoorClientDeps {
  readonly host: Host
  readonly coordinator: PeerIdText
  /** Where the coordinator may be found now. */
  readonly addresses: () => readonly string[]
  /** Where instances reach this front door. */
  readonly own: () => readonly string[]
  readonly version: string
  readonly handlers: DoorHandlers
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

interface Waiting {
  readonly question: DoorQuestion
  readonly resolve: (answer: DoorAnswer) => void
  readonly timer: TimerHandle
}

/** Keeps a front door that is a process of its own connected with its coordinator. */
export class DoorClient {
  readonly #deps: DoorClientDeps
  readonly #asked = new Map<number, Waiting>()
  #channel: Channel | null = null
  #nextId = 1

  constructor(deps: DoorClientDeps) {
    this.#deps = deps
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
        if (signal.aborted || hasCode(error, ...FINAL)) throw error
        this.#deps.log.debug({ error: messageOf(error) }, 'the connection with the coordinator failed')
        this.#deps.handlers.disconnected(messageOf(error))
      }
      const wait = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures++, 10))
      await sleep(this.#deps.clock, jitter(this.#deps.random, wait), signal)
    }
  }

  /**
   * Asks, and asks again where the connection is lost before the answer: all questions can be repeated.
   *
   * @throws NodeDaemonError what the coordinator answers; `BUSY` it is away for long, or does not answer in time
   */
  ask(question: DoorQuestion): Promise<Exclude<DoorAnswer, { kind: 'failure' }>> {
    if (this.#asked.size >= QUESTIONS_MAX) return Promise.reject(away())
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<DoorAnswer>()
    const timer = this.#deps.clock.after(ANSWER_MS, () => {
      this.#asked.delete(id)
      reject(away())
    })
    this.#asked.set(id, { question, resolve, timer })
    if (this.#channel !== null) this.#send(this.#channel, { kind: 'ask', id, question })
    return promise.then((answer) => {
      if (answer.kind === 'failure') throw new NodeDaemonError(answer.code, answer.message)
      return answer
    })
  }

  /** No request of this hold's workspace is in flight. */
  quiet(hold: number): void {
    if (this.#channel !== null) this.#send(this.#channel, { kind: 'quiet', hold })
  }

  async #connectOnce(signal: AbortSignal, onWelcome: () => void): Promise<void> {
    const { host, coordinator, addresses, handlers, own, version } = this.#deps
    const control = await host.dial(addresses(), coordinator, signal)
    const links: Link[] = [control]
    const stop = (): void => {
      for (const link of links) link.abort(new Error('stopping'))
    }
    signal.addEventListener('abort', stop, { once: true })
    try {
      const channel = await control.open(FRONT_DOOR_PROTOCOL, signal)
      await channel.send(fromDoor.encode({ kind: 'hello', version, addresses: own(), revision: REVISION }))
      const welcome = await this.#welcome(channel)
      const data = await host.dial([control.remoteAddress], coordinator, signal)
      links.push(data)
      void data.closed.then(() => channel.abort(new Error('the data connection broke')))
      await handlers.connected({ data, welcome })
      this.#channel = channel
      for (const [id, { question }] of this.#asked) this.#send(channel, { kind: 'ask', id, question })
      onWelcome()
      await this.#converse(channel, welcome.beatMs)
    } finally {
      this.#channel = null
      signal.removeEventListener('abort', stop)
      stop()
    }
  }

  async #welcome(channel: Channel): Promise<Welcome> {
    const limit = this.#deps.clock.after(WELCOME_MS, () => channel.abort(new Error('no welcome')))
    const frame = await channel.receive().finally(() => limit.cancel())
    if (frame === null) throw new NodeDaemonError('CLOSED', 'the coordinator closed the stream')
    const message = toDoor.decode(frame)
    if (message.kind === 'goodbye') throw new NodeDaemonError(message.code, message.message)
    if (message.kind !== 'welcome') throw new NodeDaemonError('PROTOCOL_VIOLATION', 'no welcome')
    return message
  }

  async #converse(channel: Channel, beatMs: number): Promise<void> {
    const beats = new Beats(this.#deps, channel, beatMs)
    beats.start()
    try {
      for (;;) {
        const frame = await channel.receive()
        if (frame === null) throw new NodeDaemonError('CLOSED', 'the coordinator closed the connection')
        this.#handle(beats, toDoor.decode(frame))
      }
    } finally {
      beats.stop()
    }
  }

  #handle(beats: Beats, message: ToDoor): void {
    switch (message.kind) {
      case 'lease':
        return beats.answered(message.sequence, message.leaseMs)
      case 'told':
        return this.#told(message.id, message.answer)
      case 'goodbye':
        throw new NodeDaemonError(message.code, message.message)
      case 'welcome':
        throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a second welcome')
      default:
        return this.#deps.handlers.told(message)
    }
  }

  #told(id: number, answer: DoorAnswer): void {
    const waiting = this.#asked.get(id)
    if (waiting === undefined) return
    this.#asked.delete(id)
    waiting.timer.cancel()
    waiting.resolve(answer)
  }

  #send(channel: Channel, message: FromDoor): void {
    channel.send(fromDoor.encode(message)).catch((error: unknown) => {
      channel.abort(error instanceof Error ? error : new Error(String(error)))
    })
  }
}

/** The beats of one connection. */
class Beats {
  readonly #deps: DoorClientDeps
  readonly #channel: Channel
  readonly #everyMs: number
  readonly #asked = new Map<number, Instant>()
  readonly #stopped = new AbortController()
  #sequence = 0

  constructor(deps: DoorClientDeps, channel: Channel, everyMs: number) {
    this.#deps = deps
    this.#channel = channel
    this.#everyMs = Math.max(50, everyMs)
  }

  start(): void {
    this.#run().catch((error: unknown) => {
      if (!this.#stopped.signal.aborted) this.#channel.abort(error instanceof Error ? error : new Error(String(error)))
    })
  }

  stop(): void {
    this.#stopped.abort()
  }

  answered(sequence: number, leaseMs: number): void {
    const askedAt = this.#asked.get(sequence)
    if (askedAt === undefined) return
    for (const earlier of this.#asked.keys()) if (earlier <= sequence) this.#asked.delete(earlier)
    this.#deps.handlers.leased(askedAt, leaseMs)
  }

  async #run(): Promise<void> {
    const { clock, handlers } = this.#deps
    const { signal } = this.#stopped
    while (!signal.aborted) {
      if (this.#asked.size >= SILENT_BEATS_MAX) throw new NodeDaemonError('TIMED_OUT', 'the coordinator is silent')
      const sequence = ++this.#sequence
      this.#asked.set(sequence, clock.now())
      await this.#channel.send(fromDoor.encode({ kind: 'beat', sequence, activity: handlers.activity() }))
      await sleep(clock, this.#everyMs, signal)
    }
  }
}

const away = (): NodeDaemonError =>
  new NodeDaemonError('BUSY', 'the coordinator of this federation does not answer now')
