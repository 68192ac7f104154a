import type { Clock, Instant, TimerHandle } from '../core/clock.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { StopIntent } from '../wire/control.ts'

export interface FailureDetectorOptions {
  /** From the last word of an instance until its standbys take over, in milliseconds. */
  readonly failoverAfterMs: number
  /** The same for one that said that it comes back soon. */
  readonly restartGraceMs: number
  /** The lease, where it must end before another may write; 0 where the seal alone is enough. */
  readonly leaseMs: number
}

/** Clocks of members run at most this much faster or slower than the coordinator's. */
const DRIFT = 0.01

/** How long to wait for an instance after its last word. */
export function patienceMs(intent: StopIntent | null, options: FailureDetectorOptions): number {
  if (intent === 'restart') return options.restartGraceMs
  if (intent === 'flush' || intent === 'leave') return 0
  return Math.max(options.failoverAfterMs, options.leaseMs * (1 + DRIFT))
}

/** Tells which instances are dead: those that are not connected and were not heard for too long. */
export class FailureDetector {
  readonly #clock: Clock
  readonly #options: FailureDetectorOptions
  readonly #onDead: (peer: PeerIdText) => void
  readonly #pending = new Map<PeerIdText, TimerHandle>()
  readonly #dead = new Set<PeerIdText>()

  constructor(clock: Clock, options: FailureDetectorOptions, onDead: (peer: PeerIdText) => void) {
    this.#clock = clock
    this.#options = options
    this.#onDead = onDead
  }

  isDead(peer: PeerIdText): boolean {
    return this.#dead.has(peer)
  }

  /** The connection is lost. `heardAt`: the last word. */
  lost(peer: PeerIdText, heardAt: Instant, intent: StopIntent | null): void {
    this.#watch(peer, patienceMs(intent, this.#options) - (this.#clock.now() - heardAt))
  }

  /** The coordinator starts: all leases count as granted now, and members get time to come back. */
  awaited(peer: PeerIdText, graceMs: number): void {
    this.#watch(peer, Math.max(graceMs, patienceMs(null, this.#options)))
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

  #watch(peer: PeerIdText, ms: number): void {
    this.#pending.get(peer)?.cancel()
    const timer = this.#clock.after(Math.max(0, ms), () => {
      this.#pending.delete(peer)
      this.#dead.add(peer)
      this.#onDead(peer)
    })
    this.#pending.set(peer, timer)
  }
}
