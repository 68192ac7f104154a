import { aborted, type Clock, type Instant, sleep, type TimerHandle } from '../../core/clock.ts'
import { codeOf, type ErrorCode, messageOf, NodeDaemonError } from '../../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../../core/ids.ts'
import type { Logger } from '../../core/log.ts'
import { Pace } from '../../core/pace.ts'
import type { Standstill } from '../../core/standstill.ts'
import type { Channel, Link } from '../../network/host.ts'
import {
  type Activity,
  DOOR_LIMITS,
  type DoorAnswer,
  type DoorPlace,
  type DoorQuestion,
  type FromDoor,
  type ToDoor,
  toDoor
} from '../../wire/front-door.ts'
import { QUIET_MS_MAX } from '../flights.ts'
import type { Door } from './doors.ts'

/** How often a front door is heard, for how long it may route after it asked, and when it counts as lost. */
export const DOOR_TIMES = { beatMs: 500, leaseMs: 2500, silentMs: 2000 } as const
/** Beats that may come together: a front door that had no turn, or a line that stood still. */
const BEATS_AT_ONCE = 20
/** Messages that may wait to be sent, questions that may be worked on, and holds that may be waited for. */
const WAITING_MAX = 10_000

export interface DoorSessionDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly standstill: Pick<Standstill, 'endedAt'>
  /** All workspaces that there are now. */
  readonly workspaces: () => Iterable<WorkspaceId>
  /** Is there such a workspace? */
  readonly knows: (workspace: WorkspaceId) => boolean
  readonly place: (workspace: WorkspaceId) => DoorPlace | null
  /** Users have asked for a workspace through this front door. */
  readonly onUse: (workspace: WorkspaceId) => void
  /** @throws NodeDaemonError what the front door is told in place of an answer */
  readonly answer: (question: DoorQuestion) => Promise<DoorAnswer>
}

interface Seen extends Activity {
  readonly at: Instant
}

/**
 * The coordinator's end of the stream of one front door. What it is told of a workspace is looked up when it is sent, so
 * that nothing old comes after what is newer, and never more waits than one place for each workspace.
 */
export class DoorSession implements Door {
  readonly peer: PeerIdText
  readonly link: Link
  readonly #deps: DoorSessionDeps
  readonly #channel: Channel
  readonly #urgent: (() => ToDoor | null)[] = []
  readonly #dirty = new Set<WorkspaceId>()
  readonly #beats: Pace
  readonly #seen = new Map<WorkspaceId, Seen>()
  readonly #holds = new Map<number, () => void>()
  #pages: Iterator<WorkspaceId> | null
  #wake: () => void = () => undefined
  #nextHold = 1
  #answering = 0
  #heardAt: Instant
  #leaseUntil: Instant = 0
  #isOpen = true
  #watchdog: TimerHandle

  constructor(deps: DoorSessionDeps, channel: Channel, link: Link) {
    this.#deps = deps
    this.#channel = channel
    this.peer = link.peer
    this.link = link
    this.#pages = deps.workspaces()[Symbol.iterator]()
    this.#heardAt = deps.clock.now()
    this.#beats = new Pace(deps.clock, { burst: BEATS_AT_ONCE, everyMs: DOOR_TIMES.beatMs / 2, names: 1 })
    this.#watchdog = this.#watch()
  }

  /** Until when it may route: no longer than that after its stream has ended. */
  get leaseUntil(): Instant {
    return this.#leaseUntil
  }

  isBusy(workspace: WorkspaceId): boolean {
    return this.#seen.get(workspace)?.inFlight === true
  }

  isHeldOpen(workspace: WorkspaceId): boolean {
    const seen = this.#seen.get(workspace)
    return seen !== undefined && (seen.sockets || seen.long)
  }

