import { type Clock, sleep } from '../core/clock.ts'
import type { PeerIdText } from '../core/ids.ts'

/** Those that wait for news of a peer. As many as there are streams, which the host bounds. */
export class Waiters {
  readonly #clock: Clock
  readonly #waiting = new Map<PeerIdText, Set<() => void>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves by the next `wake` of that peer, or after `ms`; rejects with `ABORTED` by the signal. */
  async wait(peer: PeerIdText, ms: number, signal?: AbortSignal): Promise<void> {
    const woken = new AbortController()
    const wake = (): void => woken.abort()
    const waiting = this.#waiting.get(peer) ?? new Set()
    this.#waiting.set(peer, waiting.add(wake))
    const either = signal === undefined ? woken.signal : AbortSignal.any([signal, woken.signal])
    try {
      await sleep(this.#clock, ms, either)
    } catch (error) {
      if (!woken.signal.aborted) throw error
    } finally {
      waiting.delete(wake)
      if (waiting.size === 0 && this.#waiting.get(peer) === waiting) this.#waiting.delete(peer)
    }
  }

  wake(peer: PeerIdText): void {
    for (const wake of this.#waiting.get(peer) ?? []) wake()
  }
}
