import type { Block } from '../core/blocks.ts'
import { aborted, type Instant, sleep } from '../core/clock.ts'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { SignedHead } from '../core/records.ts'
import type { Snapshot } from '../worktree/worktree.ts'
import { BlockSender } from './block-sender.ts'
import type { HomeSyncDeps, Unsynced } from './home-deps.ts'
import { GivenUp, Look } from './look.ts'
import { type HomeTip, ownNewerTip, sealNextHead } from './next-head.ts'
import { reachMeasuring } from './reach.ts'
import { HookRounds } from './snapshot-hooks.ts'
import { answer, SOMEBODY_WAITS, type Waiter } from './waiters.ts'

/** How long watched changes may gather before a snapshot, when nobody waits for it. */
const GATHER_MS = 150
const RETRY_MS = 500

/** What a snapshot takes with it: put back where it fails. */
interface Taken {
  dirty: ReadonlySet<string> | 'all'
  since: Instant | null
  waiters: Waiter[]
  /** Everything is looked at also for this one. */
  look: Look | null
}

interface Attempt {
  readonly head: SignedHead
  readonly snapshot: Snapshot
  readonly inline: readonly Block[]
}

/**
 * Publishes what changes in a workspace of which this instance is the home. One head is in flight; what changes
 * meanwhile joins the next one.
 */
export class HomeSync {
  readonly #deps: HomeSyncDeps
  readonly #workspace: WorkspaceId
  readonly #epoch: number
  readonly #stopped = new AbortController()
  readonly #rounds: HookRounds | null
  #tip: SignedHead | null
  #dirty: Set<string> | 'all' = new Set()
  #dirtySince: Instant | null = null
  #waiters: Waiter[] = []
  #look: Look | null = null
  #attempt: Attempt | null = null
  #forget = false
  #inFlightBytes = 0
  /** What was found to wait, while the repository is away or does not take it. */
  #waitingBytes = 0
  #inFlightSince: Instant | null = null
  #wake: () => void = () => undefined
  #fenced: NodeDaemonError | null = null
  #loop: Promise<void> | null = null

