import { type Clock, type Instant, sleep } from '../core/clock.ts'

/** Bytes a second that may pass; a token bucket that holds a quarter of a second. */
export class RateLimit {
  readonly #clock: Clock
  #bytesPerSecond: number | null
  #freeAt: Instant

  /** `bytesPerSecond` null: no limit. */
  constructor(clock: Clock, bytesPerSecond: number | null) {
    this.#clock = clock
    this.#bytesPerSecond = bytesPerSecond
    this.#freeAt = clock.now()
  }

  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond
  }

  set bytesPerSecond(limit: number | null) {
    this.#bytesPerSecond = limit
    this.#freeAt = this.#clock.now()
  }

  /** Resolves once so many bytes may pass. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const limit = this.#bytesPerSecond
    if (limit === null) return
    const now = this.#clock.now()
    const wait = Math.max(this.#freeAt, now - BURST_MS) - now
    this.#freeAt = Math.max(this.#freeAt, now - BURST_MS) + (bytes / limit) * 1000
    if (wait > 0) await sleep(this.#clock, wait, signal)
  }
}

const BURST_MS = 250
