import type { Clock, Instant, TimerHandle } from './clock.ts'

const TICK_MS = 250
/** An event loop that is busy is late too, but not so much. */
const LATE_MS = 750

/**
 * Notices that this process stood still: it was stopped, or its machine was. Whatever was due meanwhile is due at once when
 * it goes on, before anything is read that came meanwhile: the silence of others then was its own.
 */
export class Standstill implements Disposable {
  readonly #clock: Clock
  #seenAt: Instant
  #endedAt = Number.NEGATIVE_INFINITY
  #timer: TimerHandle

  constructor(clock: Clock) {
    this.#clock = clock
    this.#seenAt = clock.now()
    this.#timer = this.#tick()
  }

  /** When the last one ended; the beginning of time where there was none. Certain whichever timer asks first afterwards. */
  get endedAt(): Instant {
    this.#look()
    return this.#endedAt
  }

  [Symbol.dispose](): void {
    this.#timer.cancel()
  }

  #look(): void {
    const now = this.#clock.now()
    if (now - this.#seenAt > TICK_MS + LATE_MS) this.#endedAt = now
    this.#seenAt = now
  }

  #tick(): TimerHandle {
    return this.#clock.after(TICK_MS, () => {
      this.#look()
      this.#timer = this.#tick()
    })
  }
}
