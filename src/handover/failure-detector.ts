import type { Clock, Instant, TimerHandle } from '../core/clock.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Standstill } from '../core/standstill.ts'
import { grantorUntil } from '../membership/lease.ts'
import type { StopIntent } from '../wire/control.ts'

export interface FailureDetectorOptions {
  /** From the last word of an instance until its standbys take over, in milliseconds. */
  readonly failoverAfterMs: number
  /** The same for one that said that it comes back soon. */
  readonly restartGraceMs: number
  readonly leaseMs: number
  /** After this process stood still: instances may have given the connection up, and get so long to come back. */
  readonly backMs: number
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

export function endsOf(
  { heardAt, intent, leaseGrantedAt }: LastSeen,
  options: Omit<FailureDetectorOptions, 'backMs'>
): Ends {
  const { failoverAfterMs, restartGraceMs, leaseMs } = options
  const patience = intent === 'restart' ? restartGraceMs : intent === null ? failoverAfterMs : 0
  const deadAt = heardAt + patience
  return { deadAt, leaseOverAt: Math.max(deadAt, grantorUntil(leaseGrantedAt, leaseMs)) }
}

/** Why an instance counts as dead. `announced`: it said that it stops for good, or is no member any more. */
export type DeathCause = 'silence' | 'restart-overdue' | 'announced'

const causeOf = (intent: StopIntent | null): DeathCause =>
  intent === null ? 'silence' : intent === 'restart' ? 'restart-overdue' : 'announced'

export interface FailureEvents {
  dead(peer: PeerIdText, cause: DeathCause): void
  /** Once after `dead`, perhaps at the same moment. */
  leaseOver(peer: PeerIdText): void
}

/** Tells which instances are dead: those that are not connected and were not heard for too long. */
export class FailureDetector {
  readonly #clock: Clock
  readonly #standstill: Pick<Standstill, 'endedAt'>
  readonly #options: FailureDetectorOptions
  readonly #events: FailureEvents
  readonly #pending = new Map<PeerIdText, TimerHandle>()
  readonly #dead = new Set<PeerIdText>()
  /** Of those that are dead: whose lease runs on, and whose is over. */
  readonly #leased = new Map<PeerIdText, TimerHandle>()
  readonly #withoutLease = new Set<PeerIdText>()

  constructor(
    { clock, standstill }: { readonly clock: Clock; readonly standstill: Pick<Standstill, 'endedAt'> },
    options: FailureDetectorOptions,
    events: FailureEvents
  ) {
    this.#clock = clock
    this.#standstill = standstill
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
    this.#watch(peer, endsOf(last, this.#options), causeOf(last.intent))
  }

  /**
   * The coordinator starts: all leases count as granted now, and members get at least `graceMs` to come back. `intent`:
   * what was last heard of it. Who was about to come back gets all of its grace anew.
   *
   * @returns when it is awaited no longer
   */
  awaited(peer: PeerIdText, graceMs: number, intent: StopIntent | null = null): Instant {
    const now = this.#clock.now()
    const ends = endsOf({ heardAt: now, intent, leaseGrantedAt: now }, this.#options)
    const deadAt = Math.max(now + graceMs, ends.deadAt, this.#notBefore(causeOf(intent)))
    this.#watch(peer, { deadAt, leaseOverAt: Math.max(deadAt, ends.leaseOverAt) }, causeOf(intent))
    return deadAt
  }

  connected(peer: PeerIdText): void {
    this.#cancel(peer)
    this.#dead.delete(peer)
    this.#withoutLease.delete(peer)
  }

  close(): void {
    for (const peer of [...this.#pending.keys(), ...this.#leased.keys()]) this.#cancel(peer)
  }

  #cancel(peer: PeerIdText): void {
    this.#pending.get(peer)?.cancel()
    this.#pending.delete(peer)
    this.#leased.get(peer)?.cancel()
    this.#leased.delete(peer)
  }

  #watch(peer: PeerIdText, ends: Ends, cause: DeathCause): void {
    this.#cancel(peer)
    const { leaseOverAt } = ends
    const deadAt = Math.max(ends.deadAt, this.#notBefore(cause))
    this.#at(this.#pending, peer, deadAt, () => {
      if (this.#clock.now() < this.#notBefore(cause)) return this.#watch(peer, ends, cause)
      this.#dead.add(peer)
      this.#at(this.#leased, peer, leaseOverAt, () => {
        this.#withoutLease.add(peer)
        this.#events.leaseOver(peer)
      })
      this.#events.dead(peer, cause)
    })
  }

  /** Who could not be heard, or not come back, is not dead for that. */
  #notBefore(cause: DeathCause): Instant {
    return cause === 'announced' ? Number.NEGATIVE_INFINITY : this.#standstill.endedAt + this.#options.backMs
  }

  #at(timers: Map<PeerIdText, TimerHandle>, peer: PeerIdText, at: Instant, then: () => void): void {
    const timer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      timers.delete(peer)
      then()
    })
    timers.set(peer, timer)
  }
}
