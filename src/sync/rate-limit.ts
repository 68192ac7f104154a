import { type Clock, type Instant, sleep } from '../core/clock.ts'
import { type LimitSchedule, limitAt, UNLIMITED } from './limit-schedule.ts'

const BURST_MS = 250
/** A limit that changes with the hours is looked at again after at most so long. */
const LOOK_AGAIN_MS = 60_000

/** Bytes a second that may pass; a token bucket that holds a quarter of a second. */
export class RateLimit {
  readonly #clock: Clock
  #schedule: LimitSchedule
  #freeAt: Instant

  constructor(clock: Clock, schedule: LimitSchedule = UNLIMITED) {
    this.#clock = clock
    this.#schedule = schedule
    this.#freeAt = clock.now()
  }

  /** As it is at this hour; null where there is none. */
  get bytesPerSecond(): number | null {
    return limitAt(this.#schedule, this.#clock.wall())
  }

  get schedule(): LimitSchedule {
    return this.#schedule
  }

  set schedule(schedule: LimitSchedule) {
    this.#schedule = schedule
    this.#freeAt = this.#clock.now()
  }

  /** Milliseconds until something may pass; 0 for now. To be asked again after that time. */
  delayMs(): number {
    if (this.bytesPerSecond === null) return 0
    return Math.min(Math.max(0, this.#freeAt - this.#clock.now()), LOOK_AGAIN_MS)
  }

  /** Counts bytes that pass now, whatever the delay: those after them wait the longer. */
  spend(bytes: number): void {
    const limit = this.bytesPerSecond
    if (limit === null) return
    this.#freeAt = Math.max(this.#freeAt, this.#clock.now() - BURST_MS) + (bytes / limit) * 1000
  }

  /** Resolves once so many bytes may pass. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    for (let wait = this.delayMs(); wait > 0; wait = this.delayMs()) await sleep(this.#clock, wait, signal)
    this.spend(bytes)
  }
}