  quietMs(workspace: WorkspaceId): number {
    const seen = this.#seen.get(workspace)
    if (seen === undefined) return QUIET_MS_MAX
    if (seen.inFlight) return 0
    return Math.min(QUIET_MS_MAX, seen.quietMs + this.#deps.clock.now() - seen.at)
  }

  /** One that is lost does not route any more once its lease has ended. */
  async idle(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    if (this.#isOpen) await this.#quiet(workspace, signal)
    const left = this.#isOpen ? 0 : this.#leaseUntil - this.#deps.clock.now()
    if (left > 0) await sleep(this.#deps.clock, left, signal)
  }

  /** Resolves once the front door has said so, or is lost. */
  #quiet(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    if (this.#holds.size >= WAITING_MAX) {
      return Promise.reject(new NodeDaemonError('BUSY', 'too many workspaces are about to move'))
    }
    const id = this.#nextHold++
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#holds.delete(id)
        reject(aborted(signal))
      }
      if (signal.aborted) return onAbort()
      signal.addEventListener('abort', onAbort, { once: true })
      this.#holds.set(id, () => {
        this.#holds.delete(id)
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      this.tell(() => {
        const place = this.#deps.place(workspace)
        if (place !== null) return { kind: 'hold', id, place }
        this.#holds.get(id)?.()
        return null
      })
    })
  }

  breakOff(workspace: WorkspaceId, which: 'long' | 'all'): void {
    this.tell(() => ({ kind: 'break-off', workspace, which }))
  }

  dropHome(peer: PeerIdText): void {
    this.tell(() => ({ kind: 'drop-home', peer }))
  }

  /** The workspace may be served elsewhere by now, or not at all. */
  touched(workspace: WorkspaceId): void {
    this.#dirty.add(workspace)
    this.#wake()
  }

  /** Sends what the function gives at that time, before all places; nothing where it gives null. */
  tell(message: () => ToDoor | null): void {
    if (!this.#isOpen) return
    if (this.#urgent.length >= WAITING_MAX) return this.#channel.abort(new Error('too much waits to be sent'))
    this.#urgent.push(message)
    this.#wake()
  }

  /** Says why, then ends the stream. */
  end(code: ErrorCode, message: string): void {
    this.#channel
      .send(toDoor.encode({ kind: 'goodbye', code, message }))
      .then(() => this.#channel.close())
      .catch(() => this.#channel.abort(new Error(message)))
  }

  /** @throws NodeDaemonError `PROTOCOL_VIOLATION` */
  heard(message: FromDoor): void {
    this.#heardAt = this.#deps.clock.now()
    switch (message.kind) {
      case 'beat':
        return this.#beat(message.sequence, message.activity)
      case 'quiet':
        return this.#holds.get(message.hold)?.()
      case 'ask':
        return this.#asked(message.id, message.question)
      case 'hello':
        throw new NodeDaemonError('PROTOCOL_VIOLATION', 'a second hello')
    }
  }

  #beat(sequence: number, activity: readonly Activity[]): void {
    if (this.#beats.take(this.peer) > 0) throw new NodeDaemonError('PROTOCOL_VIOLATION', 'beats come too often')
    const at = this.#deps.clock.now()
    for (const one of activity) {
      if (!this.#deps.knows(one.workspace)) continue
      this.#deps.onUse(one.workspace)
      this.#seen.delete(one.workspace)
      this.#seen.set(one.workspace, { ...one, at })
    }
    for (const [workspace, seen] of this.#seen) {
      if (seen.inFlight || seen.sockets || at - seen.at < QUIET_MS_MAX) break
      this.#seen.delete(workspace)
    }
    this.tell(() => {
      // One that does not know all workspaces yet would take users for newcomers.
      const leaseMs = this.#pages === null ? DOOR_TIMES.leaseMs : 0
      // The grantor counts from after it granted, the holder from before it asked: the holder always gives up first.
      if (leaseMs > 0) this.#leaseUntil = this.#deps.clock.now() + leaseMs
      return { kind: 'lease', sequence, leaseMs }
    })
  }

  #asked(id: number, question: DoorQuestion): void {
    if (this.#answering >= WAITING_MAX) {
      const busy = { kind: 'failure', code: 'BUSY', message: 'too many questions at once' } as const
      return this.tell(() => ({ kind: 'told', id, answer: busy }))
    }
    this.#answering += 1
    this.#deps
      .answer(question)
      .catch((error: unknown): DoorAnswer => ({ kind: 'failure', code: codeOf(error), message: messageOf(error) }))
      .then((answer) => {
        this.#answering -= 1
        this.tell(() => ({ kind: 'told', id, answer }))
      })
      .catch((error: unknown) => this.#deps.log.error({ error: messageOf(error) }, 'a front door was not answered'))
  }

  /** Sends until the stream ends. Never rejects. */
  async send(): Promise<void> {
    try {
      while (this.#isOpen) {
        const message = this.#next()
        if (message !== null) await this.#channel.send(toDoor.encode(message))
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        }
      }
    } catch (error) {
      this.#deps.log.debug({ peer: this.peer, error: messageOf(error) }, 'a front door was not told everything')
      this.#channel.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #next(): ToDoor | null {
    for (let urgent = this.#urgent.shift(); urgent !== undefined; urgent = this.#urgent.shift()) {
      const message = urgent()
      if (message !== null) return message
    }
    if (this.#dirty.size > 0) return this.#changedPlaces()
    return this.#pages === null ? null : this.#page(this.#pages)
  }

  #changedPlaces(): ToDoor {
    const places: DoorPlace[] = []
    const gone: WorkspaceId[] = []
    for (const workspace of this.#dirty) {
      this.#dirty.delete(workspace)
      const place = this.#deps.place(workspace)
      if (place !== null) places.push(place)
      else {
        this.#seen.delete(workspace)
        gone.push(workspace)
      }
      if (places.length + gone.length === DOOR_LIMITS.placesMax) break
    }
    return { kind: 'places', places, gone, whole: false }
  }

  #page(pages: Iterator<WorkspaceId>): ToDoor {
    const places: DoorPlace[] = []
    while (places.length < DOOR_LIMITS.placesMax) {
      const next = pages.next()
      if (next.done === true) {
        this.#pages = null
        return { kind: 'places', places, gone: [], whole: true }
      }
      const place = this.#deps.place(next.value)
      if (place !== null) places.push(place)
    }
    return { kind: 'places', places, gone: [], whole: false }
  }

  /** The stream is over. */
  closed(): void {
    this.#isOpen = false
    this.#watchdog.cancel()
    this.#seen.clear()
    for (const settle of [...this.#holds.values()]) settle()
    this.#wake()
  }

  /** Ends the stream of a front door that is not heard any more: a stopped process keeps its connections. */
  #watch(): TimerHandle {
    const { clock, standstill } = this.#deps
    const { silentMs } = DOOR_TIMES
    const quietMs = (): number => clock.now() - Math.max(this.#heardAt, standstill.endedAt)
    return clock.after(Math.max(1, silentMs - quietMs()), () => {
      if (quietMs() >= silentMs) this.#channel.abort(new Error('silent for too long'))
      else this.#watchdog = this.#watch()
    })
  }
}
