import type { Clock, Instant } from '../core/clock.ts'
import type { Position } from './car.ts'

const HOUR_MS = 60 * 60 * 1000
const SAMPLE_MS = 60_000

interface Sample {
  /** Everything before `end` had been written by then. */
  readonly at: Instant
  readonly end: Position
}

/** Which part of the log was written within the last hour. What was there at the start counts as written at the start. */
export class Horizon {
  readonly #clock: Clock
  #samples: Sample[]

  constructor(clock: Clock, end: Position) {
    this.#clock = clock
    this.#samples = [{ at: clock.now(), end }]
  }

  /** To be called after each write, with the end of the log. */
  note(end: Position): void {
    const at = this.#clock.now()
    const before = this.#samples.at(-2)
    if (before !== undefined && at - before.at < SAMPLE_MS) this.#samples.pop()
    this.#samples.push({ at, end })
    const settled = this.#samples.findLastIndex((sample) => sample.at <= at - HOUR_MS)
    if (settled > 0) this.#samples = this.#samples.slice(settled)
  }

  /** All before this was written more than an hour ago; null where nothing is so old. */
  get old(): Position | null {
    const limit = this.#clock.now() - HOUR_MS
    return this.#samples.findLast(({ at }) => at <= limit)?.end ?? null
  }

  isYoung({ pack, offset }: Position): boolean {
    const { old } = this
    return old === null || pack > old.pack || (pack === old.pack && offset >= old.offset)
  }

  /** The places in this pack have changed: until it is past an hour as a whole, all of it is young. */
  rewritten(pack: number): void {
    this.#samples = this.#samples.map(({ at, end }) => ({ at, end: end.pack === pack ? { pack, offset: 0 } : end }))
  }
}
