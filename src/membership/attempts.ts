import type { Clock } from '../core/clock.ts'
import { networkOf } from '../core/network-of.ts'
import { Pace } from '../core/pace.ts'

/** Wrong secrets that an address may send at once, and how long it takes until it may send one more. */
const ATTEMPTS = { burst: 10, everyMs: 6000, names: 10_000 } as const

/** Counts wrong secrets by address. Remembers the 10,000 addresses that failed last. */
export class Attempts {
  readonly #pace: Pace

  constructor(clock: Clock) {
    this.#pace = new Pace(clock, ATTEMPTS)
  }

  /** Counts one wrong secret from this address; false once there were too many of late. */
  attempt(address: string): boolean {
    return this.#pace.take(networkOf(address)) === 0
  }
}
