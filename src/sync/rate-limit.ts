import { type Clock, type Instant, sleep } from '../core/clock.ts'
import { type LimitSchedule, limitAt, UNLIMITED } from './limit-schedule.ts'

const BURST_MS = 250
/** A limit that changes with the hours is looked at again after at most so long. */
const LOOK_AGAIN_MS = 60_000

/** Bytes a second that may pass; a token bucket that holds a quarter of a second. */
export class RateLimit {
  readonly #clock: Clock
  #schedule: LimitSchedule
  /** Bytes that passed before their time; less than none where some were saved up. */
  #owed = 0
  #owedAt: Instant

  constructor(clock: Clock, schedule: LimitSchedule = UNLIMITED) {
    this.#clock = clock
    this.#schedule = schedule
    this.#owedAt = clock.now()
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
    this.#owed = 0
    this.#owedAt = this.#clock.now()
  }

  /** Milliseconds until something may pass; 0 for now. To be asked again after that time. */
  delayMs(): number {
    const limit = this.#settle()
    return limit === null ? 0 : Math.min((Math.max(0, this.#owed) / limit) * 1000, LOOK_AGAIN_MS)
  }

  /** Counts bytes that pass now, whatever the delay: those after them wait the longer. */
  spend(bytes: number): void {
    if (this.#settle() !== null) this.#owed += bytes
  }

  /** What is owed is paid at the rate of this hour. */
  #settle(): number | null {
    const limit = this.bytesPerSecond
    const now = this.#clock.now()
    const passedMs = now - this.#owedAt
    this.#owedAt = now
    this.#owed = limit === null ? 0 : Math.max(-limit * (BURST_MS / 1000), this.#owed - (passedMs / 1000) * limit)
    return limit
  }

  /** Resolves once so many bytes may pass. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    for (let wait = this.delayMs(); wait > 0; wait = this.delayMs()) await sleep(this.#clock, wait, signal)
    this.spend(bytes)
  }
}
