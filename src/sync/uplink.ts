import { aborted, type Clock, type Instant, type TimerHandle } from '../core/clock.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { FairQueue, type Urgency } from './fair-queue.ts'
import type { LimitSchedule } from './limit-schedule.ts'
import { RateLimit } from './rate-limit.ts'

/** What is under way and not yet kept by the receiver: so much of the measured rate, within these bounds. */
const UNDER_WAY_MS = 250
const UNDER_WAY_BYTES_MIN = 512 * 1024
const UNDER_WAY_BYTES_MAX = 12 * 1024 * 1024
const PIECE_MS = 5
const PIECE_BYTES_MIN = 32 * 1024
const PIECE_BYTES_MAX = 1024 * 1024
/** What a line is taken to carry before it was measured. */
const UNMEASURED_PER_MS = 50_000
const MEASURE_MS = 100
/** How much a new measurement counts beside those before it. */
const NEWEST = 0.3

interface Turn {
  readonly bytes: number
  readonly go: () => void
}

/**
 * Everything that one instance sends: who goes next, how fast by the limit, and how much may be under way until the
 * receiver says that it was kept. Writes that a user waits for are held back by the limit only.
 */
export class Uplink {
  readonly #clock: Clock
  readonly #limit: RateLimit
  readonly #waiting = new FairQueue<Turn>()
  #underWay = 0
  #bytesPerMs = 0
  #measuredFrom: Instant
  #measuredBytes = 0
  #timer: TimerHandle | null = null

  constructor(clock: Clock, schedule?: LimitSchedule) {
    this.#clock = clock
    this.#limit = new RateLimit(clock, schedule)
    this.#measuredFrom = clock.now()
  }

  get schedule(): LimitSchedule {
    return this.#limit.schedule
  }

  set schedule(schedule: LimitSchedule) {
    this.#limit.schedule = schedule
    this.#pump()
  }

  /** The limit of this hour, in bytes a second; null where there is none. */
  get bytesPerSecond(): number | null {
    return this.#limit.bytesPerSecond
  }

  /** How much should be taken at a time: a turn is short, also where the line is thin or the limit low. */
  get pieceBytes(): number {
    const measured = this.#bytesPerMs === 0 ? UNMEASURED_PER_MS : this.#bytesPerMs
    const perMs = Math.min(measured, (this.#limit.bytesPerSecond ?? Number.POSITIVE_INFINITY) / 1000)
    return Math.max(PIECE_BYTES_MIN, Math.min(PIECE_BYTES_MAX, perMs * PIECE_MS))
  }

  /** Resolves when it is the turn of these bytes. Each call needs one `arrived` or `lost` for as many bytes. */
  take(bytes: number, workspace: WorkspaceId, urgency: Urgency, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(aborted(signal))
      const onAbort = (): void => {
        this.#waiting.remove(urgency, workspace, turn)
        reject(aborted(signal))
      }
      const turn: Turn = {
        bytes,
        go: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        }
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(urgency, workspace, turn)
      this.#pump()
    })
  }

  /** The receiver has these bytes. */
  arrived(bytes: number): void {
    this.#measure(bytes)
    this.lost(bytes)
  }

  /** These bytes are no longer under way. */
  lost(bytes: number): void {
    this.#underWay -= bytes
    this.#pump()
  }

  #pump(): void {
    while (!this.#waiting.isEmpty) {
      const wait = this.#limit.delayMs()
      if (wait > 0) return this.#pumpAfter(wait)
      const turn = this.#waiting.next(({ bytes }, urgency) => urgency === 'acknowledged' || this.#hasRoomFor(bytes))
      if (turn === null) return
      if (this.#underWay === 0) this.#beginMeasuring()
      this.#limit.spend(turn.bytes)
      this.#underWay += turn.bytes
      turn.go()
    }
  }

  #pumpAfter(ms: number): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.after(ms, () => {
      this.#timer = null
      this.#pump()
    })
  }

  #hasRoomFor(bytes: number): boolean {
    const room = Math.max(UNDER_WAY_BYTES_MIN, Math.min(UNDER_WAY_BYTES_MAX, this.#bytesPerMs * UNDER_WAY_MS))
    return this.#underWay === 0 || this.#underWay + bytes <= room
  }

  #beginMeasuring(): void {
    this.#measuredFrom = this.#clock.now()
    this.#measuredBytes = 0
  }

  #measure(bytes: number): void {
    this.#measuredBytes += bytes
    const tookMs = this.#clock.now() - this.#measuredFrom
    if (tookMs < MEASURE_MS) return
    const rate = this.#measuredBytes / tookMs
    this.#bytesPerMs = this.#bytesPerMs === 0 ? rate : this.#bytesPerMs * (1 - NEWEST) + rate * NEWEST
    this.#beginMeasuring()
  }
}
