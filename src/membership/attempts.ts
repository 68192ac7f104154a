import { isIPv6 } from 'node:net'
import type { Clock, Instant } from '../core/clock.ts'

/** Wrong secrets that an address may send at once, and how long it takes until it may send one more. */
const BURST = 10
const REFILL_MS = 6000
const ADDRESSES_MAX = 10_000

/** Counts wrong secrets by address. Remembers the 10,000 addresses that failed last. */
export class Attempts {
  readonly #clock: Clock
  /** When an address has its whole burst again. */
  readonly #restedAt = new Map<string, Instant>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Counts one wrong secret from this address; false once there were too many of late. */
  attempt(address: string): boolean {
    const now = this.#clock.now()
    const key = networkOf(address)
    const restedAt = Math.max(now, this.#restedAt.get(key) ?? now)
    const allowed = restedAt + REFILL_MS <= now + BURST * REFILL_MS
    this.#restedAt.delete(key)
    this.#restedAt.set(key, allowed ? restedAt + REFILL_MS : restedAt)
    if (this.#restedAt.size > ADDRESSES_MAX) this.#forgetOldest()
    return allowed
  }

  #forgetOldest(): void {
    for (const key of this.#restedAt.keys()) {
      this.#restedAt.delete(key)
      return
    }
  }
}

/** One customer's IPv6 network is one address: it has 2⁶⁴ of them. */
function networkOf(address: string): string {
  const bare = address.replace(/%.*$/, '')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1]
  if (mapped !== undefined) return mapped
  if (!isIPv6(bare)) return bare.slice(0, 64)
  const [head = '', tail] = bare.toLowerCase().split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after]
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}
