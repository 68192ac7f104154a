import type { Clock, Instant, TimerHandle } from '../core/clock.ts'
import type { PeerIdText } from '../core/ids.ts'
import { grantorUntil } from '../membership/lease.ts'
import type { StopIntent } from '../wire/control.ts'

export interface FailureDetectorOptions {
  /** From the last word of an instance until its standbys take over, in milliseconds. */
  readonly failoverAfterMs: number
  /** The same for one that said that it comes back soon. */
  readonly restartGraceMs: number
  readonly leaseMs: number
}

/** The last that is known of an instance. */
export interface LastSeen {
  readonly heardAt: Instant
  readonly intent: StopIntent | null
  readonly leaseGrantedAt: Instant
}

/** What becomes certain of an instance that is not connected, and when. */
export interface Ends {
  /** It counts as dead: what is acknowledged by the repository alone may be served elsewhere. */
  readonly deadAt: Instant
  /** Also its lease is over, so that it acknowledges nothing any more: at `deadAt` or later. */
  readonly leaseOverAt: Instant
}

export function endsOf({ heardAt, intent, leaseGrantedAt }: LastSeen, options: FailureDetectorOptions): Ends {
  const { failoverAfterMs, restartGraceMs, leaseMs } = options
  const patience = intent === 'restart' ? restartGraceMs : intent === null ? failoverAfterMs : 0
  const deadAt = heardAt + patience
  return { deadAt, leaseOverAt: Math.max(deadAt, grantorUntil(leaseGrantedAt, leaseMs)) }
}

export interface FailureEvents {
  dead(peer: PeerIdText): void
  /** Once after `dead`, perhaps at the same moment. */
  leaseOver(peer: PeerIdText): void
}

/** Tells which instances are dead: those that are not connected and were not heard for too long. */
export class FailureDetector {
  readonly #clock: Clock
  readonly #options: FailureDetectorOptions
  readonly #events: FailureEvents
  readonly #pending = new Map<PeerIdText, TimerHandle>()
  readonly #dead = new Set<PeerIdText>()
  readonly #withoutLease = new Set<PeerIdText>()

  constructor(clock: Clock, options: FailureDetectorOptions, events: FailureEvents) {
    this.#clock = clock
    this.#options = options
    this.#events = events
  }

  isDead(peer: PeerIdText): boolean {
    return this.#dead.has(peer)
  }

  /** Is it dead, and certain to acknowledge nothing any more? */
  isLeaseOver(peer: PeerIdText): boolean {
    return this.#withoutLease.has(peer)
  }

  /** The connection is lost. */
  lost(peer: PeerIdText, last: LastSeen): void {
    this.#watch(peer, endsOf(last, this.#options))
  }

  /** The coordinator starts: all leases count as granted now, and members get at least `graceMs` to come back. */
  awaited(peer: PeerIdText, graceMs: number): void {
    const now = this.#clock.now()
    const ends = endsOf({ heardAt: now, intent: null, leaseGrantedAt: now }, this.#options)
    const deadAt = Math.max(now + graceMs, ends.deadAt)
    this.#watch(peer, { deadAt, leaseOverAt: Math.max(deadAt, ends.leaseOverAt) })
  }

  connected(peer: PeerIdText): void {
    this.#pending.get(peer)?.cancel()
    this.#pending.delete(peer)
    this.#dead.delete(peer)
    this.#withoutLease.delete(peer)
  }

  close(): void {
    for (const timer of this.#pending.values()) timer.cancel()
    this.#pending.clear()
  }

  #watch(peer: PeerIdText, { deadAt, leaseOverAt }: Ends): void {
    this.#at(peer, deadAt, () => {
      this.#dead.add(peer)
      this.#at(peer, leaseOverAt, () => {
        this.#withoutLease.add(peer)
        this.#events.leaseOver(peer)
      })
      this.#events.dead(peer)
    })
  }

  #at(peer: PeerIdText, at: Instant, then: () => void): void {
    this.#pending.get(peer)?.cancel()
    const timer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      this.#pending.delete(peer)
      then()
    })
    this.#pending.set(peer, timer)
  }
}
