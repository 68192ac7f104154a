import type { CID } from 'multiformats/cid'
import { type Clock, type Instant, sleep } from '../core/clock.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Providers } from '../network/providers.ts'

/** At most one announcement in so long, of all; and of one workspace. */
const PACE_MS = 200
const SAME_MS = 10_000
/** Workspaces that are announced. Those beyond it are not: it is a hint that others then lack. */
const WORKSPACES_MAX = 4000

interface Told {
  readonly cid: CID
  readonly at: Instant
}

/** Tells the newest head of each workspace that is on this disk, with pauses, and forgets the one before. */
export class Announcements {
  readonly #providers: Providers
  readonly #clock: Clock
  readonly #stopped = new AbortController()
  readonly #waiting = new Map<WorkspaceId, CID>()
  readonly #told = new Map<WorkspaceId, Told>()
  #running: Promise<void> | null = null

  constructor(providers: Providers, clock: Clock) {
    this.#providers = providers
    this.#clock = clock
  }

  holds(workspace: WorkspaceId, cid: CID): void {
    if (this.#stopped.signal.aborted) return
    const isNew = !this.#waiting.has(workspace) && !this.#told.has(workspace)
    if (isNew && this.#waiting.size + this.#told.size >= WORKSPACES_MAX) return
    if (this.#told.get(workspace)?.cid.equals(cid) === true) return
    this.#waiting.set(workspace, cid)
    this.#running ??= this.#run()
      // Only the end of the process ends it early.
      .catch(() => undefined)
      .finally(() => {
        this.#running = null
      })
  }

  letGo(workspace: WorkspaceId): void {
    this.#waiting.delete(workspace)
    const told = this.#told.get(workspace)
    this.#told.delete(workspace)
    if (told !== undefined) void this.#providers.forget(told.cid)
  }

  async close(): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      const next = this.#due()
      if (next !== null) await this.#announce(...next)
      await sleep(this.#clock, PACE_MS, this.#stopped.signal)
    }
  }

  #due(): [WorkspaceId, CID] | null {
    const now = this.#clock.now()
    for (const [workspace, cid] of this.#waiting) {
      const told = this.#told.get(workspace)
      if (told === undefined || now - told.at >= SAME_MS) return [workspace, cid]
    }
    return null
  }

  async #announce(workspace: WorkspaceId, cid: CID): Promise<void> {
    this.#waiting.delete(workspace)
    const before = this.#told.get(workspace)
    this.#told.set(workspace, { cid, at: this.#clock.now() })
    if (before !== undefined) await this.#providers.forget(before.cid)
    await this.#providers.announce(cid)
  }
}
