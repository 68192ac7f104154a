import type { CID } from 'multiformats/cid'
import type { Clock, Instant } from '../core/clock.ts'
import { Marks } from './marks.ts'

const HOUR_MS = 60 * 60 * 1000
const PINS_MAX = 1_000_000

/**
 * Blocks that somebody was told of, or brought, within the last hour: nothing may take them away. In memory, in two
 * generations of an hour, so that a pin holds for one hour at least and about two at most.
 */
export class Pins {
  readonly #clock: Clock
  readonly #max: number
  #now = new Marks(2)
  #before = new Marks(2)
  #since: Instant
  #fullUntil: Instant = Number.NEGATIVE_INFINITY
  #held = 0

  /** @param max entries of a generation */
  constructor(clock: Clock, max: number = PINS_MAX) {
    this.#clock = clock
    this.#max = max
    this.#since = clock.now()
  }

  /** To be called before reading what is told of the blocks. */
  add(cids: readonly CID[]): void {
    this.#turn()
    for (const cid of cids) {
      if (this.#now.size < this.#max) this.#now.add(cid)
      else if (!this.#now.has(cid)) this.#fullUntil = this.#clock.now() + HOUR_MS
    }
  }

  has(cid: CID): boolean {
    return this.#now.has(cid) || this.#before.has(cid)
  }

  /** Not all pins of the last hour could be remembered: whatever is there may be pinned. */
  get full(): boolean {
    return this.#clock.now() < this.#fullUntil
  }

  /** Nothing ends before the returned function is called. */
  hold(): () => void {
    this.#turn()
    this.#held++
    return () => {
      this.#held--
      if (this.#held === 0 && this.#clock.now() - this.#since >= HOUR_MS) this.#begin(this.#now)
    }
  }

  #turn(): void {
    const passed = this.#clock.now() - this.#since
    if (this.#held > 0 || passed < HOUR_MS) return
    this.#begin(passed < 2 * HOUR_MS ? this.#now : new Marks(2))
  }

  #begin(before: Marks): void {
    this.#before = before
    this.#now = new Marks(2)
    this.#since = this.#clock.now()
  }
}
