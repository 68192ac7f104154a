import { sleep, withTimeout } from '../core/clock.ts'
import type { SignedHead, SignedOwnership } from '../core/records.ts'
import { Rounds } from '../core/rounds.ts'
import { HomeSync } from '../sync/home.ts'
import type { HomeSyncDeps } from '../sync/home-deps.ts'
import type { AcknowledgeLevel } from '../wire/control.ts'
import { makeDurable } from '../worktree/durable.ts'
import type { FolderWatch } from '../worktree/watch.ts'
import { Growth } from './growth.ts'
import type { HomeApp, Premises, ResidentDeps } from './resident-deps.ts'

/** How long a freeze waits for requests in flight. */
const IN_FLIGHT_MS = 5000
const IN_FLIGHT_POLL_MS = 10
/** How long a freeze waits for the last snapshot where hooks run around it: users wait meanwhile, and the coordinator only so long. */
const LAST_ROUND_MS = 9000

/** More touched paths than this stand as the whole folder. */
const TOUCHED_MAX = 1000
const WHOLE_FOLDER = ''

export interface ServingHomeOptions {
  readonly ownership: SignedOwnership
  /** The newest head that the repository has. */
  readonly tip: SignedHead | null
  readonly frozen: boolean
  /** A head was accepted: remembered durably on return. */
  readonly onPublished: HomeSyncDeps['onPublished']
}

interface Parts {
  readonly premises: Premises
  readonly sync: HomeSync
  readonly watch: FolderWatch
  readonly hasHooks: boolean
  readonly app: HomeApp | null
  readonly level: () => AcknowledgeLevel
}

/** What runs for a workspace in an epoch that this instance serves it in. */
export class ServingHome {
  readonly premises: Premises
  readonly sync: HomeSync
  readonly growth: Growth
  readonly #watch: FolderWatch
  readonly #hasHooks: boolean
  readonly #app: HomeApp | null
  readonly #clock: ResidentDeps['clock']
  readonly #level: () => AcknowledgeLevel
  readonly #settling = new Rounds(() => this.#settle())
  /** What the watcher has seen since it was last known to be safe. */
  #touched = new Set([WHOLE_FOLDER])
  #inFlight = 0
  /** It takes no requests for now. */
  frozen: boolean
  /** It takes no requests any more. */
  fenced = false

  private constructor(
    { premises, sync, watch, hasHooks, app, level }: Parts,
    clock: ResidentDeps['clock'],
    frozen: boolean
  ) {
    this.premises = premises
    this.sync = sync
    this.growth = new Growth(sync)
    this.#watch = watch
    this.#hasHooks = hasHooks
    this.#app = app
    this.#level = level
    this.#clock = clock
    this.frozen = frozen
  }

  /** Publishes from now on what changes, and first what was changed while nobody watched. */
  static async open(deps: ResidentDeps, options: ServingHomeOptions): Promise<ServingHome> {
    const { clock, log } = deps
    const { tip, frozen, onPublished } = options
    const { workspace, service, epoch } = options.ownership.value
    const premises = await deps.premises(workspace)
    const place = { workspace, service, epoch, folder: premises.folder }
    const hooks = deps.hooksFor(place)
    let home: ServingHome | null = null
    const caughtUp = async (): Promise<void> => {
      if (home !== null) await home.#catchUp()
    }
    const sync = new HomeSync(
      {
        ...deps,
        worktree: premises.worktree,
        onPublished,
        onFenced: (error) => {
          log.warn({ workspace, error: error.message }, 'another home took over')
          home?.fence()
        },
        hooks: hooks === null ? null : { ...hooks, caughtUp }
      },
      { workspace, epoch, tip }
    )
    // Files may change while the watching begins; all are looked at below.
    const watch = await premises.watch(() => {
      if (home !== null) home.#takeTouched()
    })
    const level = (): AcknowledgeLevel => deps.acknowledge(service)
    const app = deps.apps?.of(place) ?? null
    if (frozen) app?.hold()
    home = new ServingHome({ premises, sync, watch, level, app, hasHooks: hooks !== null }, clock, frozen)
    sync.start()
    sync.changed('all')
    return home
  }

