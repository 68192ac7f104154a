import { BoundedMap } from './bounded-map.ts'
import type { Clock, Instant } from './clock.ts'

export interface PaceOptions {
  /** So many at once … */
  readonly burst: number
  /** … and one more each time so much has passed, in milliseconds. */
  readonly everyMs: number
  /** So many names are remembered: those that came last. */
  readonly names: number
}

/** Counts what comes, by name, and says who comes too often. */
export class Pace {
  readonly #clock: Pick<Clock, 'now'>
  readonly #options: PaceOptions
  /** When a name has its whole burst again. */
  readonly #restedAt: BoundedMap<string, Instant>

  constructor(clock: Pick<Clock, 'now'>, options: PaceOptions) {
    this.#clock = clock
    this.#options = options
    this.#restedAt = new BoundedMap(options.names)
  }

  /** 0: it is counted. Else it is not, and so many milliseconds must pass before one more may come. */
  take(name: string): number {
    const { burst, everyMs } = this.#options
    const now = this.#clock.now()
    const next = Math.max(now, this.#restedAt.get(name) ?? now) + everyMs
    const lateMs = next - now - burst * everyMs
    // Who comes again and again while refused stays among those that are remembered.
    this.#restedAt.set(name, lateMs > 0 ? next - everyMs : next)
    return Math.max(0, lateMs)
  }
}
