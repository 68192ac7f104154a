import type { Clock, Instant, TimerHandle } from '../core/clock.ts'
import type { PeerIdText } from '../core/ids.ts'
import { grantorUntil } from '../membership/lease.ts'
import type { StopIntent } from '../wire/control.ts'

export interface FailureDetectorOptions {
  /** From the last word of an instance until its standbys take over, in milliseconds. */
  readonly failoverAfterMs: number
  /** The same for one that said that it comes back soon. */
  readonly restartGraceMs: number
  /** Must an instance's lease have ended before another may write? Not where the seal alone is enough. */
  readonly leaseMustEnd: boolean
  readonly leaseMs: number
}

/** The last that is known of an instance. */
export interface LastSeen {
  readonly heardAt: Instant
  readonly intent: StopIntent | null
  readonly leaseGrantedAt: Instant
}

/** When an instance that is not connected counts as dead. */
export function deadAt({ heardAt, intent, leaseGrantedAt }: LastSeen, options: FailureDetectorOptions): Instant {
  const { failoverAfterMs, restartGraceMs, leaseMustEnd, leaseMs } = options
  const leaseEnd = leaseMustEnd ? grantorUntil(leaseGrantedAt, leaseMs) : heardAt
  const patience = intent === 'restart' ? restartGraceMs : intent === null ? failoverAfterMs : 0
  return Math.max(heardAt + patience, leaseEnd)
}

/** Why an instance counts as dead. `announced`: it said that it stops for good, or is no member any more. */
export type DeathCause = 'silence' | 'restart-overdue' | 'announced'

const causeOf = (intent: StopIntent | null): DeathCause =>
  intent === null ? 'silence' : intent === 'restart' ? 'restart-overdue' : 'announced'

/** Tells which instances are dead: those that are not connected and were not heard for too long. */
export class FailureDetector {
  readonly #clock: Clock
  readonly #options: FailureDetectorOptions
  readonly #onDead: (peer: PeerIdText, cause: DeathCause) => void
  readonly #pending = new Map<PeerIdText, TimerHandle>()
  readonly #dead = new Set<PeerIdText>()

  constructor(clock: Clock, options: FailureDetectorOptions, onDead: (peer: PeerIdText, cause: DeathCause) => void) {
    this.#clock = clock
    this.#options = options
    this.#onDead = onDead
  }

  isDead(peer: PeerIdText): boolean {
    return this.#dead.has(peer)
  }

  /** Is it away, and may it still come back in time? */
  isAwaited(peer: PeerIdText): boolean {
    return this.#pending.has(peer)
  }

  /** Is there one that is away and not dead yet? */
  get isWaiting(): boolean {
    return this.#pending.size > 0
  }

  /** All that are dead now, in the order in which they died. */
  dead(): readonly PeerIdText[] {
    return [...this.#dead]
  }

  /** The connection is lost. */
  lost(peer: PeerIdText, last: LastSeen): void {
    this.#watch(peer, deadAt(last, this.#options) - this.#clock.now(), causeOf(last.intent))
  }

  /**
   * The coordinator starts: all leases count as granted now, and members get at least `graceMs` to come back. `intent`:
   * what was last heard of it. Who was about to come back gets all of its grace anew.
   *
   * @returns when it is awaited no longer
   */
  awaited(peer: PeerIdText, graceMs: number, intent: StopIntent | null = null): Instant {
    const now = this.#clock.now()
    const until = Math.max(now + graceMs, deadAt({ heardAt: now, intent, leaseGrantedAt: now }, this.#options))
    this.#watch(peer, until - now, causeOf(intent))
    return until
  }

  connected(peer: PeerIdText): void {
    this.#pending.get(peer)?.cancel()
    this.#pending.delete(peer)
    this.#dead.delete(peer)
  }

  close(): void {
    for (const timer of this.#pending.values()) timer.cancel()
    this.#pending.clear()
  }

  #watch(peer: PeerIdText, ms: number, cause: DeathCause): void {
    this.#pending.get(peer)?.cancel()
    const timer = this.#clock.after(Math.max(0, ms), () => {
      this.#pending.delete(peer)
      this.#dead.add(peer)
      this.#onDead(peer, cause)
    })
    this.#pending.set(peer, timer)
  }
}
