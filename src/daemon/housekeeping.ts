import { z } from 'zod'
import { type Clock, type Instant, sleep } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { Mutex } from '../core/mutex.ts'
import { jitter, type Random } from '../core/random.ts'
import type { ControlStore } from '../store/control-store.ts'
import type { GcReport, MainRepository, RetentionPolicy, VerifyReport } from '../store/repository.ts'
import type { Repair } from '../sync/repair.ts'

const LOOK_EVERY_MS = 60_000
const HOUR_MS = 60 * 60_000
const DAY_MS = 24 * HOUR_MS
const HOURS_A_DAY = 24
/** What nobody had is asked for again after this time. */
const REPAIR_AGAIN_MS = 10 * 60_000
/** A disk with less than this free is worth a collection before a day is over, but not more often than so. */
const LOW_BYTES = 2 * 1024 ** 3
const LOW_GC_EVERY_MS = 6 * HOUR_MS
/** So much of uploads is worth a collection, once the repository may give back what no head names of it. */
const UPLOADED_BYTES = 1024 ** 3
/** By then even what was pinned late in an hour is pinned no more. */
const UPLOADED_GC_AFTER_MS = 2 * HOUR_MS
const KEY = 'housekeeping'
const rememberedSchema = z.object({ gcAtMs: z.number().nullable(), verifyAtMs: z.number().nullable() })

export interface HousekeepingDeps {
  readonly repository: Pick<MainRepository, 'gc' | 'verify' | 'stats'>
  readonly repair: (signal: AbortSignal) => Promise<Repair>
  /** What the repository's disk has free, in bytes. */
  readonly freeBytes: () => Promise<number>
  /** How much of uploads was kept since the start before a head named it, in bytes. */
  readonly uploadedBytes: () => number
  readonly store: Pick<ControlStore, 'get' | 'put'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export interface HousekeepingOptions {
  readonly retention: RetentionPolicy
  /** Everything is read again once in so many days; 0: never by itself. */
  readonly scrubDays: number
}

/** `repaired` counts records and blocks alike. */
export interface Verified extends VerifyReport, Repair {}

/**
 * Keeps the main repository in order by itself: once a day, and after much was uploaded, history is thinned and what
 * nobody needs is given back, every hour a share of all blocks is read
 * again, and what was found damaged, by whomever, is fetched from the instances that have it.
 */
export class Housekeeping {
  readonly #deps: HousekeepingDeps
  readonly #options: HousekeepingOptions
  readonly #stopped = new AbortController()
  readonly #repairs = new Mutex()
  #remembered: z.infer<typeof rememberedSchema>
  #loop: Promise<void> | null = null
  #scrubbedAt: number
  #lowGcAt = Number.NEGATIVE_INFINITY
  /** What was uploaded before a collection that was done or is due, and when that is; null while none is. */
  #uploadedThen = 0
  #uploadedGcAt: Instant | null = null
  #repairedAt = Number.NEGATIVE_INFINITY
  /** How much was damaged after the last repair. */
  #damagedThen = 0

  private constructor(
    deps: HousekeepingDeps,
    options: HousekeepingOptions,
    remembered: z.infer<typeof rememberedSchema>
  ) {
    this.#deps = deps
    this.#options = options
    this.#remembered = remembered
    this.#scrubbedAt = deps.clock.now()
  }