  get takesRequests(): boolean {
    return !this.frozen && !this.fenced
  }

  /** The connection was made anew. While its lease was over another one may have become the home: `assume` tells. */
  reconnected(leaseValid: boolean): void {
    if (!leaseValid) this.frozen = true
  }

  /** It takes no requests any more: another one is the home. */
  fence(): void {
    this.fenced = true
    void this.#app?.close()
  }

  /** Counts a request as in flight until the returned function is called, once. */
  enter(): () => void {
    this.#inFlight++
    return () => {
      this.#inFlight--
    }
  }

  /** Everything that was changed before the call is durable in the repository on return. */
  async flush(): Promise<void> {
    await this.#catchUp()
    await this.sync.flush()
  }

  /** The same as this process ends: what changes files is ended before. */
  async lastFlush(): Promise<void> {
    if (this.#app !== null) {
      this.#app.hold()
      // It has logged why it would not: what it has written by then is published all the same.
      await this.#app.freeze(new AbortController().signal).catch(() => undefined)
      await this.#app.close()
    }
    await this.flush()
  }

  /** Makes the paths durable on this disk; they are published in the background. */
  keepLocally(paths: readonly string[]): Promise<void> {
    this.sync.changed(paths)
    return makeDurable(this.premises.files, this.premises.folder, paths)
  }

  /**
   * Everything that was changed before the call, by whatever program, is acknowledged at the service's level on return:
   * durable in the main repository, or on this disk.
   */
  settled(): Promise<void> {
    return this.#settling.run()
  }

  async #settle(): Promise<void> {
    await this.#catchUp()
    const paths = this.#touched
    this.#touched = new Set()
    try {
      if (this.#level() === 'local') await makeDurable(this.premises.files, this.premises.folder, [...paths])
      else await this.sync.published([...paths])
    } catch (error) {
      this.#touch(paths)
      throw error
    }
  }

  async #catchUp(): Promise<void> {
    await this.#watch.barrier()
    this.#takeTouched()
  }

  #takeTouched(): void {
    const paths = this.#watch.take()
    this.#touch(paths === 'all' ? [WHOLE_FOLDER] : paths)
    this.sync.changed(paths)
  }

  #touch(paths: Iterable<string>): void {
    for (const path of paths) this.#touched.add(path)
    if (this.#touched.size > TOUCHED_MAX || this.#touched.has(WHOLE_FOLDER)) this.#touched = new Set([WHOLE_FOLDER])
  }

  /** Takes no more requests, ends those in flight and publishes the last snapshot. Takes them again where that fails. */
  async freeze(): Promise<void> {
    this.frozen = true
    this.#app?.hold()
    try {
      await withTimeout(this.#clock, IN_FLIGHT_MS, 'ending the requests in flight', async (signal) => {
        while (this.#inFlight > 0) await sleep(this.#clock, IN_FLIGHT_POLL_MS, signal)
      })
      await (this.#hasHooks || this.#app !== null ? this.#lastRound() : this.flush())
    } catch (error) {
      this.thaw()
      throw error
    }
  }

  async #lastRound(): Promise<void> {
    const what = 'freeze, before-snapshot and publishing the last snapshot'
    await withTimeout(this.#clock, LAST_ROUND_MS, what, async (signal) => {
      await this.#app?.freeze(signal)
      await this.flush()
    })
  }

  /** Takes requests again after a freeze. */
  thaw(): void {
    this.frozen = false
    this.#app?.thaw()
  }

  /** Begins to stop. Only `close` may follow. */
  end(): void {
    void this.#app?.close()
    void this.sync.stop()
  }

  /** Stops after what is under way. What is not published stays on disk. */
  async close(): Promise<void> {
    // At the same time: requests that wait to be acknowledged keep the app until the publishing ends.
    const ended = this.#app?.close()
    this.#watch.close()
    await this.sync.stop()
    await ended
  }
}
