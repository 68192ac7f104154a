import { z } from 'zod'
import { type Clock, type Instant, sleep } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { batches, forEachParallel } from '../core/parallel.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { Removals } from '../handover/removals.ts'
import { fromDocument, putOwn, removeOwn } from '../membership/documents.ts'
import type { ControlChange, ControlStore } from '../store/control-store.ts'
import { isGuest } from './quotas.ts'

const LOOK_MS = 10 * 60_000
const LOOK_MS_MIN = 1000
const DAY_MS = 24 * 60 * 60_000
const REMOVED_AT_ONCE = 4
/** At one look; the rest at the next ones. */
const REMOVED_MAX = 1000
const CHANGES_AT_ONCE = 1000

const CLOCK_KEY = 'guest-clock'
const USED_PREFIX = 'guest-used/'
const milliseconds = z.object({ ms: z.number().min(0) })

export interface GuestExpiryDeps {
  readonly store: ControlStore
  readonly table: Pick<OwnershipTable, 'all' | 'get'>
  readonly removals: Pick<Removals, 'remove'>
  /** Is somebody connected to it now? */
  readonly isInUse: (workspace: WorkspaceId) => boolean
  /** Nothing is to be removed now: too little is known. */
  readonly isHeld: () => boolean
  readonly clock: Clock
  readonly log: Logger
}

/**
 * Removes workspaces of guests for which nobody has asked, and which nobody has changed, for so long. That time is
 * counted while this coordinator runs, by looks at its monotonic clock, none of which counts for more than twice the time
 * between two: neither a time of day that is wrong, nor a machine that was suspended or switched off, removes anything.
 *
 * What is remembered of a workspace is coarse, so that it is rarely written, and errs on the side of keeping.
 */
export class GuestExpiry {
  readonly #deps: GuestExpiryDeps
  readonly #ttlMs: number
  readonly #lookMs: number
  /** Uses of a workspace that are less than this apart count as one. */
  readonly #coarseMs: number
  readonly #stopped = new AbortController()
  /** When each guest's workspace was used last, in running time. */
  readonly #usedAt: Map<WorkspaceId, number>
  readonly #usedSince = new Set<WorkspaceId>()
  #runningMs: number
  #lookedAt: Instant
  #loop: Promise<void> | null = null

  private constructor(
    deps: GuestExpiryDeps,
    ttlMs: number,
    kept: { readonly runningMs: number; readonly usedAt: Map<WorkspaceId, number> }
  ) {
    this.#deps = deps
    this.#ttlMs = ttlMs
    this.#lookMs = Math.min(LOOK_MS, Math.max(LOOK_MS_MIN, ttlMs / 8))
    this.#coarseMs = Math.min(DAY_MS, ttlMs / 8)
    this.#usedAt = kept.usedAt
    this.#runningMs = kept.runningMs
    this.#lookedAt = deps.clock.now()
  }

  static async open(deps: GuestExpiryDeps, { ttlMs }: { readonly ttlMs: number }): Promise<GuestExpiry> {
    const kept = await deps.store.get(CLOCK_KEY)
    const runningMs = kept === null ? 0 : fromDocument(milliseconds, CLOCK_KEY, kept.value).ms
    const usedAt = new Map<WorkspaceId, number>()
    for await (const { key, value } of deps.store.list(USED_PREFIX)) {
      usedAt.set(key.slice(USED_PREFIX.length) as WorkspaceId, fromDocument(milliseconds, key, value).ms)
    }
    return new GuestExpiry(deps, ttlMs, { runningMs, usedAt })
  }

  /** Somebody asked for the workspace, or changed it. Fast: told of each request. */
  used(workspace: WorkspaceId): void {
    this.#usedSince.add(workspace)
  }

  /** When it is removed if nobody uses it and this coordinator runs on, as Unix time; null where it does not expire. */
  expiresAtMs(workspace: WorkspaceId): number | null {
    if (!this.#isGuests(workspace)) return null
    const usedAt = this.#usedSince.has(workspace) ? this.#runningMs : (this.#usedAt.get(workspace) ?? this.#runningMs)
    return this.#deps.clock.wall() + Math.max(0, usedAt + this.#keptMs - this.#runningMs)
  }

  get #keptMs(): number {
    return this.#ttlMs + this.#coarseMs
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  async close(): Promise<void> {
    this.#stopped.abort()
    await this.#loop
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps
    const { signal } = this.#stopped
    while (!signal.aborted) {
      await sleep(clock, this.#lookMs, signal).catch(() => undefined)
      if (signal.aborted) return
      await this.#look().catch((error: unknown) =>
        log.error({ error: messageOf(error) }, "guests' workspaces were not looked at; it is tried again")
      )
    }
  }

  async #look(): Promise<void> {
    const now = this.#deps.clock.now()
    this.#runningMs += Math.min(now - this.#lookedAt, 2 * this.#lookMs)
    this.#lookedAt = now
    const changes: ControlChange[] = [putOwn(CLOCK_KEY, { ms: this.#runningMs })]
    const over = this.#noteUses(changes)
    for (const part of batches(changes, CHANGES_AT_ONCE)) await this.#deps.store.transact(part)
    if (!this.#deps.isHeld()) await forEachParallel(over, REMOVED_AT_ONCE, (workspace) => this.#remove(workspace))
  }

  /** Adds what is to be remembered from now on. Returns what nobody has used for too long. */
  #noteUses(changes: ControlChange[]): WorkspaceId[] {
    const { table } = this.#deps
    const over: WorkspaceId[] = []
    const gone = new Set(this.#usedAt.keys())
    for (const { signed } of table.all()) {
      const { workspace, owner } = signed.value
      if (!isGuest(owner)) continue
      gone.delete(workspace)
      const before = this.#usedAt.get(workspace)
      const isUsed = before === undefined || this.#isUsed(workspace)
      const ageMs = this.#runningMs - (before ?? Number.NEGATIVE_INFINITY)
      if (isUsed && ageMs >= this.#coarseMs) {
        this.#usedAt.set(workspace, this.#runningMs)
        changes.push(putOwn(USED_PREFIX + workspace, { ms: this.#runningMs }))
      } else if (!isUsed && ageMs >= this.#keptMs && over.length < REMOVED_MAX) over.push(workspace)
    }
    this.#usedSince.clear()
    for (const workspace of gone) {
      this.#usedAt.delete(workspace)
      changes.push(removeOwn(USED_PREFIX + workspace))
    }
    return over
  }

  /** Since the last look, or now. */
  #isUsed(workspace: WorkspaceId): boolean {
    return this.#usedSince.has(workspace) || this.#deps.isInUse(workspace)
  }

  #isGuests(workspace: WorkspaceId): boolean {
    const owner = this.#deps.table.get(workspace)?.signed.value.owner
    return owner !== undefined && isGuest(owner)
  }

  async #remove(workspace: WorkspaceId): Promise<void> {
    const { removals, log } = this.#deps
    if (this.#stopped.signal.aborted || this.#isUsed(workspace) || !this.#isGuests(workspace)) return
    try {
      await removals.remove(workspace, 'coordinator', 'nobody has asked for it for too long', () => {
        if (this.#isUsed(workspace)) throw new NodeDaemonError('CONFLICT', 'somebody uses it again')
        if (!this.#isGuests(workspace)) throw new NodeDaemonError('CONFLICT', 'it is kept under a name by now')
      })
      log.info({ workspace }, "a guest's workspace has expired")
    } catch (error) {
      log.warn({ workspace, error: messageOf(error) }, "a guest's workspace was not removed, and is tried again")
    }
  }
}
