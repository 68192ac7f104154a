import type { Instant } from '../core/clock.ts'

/** How far any clock may be from true time: one part in a hundred, faster or slower. */
export const CLOCK_DRIFT_MAX = 0.01
/** The longest lease that is granted or believed. */
export const LEASE_MS_MAX = 10 * 60_000

/** When the holder gives up, on its own clock: it counts from before it asked. */
export function holderUntil(askedAt: Instant, leaseMs: number): Instant {
  return askedAt + bounded(leaseMs)
}

/**
 * When the grantor may take a lease for ended, on its own clock: it counts from after it granted, and long enough for a
 * holder whose clock is as slow as its own is fast.
 */
export function grantorUntil(grantedAt: Instant, leaseMs: number): Instant {
  return grantedAt + Math.ceil((bounded(leaseMs) * (1 + CLOCK_DRIFT_MAX)) / (1 - CLOCK_DRIFT_MAX))
}

const bounded = (leaseMs: number): number =>
  Number.isFinite(leaseMs) ? Math.min(LEASE_MS_MAX, Math.max(0, leaseMs)) : 0

/**
 * The holder's side of a lease that is renewed again and again.
 *
 *   none ─▶ held ⇄ ended
 *    ▲        │
 *    └────────┘  given up
 *
 * `granted` leads to held, or keeps it there for longer; time alone to ended; `give` to none.
 */
export class LeaseKeeper {
  #until: Instant = Number.NEGATIVE_INFINITY

  /** A lease was granted for what was asked at `askedAt`. A late answer to an earlier question never shortens it. */
  granted(askedAt: Instant, leaseMs: number): void {
    this.#until = Math.max(this.#until, holderUntil(askedAt, leaseMs))
  }

  /** Gives the lease up at once. */
  give(): void {
    this.#until = Number.NEGATIVE_INFINITY
  }

  /** To be asked again after every `await`. */
  valid(now: Instant): boolean {
    return now < this.#until
  }

  /** How long it still runs; 0 where it has ended. */
  remainingMs(now: Instant): number {
    return Math.max(0, this.#until - now)
  }
}