  /** `tip`: the newest head that the repository has; the base, at the start of an epoch. */
  constructor(
    deps: HomeSyncDeps,
    options: { readonly workspace: WorkspaceId; readonly epoch: number; readonly tip: SignedHead | null }
  ) {
    this.#deps = deps
    this.#workspace = options.workspace
    this.#epoch = options.epoch
    this.#tip = options.tip
    const { hooks, clock, log } = deps
    const child = log.child({ workspace: options.workspace })
    this.#rounds = hooks === null ? null : new HookRounds({ ...hooks, clock, log: child })
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  get tip(): SignedHead | null {
    return this.#tip
  }

  get #place(): HomeTip {
    return { workspace: this.#workspace, epoch: this.#epoch, tip: this.#tip }
  }

  /** Why the next snapshot is postponed: a `before-snapshot` failed. */
  get postponed(): NodeDaemonError | null {
    return this.#rounds?.failure ?? null
  }

  /** Notes what was touched; it is published soon. */
  changed(paths: ReadonlySet<string> | readonly string[] | 'all'): void {
    if (isNothing(paths)) return
    this.#markDirty(paths)
    this.#rounds?.touched()
    this.#dirtySince ??= this.#deps.clock.now()
    this.#wake()
  }

  #markDirty(paths: ReadonlySet<string> | readonly string[] | 'all'): void {
    if (paths === 'all') this.#dirty = 'all'
    else if (this.#dirty !== 'all') for (const path of paths) this.#dirty.add(path)
  }

  /**
   * Resolves once a head that contains these paths as they are now is durable in the main repository.
   *
   * @throws NodeDaemonError `NOT_HOME` another instance took over; `CLOSED` this one stops; `BUSY` what stands there could
   *   not be read as it is: it kept changing, or may not be read; also, with hooks, what the last `before` failed with: the
   *   change is published once it succeeds
   */
  async published(paths: readonly string[] | 'all' = []): Promise<void> {
    this.#refuseWhenOver()
    this.changed(paths)
    if (this.postponed !== null) throw this.postponed
    if (this.#isClean && this.#attempt === null && this.#inFlightSince === null) return
    await this.#nextHead(paths === 'all' ? [] : paths)
  }

  /**
   * Resolves once all that was changed before the call is durable in the main repository. With hooks, it is in a snapshot
   * for which `before` was begun after the call, also where nothing has changed.
   *
   * @throws NodeDaemonError as `published`
   */
  async flush(): Promise<void> {
    if (this.#rounds === null) return this.published()
    this.#refuseWhenOver()
    await this.#nextHead([])
  }

  #refuseWhenOver(): void {
    if (this.#fenced !== null) throw this.#fenced
    if (this.#stopped.signal.aborted) throw stopping()
  }

  #nextHead(paths: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ paths, resolve, reject })
      this.#look?.giveWay()
      this.#wake()
    })
  }

  /**
   * Looks at all files, of which nothing says that they changed, and publishes what it finds. It is given up as soon as
   * somebody waits for a head, and begun anew after that one.
   *
   * @throws NodeDaemonError as `published`; `BUSY` it was given up five times
   */
  async lookAgain(): Promise<void> {
    this.#refuseWhenOver()
    if (this.postponed !== null) throw this.postponed
    const look = this.#look ?? new Look()
    this.#look = look
    this.#wake()
    await look.ended
  }

  /** Nothing is being published, and nothing waits for it. */
  get isAtRest(): boolean {
    return this.#isClean && this.#waiters.length === 0 && this.#inFlightSince === null && this.#look === null
  }

  unsynced(): Unsynced {
    const since = this.#inFlightSince ?? this.#dueSince
    return {
      bytes: Math.max(this.#inFlightBytes, this.#waitingBytes),
      ageMs: since === null ? 0 : Math.max(0, Math.round(this.#deps.clock.now() - since))
    }
  }

  /** Stops after what is under way; what is not published stays on disk. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#wake()
    await this.#loop
    this.#refuse(this.#fenced ?? stopping())
  }

  /** Tells all who wait. */
  #refuse(error: NodeDaemonError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
    this.#look?.fail(error)
    this.#look = null
  }

  get #isClean(): boolean {
    return this.#dirty !== 'all' && this.#dirty.size === 0
  }

  /** Since when something is in no head. */
  get #dueSince(): Instant | null {
    return this.#rounds === null ? this.#dirtySince : this.#rounds.dueSince
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted && this.#fenced === null) {
      if (this.#dueSince === null && this.#waiters.length === 0 && this.#look === null) await this.#woken()
      if (signal.aborted) return
      if (this.#waiters.length === 0 && this.#look?.wasGivenUp !== false) await this.#gather()
      if (signal.aborted) return
      await this.#cycle()
    }
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
      if (this.#stopped.signal.aborted) resolve()
    })
  }

  /** Waits for more changes, but not while somebody waits for them to be durable. */
  async #gather(): Promise<void> {
    const urgent = new AbortController()
    this.#wake = () => {
      if (this.#waiters.length > 0 || this.#stopped.signal.aborted) urgent.abort(SOMEBODY_WAITS)
    }
    const pauseMs = Math.max(GATHER_MS, this.#rounds?.pauseMs() ?? 0)
    await sleep(this.#deps.clock, pauseMs, urgent.signal).catch(() => undefined)
    this.#wake = () => undefined
  }

  /** One snapshot and its head. */
  async #cycle(): Promise<void> {
    this.#inFlightSince = this.#dueSince ?? this.#deps.clock.now()
    try {
      await this.#publish()
      this.#inFlightSince = null
    } catch (error) {
      this.#inFlightSince = null
      if (!(error instanceof GivenUp)) await this.#failed(error)
    }
  }

  async #failed(error: unknown): Promise<void> {
    const { clock, log, onFenced } = this.#deps
    if (this.#stopped.signal.aborted) return
    const { postponed } = this
    if (postponed !== null && error === postponed) {
      this.#refuse(postponed)
      log.warn({ workspace: this.#workspace, error: messageOf(error) }, 'the snapshot is postponed')
      return
    }
    if (hasCode(error, 'CONFLICT') && (await this.#adoptOwnTip())) return
    if (hasCode(error, 'SEALED', 'STALE_EPOCH', 'NOT_HOME', 'CONFLICT', 'FORBIDDEN')) {
      this.#fenced = new NodeDaemonError('NOT_HOME', `workspace ${this.#workspace} has moved: ${messageOf(error)}`)
      this.#refuse(this.#fenced)
      onFenced(this.#fenced)
      return
    }
    if (hasCode(error, 'NO_SPACE')) this.#refuse(error)
    if (hasCode(error, 'INCOMPLETE')) {
      this.#forget = true
      this.#attempt = null
      this.changed('all')
    }
    log.warn({ workspace: this.#workspace, error: messageOf(error) }, 'not published yet, trying again')
    await sleep(clock, RETRY_MS, this.#stopped.signal).catch(() => undefined)
  }

  /**
   * The repository may have taken a head of this home whose receipt was lost, and that was given up since. Then that one
   * is the tip, and everything is looked at again.
   */
  async #adoptOwnTip(): Promise<boolean> {
    const { onPublished, log } = this.#deps
    try {
      const tip = await ownNewerTip(this.#deps, this.#place, this.#stopped.signal)
      if (tip === null) return false
      this.#tip = tip
      this.#attempt = null
      this.changed('all')
      await onPublished(tip, null)
      return true
    } catch (error) {
      log.warn({ workspace: this.#workspace, error: messageOf(error) }, 'the newest head could not be asked for')
      return false
    }
  }

  async #publish(): Promise<void> {
    const { signal } = this.#stopped
    const { remote, clock, log } = this.#deps
    await reachMeasuring(this.#deps, signal, {
      count: () => (this.#dirty === 'all' ? Number.POSITIVE_INFINITY : this.#dirty.size),
      measure: (away) => this.#measure(away)
    })
    // The answer to the last attempt may have been lost while the head was accepted.
    if (this.#attempt !== null) await this.#settle(this.#attempt, () => undefined)
    const taken: Taken = { dirty: new Set(), since: null, waiters: [], look: null }
    const isWaitedFor = (): boolean => this.#isWaitedFor(taken)
    const sender = new BlockSender({ remote, workspace: this.#workspace, isWaitedFor, clock, log, signal })
    try {
      const snapshot = await this.#read(sender, taken)
      if (this.#isTip(snapshot)) {
        this.#answer(taken, snapshot)
        this.#waitingBytes = 0
        return await snapshot.commit()
      }
      const inline = await sender.finish()
      if (signal.aborted) throw aborted(signal)
      this.#attempt = { head: await sealNextHead(this.#deps, this.#place, snapshot), snapshot, inline }
      await this.#settle(this.#attempt, () => this.#answer(taken, snapshot))
      this.#waitingBytes = 0
    } catch (error) {
      this.#waitingBytes = Math.max(this.#waitingBytes, this.#inFlightBytes)
      this.#putBack(taken, error)
      throw error
    } finally {
      this.#inFlightBytes = 0
      await sender.close()
    }
  }

  #isWaitedFor({ waiters }: Taken): boolean {
    return waiters.length + this.#waiters.length > 0
  }

  #isTip(snapshot: Snapshot): boolean {
    return this.#tip?.value.root.equals(snapshot.root) === true
  }

  /** The snapshot of what is dirty once `before` is done, for those who waited when it began. */
  async #read(sender: BlockSender, taken: Taken): Promise<Snapshot> {
    const { signal } = this.#stopped
    const rounds = this.#rounds
    const waiting = this.#waiters.length
    const isWaitedFor = (): boolean => this.#isWaitedFor(taken)
    const read = (): Promise<Snapshot> => {
      const look = this.#dirty === 'all' || !isWaitedFor() ? this.#look : null
      taken.dirty = this.#dirty
      taken.since = this.#dirtySince
      taken.look = look
      taken.waiters = this.#waiters.splice(0, rounds === null ? this.#waiters.length : waiting)
      this.#dirty = new Set()
      this.#dirtySince = null
      const what = look !== null || taken.dirty === 'all' ? 'all' : { paths: taken.dirty }
      const sink = (block: Block): Promise<void> | undefined => {
        this.#inFlightBytes += block.bytes.length
        return sender.offer(block)
      }
      const snapshot = (signal: AbortSignal): Promise<Snapshot> =>
        this.#deps.worktree.snapshot(what, sink, { signal, isWaitedFor, forget: this.#forget })
      return look === null || taken.dirty === 'all' ? snapshot(signal) : look.read(signal, snapshot)
    }
    return rounds === null ? read() : rounds.around(signal, read, (snapshot) => this.#isTip(snapshot))
  }

  #putBack({ dirty, since, waiters, look }: Taken, error: unknown): void {
    this.#waiters = [...waiters, ...this.#waiters]
    if (error instanceof GivenUp && look?.goesOn() === false) this.#look = null
    const left = look === null || error instanceof GivenUp ? dirty : 'all'
    if (isNothing(left)) return
    this.#markDirty(left)
    this.#dirtySince = since ?? this.#deps.clock.now()
    this.#rounds?.touched(since)
  }

  #answer({ waiters, look }: Taken, { unsettled }: Snapshot): void {
    answer(waiters, unsettled)
    look?.done()
    if (this.#look === look) this.#look = null
  }

  /** How much waits for a repository that is away. */
  async #measure(signal: AbortSignal): Promise<void> {
    let bytes = 0
    const count = (block: Block): void => {
      bytes += block.bytes.length
    }
    const what = this.#dirty === 'all' ? 'all' : { paths: this.#dirty }
    await this.#deps.worktree.snapshot(what, count, { signal })
    this.#waitingBytes = bytes
  }

  async #settle(attempt: Attempt, onDurable: () => void): Promise<void> {
    const remote = await this.#deps.remote(this.#stopped.signal)
    const receipt = await remote.publish(attempt.head, attempt.inline).catch(unknownThere)
    this.#tip = attempt.head
    this.#attempt = null
    this.#forget = false
    onDurable()
    await this.#deps.onPublished(attempt.head, receipt)
    await attempt.snapshot.commit()
  }
}

function isNothing(paths: ReadonlySet<string> | readonly string[] | 'all'): boolean {
  if (paths === 'all') return false
  return 'size' in paths ? paths.size === 0 : paths.length === 0
}

/** The repository knows no such workspace. What is not found on this disk is another matter: it may come back. */
function unknownThere(error: unknown): never {
  throw hasCode(error, 'NOT_FOUND') ? new NodeDaemonError('NOT_HOME', error.message, { cause: error }) : error
}

const stopping = (): NodeDaemonError => new NodeDaemonError('CLOSED', 'this instance is stopping')
