import { createHash, type Hash } from 'node:crypto'
import type { Random } from '../../src/core/random.ts'

/** What is to happen at a moment. */
interface Planned {
  readonly at: number
  /** Of two things at the same moment, the one that was planned first comes first. */
  readonly order: number
  readonly happen: () => void
  cancelled: boolean
}

export interface Cancel {
  cancel(): void
}

/** Chance that is the same for the same words, in every process. */
export class Chance implements Random {
  readonly #state: Uint32Array

  constructor(words: string) {
    const digest = createHash('sha256').update(words).digest()
    this.#state = new Uint32Array([0, 4, 8, 12].map((at) => digest.readUInt32LE(at)))
  }

  /** 32 bits. Source: Chris Doty-Humphrey's sfc32, of PractRand. */
  #next(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.#state
    const sum = (a + b + d) >>> 0
    this.#state[0] = b ^ (b >>> 9)
    this.#state[1] = c + (c << 3)
    this.#state[2] = ((c << 21) | (c >>> 11)) + sum
    this.#state[3] = d + 1
    return sum
  }

  fraction(): number {
    return this.#next() / 2 ** 32
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#next() & 0xff)
  }

  between(low: number, high: number): number {
    return low + this.fraction() * (high - low)
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor(this.fraction() * count)
  }

  happens(probability: number): boolean {
    return this.fraction() < probability
  }

  /** @throws where there is none */
  one<T>(of: readonly T[]): T {
    const found = of[this.below(of.length)]
    if (found === undefined) throw new Error('nothing to choose from')
    return found
  }
}

/**
 * One true time, and everything that is going to happen. After each thing that happens, all that follows from it without
 * time passing is brought to its end before the next one.
 */
export class World {
  readonly seed: string
  readonly #heap: Planned[] = []
  readonly #trace: Hash = createHash('sha256')
  readonly #onLine: ((line: string) => void) | null
  #now = 0
  #orders = 0
  #happened = 0
  #isOver = false

  constructor(seed: string, onLine: ((line: string) => void) | null = null) {
    this.seed = seed
    this.#onLine = onLine
  }

  /** Milliseconds since the beginning. */
  get now(): number {
    return this.#now
  }

  get happened(): number {
    return this.#happened
  }

  chance(words: string): Chance {
    return new Chance(`${this.seed}/${words}`)
  }

  /** Notes what happened: the same seed gives the same notes. */
  note(who: string, what: string): void {
    const line = `${this.#now.toFixed(3)} ${who} ${what}`
    this.#trace.update(`${line}\n`)
    this.#onLine?.(line)
  }

  /** Of all notes so far. To be asked once, at the end. */
  traceHash(): string {
    return this.#trace.digest('hex')
  }

  at(time: number, happen: () => void): Cancel {
    const planned = { at: Math.max(time, this.#now), order: this.#orders++, happen, cancelled: false }
    push(this.#heap, planned)
    return {
      cancel: () => {
        planned.cancelled = true
      }
    }
  }

  after(ms: number, happen: () => void): Cancel {
    return this.at(this.#now + Math.max(0, ms), happen)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve))
  }

  /** Looks again and again until it is so. False where it is not within `ms`. */
  async until(isSo: () => boolean, ms: number, everyMs = 50): Promise<boolean> {
    const end = this.#now + ms
    while (!isSo()) {
      if (this.#now >= end) return false
      await this.sleep(everyMs)
    }
    return true
  }

  /** Nothing more happens: `run` throws `WorldEnded`. */
  end(): void {
    this.#isOver = true
  }

  /** Lets things happen until `work` is done. @throws what `work` throws; where nothing more is going to happen; after `eventsMax` */
  async run<T>(work: () => Promise<T>, eventsMax: number): Promise<T> {
    const done = new Outcome<T>()
    work().then(
      (value) => done.end({ value }),
      (error: unknown) => done.end({ error })
    )
    await settled()
    while (done.result === null) {
      if (this.#isOver) throw new WorldEnded()
      const next = pop(this.#heap)
      if (next === undefined) throw new Error('nothing is going to happen any more, and the work is not done')
      if (next.cancelled) continue
      if (++this.#happened > eventsMax) throw new Error(`more than ${eventsMax} events: something runs in circles`)
      this.#now = Math.max(this.#now, next.at)
      next.happen()
      await settled()
    }
    if ('error' in done.result) throw done.result.error
    return done.result.value
  }
}

/** Enough is known. */
export class WorldEnded extends Error {}

class Outcome<T> {
  result: { readonly value: T } | { readonly error: unknown } | null = null

  end(result: { readonly value: T } | { readonly error: unknown }): void {
    this.result = result
  }
}

/** Resolves once all promises and ticks that could go on have gone on. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const isBefore = (a: Planned, b: Planned): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

function push(heap: Planned[], planned: Planned): void {
  let at = heap.length
  heap.push(planned)
  while (at > 0) {
    const parent = (at - 1) >> 1
    const above = heap[parent]
    if (above === undefined || !isBefore(planned, above)) break
    heap[at] = above
    at = parent
  }
  heap[at] = planned
}

function pop(heap: Planned[]): Planned | undefined {
  const first = heap[0]
  const last = heap.pop()
  if (first === undefined || last === undefined || heap.length === 0) return first
  let at = 0
  for (;;) {
    const left = 2 * at + 1
    const [a, b] = [heap[left], heap[left + 1]]
    const smaller = a !== undefined && b !== undefined && isBefore(b, a) ? left + 1 : left
    const child = heap[smaller]
    if (child === undefined || !isBefore(child, last)) break
    heap[at] = child
    at = smaller
  }
  heap[at] = last
  return first
}
