import { type Clock, type Instant, sleep } from '../core/clock.ts'
import type { WorkspaceId } from '../core/ids.ts'

interface InFlight {
  readonly since: Instant
  readonly breakOff: () => void
}

/** A request that has taken so long is waited for like an open connection. */
const LONG_MS = 3000
const IDLE_POLL_MS = 5
export const QUIET_MS_MAX = 5 * 60_000

/** The requests that are on their way to the homes of workspaces. */
export class Flights {
  readonly #clock: Clock
  readonly #onTouch: (workspace: WorkspaceId) => void
  /** Those of each in the order in which they were sent. */
  readonly #inFlight = new Map<WorkspaceId, Set<InFlight>>()
  /** When the last request of each ended, the longest ago first; for a while. */
  readonly #lastAt = new Map<WorkspaceId, Instant>()

  /** `onTouch` hears of each request that begins or ends. */
  constructor(clock: Clock, onTouch: (workspace: WorkspaceId) => void = () => undefined) {
    this.#clock = clock
    this.#onTouch = onTouch
  }

  /** See `Workspaces.enter`. */
  enter(workspace: WorkspaceId, breakOff: () => void): () => void {
    const here = this.#inFlight.get(workspace) ?? new Set()
    this.#inFlight.set(workspace, here)
    const request = { since: this.#clock.now(), breakOff }
    here.add(request)
    this.#onTouch(workspace)
    return () => {
      if (!here.delete(request)) return
      if (here.size === 0) this.#inFlight.delete(workspace)
      this.#noteLast(workspace)
      this.#onTouch(workspace)
    }
  }

  isBusy(workspace: WorkspaceId): boolean {
    return this.#inFlight.has(workspace)
  }

  /** Is a request in flight that does not end soon: a stream of events, a large download? */
  hasLong(workspace: WorkspaceId): boolean {
    const [oldest] = this.#inFlight.get(workspace) ?? []
    return oldest !== undefined && this.#isLong(oldest)
  }

  /** Breaks requests in flight off: those that have taken long, or all of them. */
  breakOff(workspace: WorkspaceId, which: 'long' | 'all'): void {
    for (const request of [...(this.#inFlight.get(workspace) ?? [])]) {
      if (which === 'all' || this.#isLong(request)) request.breakOff()
    }
  }

  /** For how long nobody has asked anything of it: 0 while somebody does, five minutes for longer. */
  quietMs(workspace: WorkspaceId): number {
    if (this.#inFlight.has(workspace)) return 0
    const lastAt = this.#lastAt.get(workspace)
    return lastAt === undefined ? QUIET_MS_MAX : Math.min(QUIET_MS_MAX, this.#clock.now() - lastAt)
  }

  /** Resolves once no request of this workspace is in flight. */
  async idle(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    while (this.#inFlight.has(workspace)) await sleep(this.#clock, IDLE_POLL_MS, signal)
  }

  #isLong({ since }: InFlight): boolean {
    return this.#clock.now() - since >= LONG_MS
  }

  #noteLast(workspace: WorkspaceId): void {
    const now = this.#clock.now()
    this.#lastAt.delete(workspace)
    this.#lastAt.set(workspace, now)
    for (const [longest, at] of this.#lastAt) {
      if (now - at < QUIET_MS_MAX) break
      this.#lastAt.delete(longest)
    }
  }
}