  static async open(deps: HousekeepingDeps, options: HousekeepingOptions): Promise<Housekeeping> {
    const stored = await deps.store.get(KEY)
    const never = { gcAtMs: null, verifyAtMs: null }
    const remembered =
      stored === null ? never : rememberedSchema.parse(JSON.parse(Buffer.from(stored.value).toString()))
    return new Housekeeping(deps, options, remembered)
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  async close(): Promise<void> {
    this.#stopped.abort()
    await this.#loop
  }

  /** When it was last done, in Unix milliseconds; null for never. */
  get lastDone(): { readonly gcAtMs: number | null; readonly verifyAtMs: number | null } {
    return this.#remembered
  }

  /** See `MainRepository.gc`; by the policy of this coordinator. */
  async gc(options: { readonly full: boolean }): Promise<GcReport> {
    const { repository, log, clock } = this.#deps
    const report = await repository.gc({ ...options, policy: this.#options.retention, signal: this.#stopped.signal })
    await this.#remember({ gcAtMs: clock.wall() })
    log.info(report, 'history was thinned')
    return report
  }

  /** Reads blocks again, all or a share, and repairs what is damaged. See `MainRepository.verify` and `repairDamage`. */
  async verify(options: Parameters<MainRepository['verify']>[0] = {}): Promise<Verified> {
    const { repository, log, clock } = this.#deps
    const { signal: stopped } = this.#stopped
    const signal = options.signal === undefined ? stopped : AbortSignal.any([stopped, options.signal])
    const report = await repository.verify({ ...options, signal })
    await this.#remember({ verifyAtMs: clock.wall() })
    if (report.damaged.length > 0) log.error({ damaged: report.damaged }, 'blocks of the repository are damaged')
    const { repaired, left } = await this.#repair(signal)
    return { ...report, repaired: report.repaired + repaired, left }
  }

  #repair(signal: AbortSignal): Promise<Repair> {
    return this.#repairs.run(async () => {
      const { repository, repair, clock, log } = this.#deps
      const done = await repair(signal)
      this.#repairedAt = clock.now()
      this.#damagedThen = (await repository.stats()).damaged
      if (done.repaired > 0) log.warn({ repaired: done.repaired }, 'damaged blocks of the repository were repaired')
      const left = done.left.map(({ cid, workspaces }) => ({ cid: cid.toString(), workspaces }))
      if (left.length > 0)
        log.error({ left }, 'blocks of the repository are damaged, and no connected instance has them')
      return done
    })
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.#deps
    const { signal } = this.#stopped
    while (!signal.aborted) {
      await sleep(clock, jitter(random, LOOK_EVERY_MS), signal).catch(() => undefined)
      for (const work of [this.#repairWhenDue, this.#scrubWhenDue, this.#gcWhenDue, this.#giveUpUploadsWhenDue]) {
        if (signal.aborted) return
        await work.call(this).catch((error: unknown) => {
          if (!signal.aborted)
            log.error({ error: messageOf(error) }, 'the repository was not seen to; it is tried again')
        })
      }
    }
  }

  async #repairWhenDue(): Promise<void> {
    const { repository, clock } = this.#deps
    const { damaged } = await repository.stats()
    const isKnown = damaged <= this.#damagedThen && clock.now() - this.#repairedAt < REPAIR_AGAIN_MS
    if (damaged === 0 || isKnown) return
    await this.#repair(this.#stopped.signal)
  }

  async #scrubWhenDue(): Promise<void> {
    const { repository, clock } = this.#deps
    const { scrubDays } = this.#options
    if (scrubDays === 0 || clock.now() - this.#scrubbedAt < HOUR_MS) return
    this.#scrubbedAt = clock.now()
    const { storedBytes } = await repository.stats()
    await this.verify({ maxBytes: Math.max(1, Math.ceil(storedBytes / (scrubDays * HOURS_A_DAY))) })
  }

  async #gcWhenDue(): Promise<void> {
    const { clock, freeBytes } = this.#deps
    const { gcAtMs } = this.#remembered
    const since = gcAtMs === null ? Number.POSITIVE_INFINITY : clock.wall() - gcAtMs
    // A clock that was set back must not put it off for years.
    if (since >= DAY_MS || since < 0) return void (await this.gc({ full: false }))
    if (clock.now() - this.#lowGcAt < LOW_GC_EVERY_MS || (await freeBytes()) >= LOW_BYTES) return
    this.#lowGcAt = clock.now()
    await this.gc({ full: true })
  }

  async #giveUpUploadsWhenDue(): Promise<void> {
    const { clock, uploadedBytes } = this.#deps
    const uploaded = uploadedBytes()
    if (this.#uploadedGcAt === null && uploaded - this.#uploadedThen >= UPLOADED_BYTES) {
      this.#uploadedThen = uploaded
      this.#uploadedGcAt = clock.now() + UPLOADED_GC_AFTER_MS
    }
    if (this.#uploadedGcAt === null || clock.now() < this.#uploadedGcAt) return
    await this.gc({ full: false })
    this.#uploadedGcAt = null
  }

  async #remember(done: Partial<z.infer<typeof rememberedSchema>>): Promise<void> {
    this.#remembered = { ...this.#remembered, ...done }
    await this.#deps.store.put(KEY, Buffer.from(JSON.stringify(this.#remembered)), { ifRevision: 'any' })
  }
}
