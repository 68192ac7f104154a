import type { Block } from '../core/blocks.ts'
import { aborted, type Clock, type Instant, sleep } from '../core/clock.ts'
import { seal } from '../core/envelope.ts'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { headRecord, type SignedHead } from '../core/records.ts'
import type { Snapshot, Worktree } from '../worktree/worktree.ts'
import { BlockSender } from './block-sender.ts'
import { reachMeasuring } from './reach.ts'
import type { RemoteRepository } from './repository-client.ts'
import { HookRounds, type HookRoundsDeps } from './snapshot-hooks.ts'
import { answer, type Waiter } from './waiters.ts'

/** How long watched changes may gather before a snapshot, when nobody waits for it. */
const GATHER_MS = 150
const RETRY_MS = 500

export interface HomeSyncDeps {
  readonly worktree: Worktree
  /** The repository as soon as it is within reach. Rejects only by the signal. */
  readonly remote: (signal: AbortSignal) => Promise<RemoteRepository>
  readonly identity: Identity
  readonly clock: Clock
  readonly log: Logger
  /** A head was accepted: remembered durably before anything that depends on it. */
  readonly onPublished: (head: SignedHead) => Promise<void>
  /** The repository refuses this home's heads for good: another one took over. */
  readonly onFenced: (error: NodeDaemonError) => void
  /** What runs around each snapshot; null: nothing does. */
  readonly hooks: Pick<HookRoundsDeps, 'hooks' | 'intervalMs' | 'caughtUp'> | null
}

/** What has not been proven durable elsewhere: the loss window. */
export interface Unsynced {
  readonly bytes: number
  readonly ageMs: number
}

/** What a snapshot takes with it: put back where it fails. */
interface Taken {
  dirty: ReadonlySet<string> | 'all'
  since: Instant | null
  waiters: Waiter[]
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
      this.#wake()
    })
  }

  /** Nothing is being published, and nothing waits for it. */
  get isAtRest(): boolean {
    return this.#isClean && this.#waiters.length === 0 && this.#inFlightSince === null
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
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#fenced ?? stopping())
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
      if (this.#dueSince === null && this.#waiters.length === 0) await this.#woken()
      if (signal.aborted) return
      if (this.#waiters.length === 0) await this.#gather()
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
      if (this.#waiters.length > 0 || this.#stopped.signal.aborted) urgent.abort()
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
      await this.#failed(error)
    }
  }

  async #failed(error: unknown): Promise<void> {
    const { clock, log, onFenced } = this.#deps
    if (this.#stopped.signal.aborted) return
    const { postponed } = this
    if (postponed !== null && error === postponed) {
      for (const waiter of this.#waiters.splice(0)) waiter.reject(postponed)
      log.warn({ workspace: this.#workspace, error: messageOf(error) }, 'the snapshot is postponed')
      return
    }
    if (hasCode(error, 'CONFLICT') && (await this.#adoptOwnTip())) return
    if (hasCode(error, 'SEALED', 'STALE_EPOCH', 'NOT_HOME', 'CONFLICT', 'FORBIDDEN')) {
      this.#fenced = new NodeDaemonError('NOT_HOME', `workspace ${this.#workspace} has moved: ${messageOf(error)}`)
      for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#fenced)
      onFenced(this.#fenced)
      return
    }
    if (hasCode(error, 'NO_SPACE')) for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
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
    const { remote, identity, onPublished, log } = this.#deps
    try {
      const tip = await (await remote(this.#stopped.signal)).tip(this.#workspace)
      const known = tip === null || this.#tip?.cid.equals(tip.cid) === true
      if (known || tip.signer !== identity.peerId || tip.value.epoch !== this.#epoch) return false
      this.#tip = tip
      this.#attempt = null
      this.changed('all')
      await onPublished(tip)
      return true
    } catch (error) {
      log.warn({ workspace: this.#workspace, error: messageOf(error) }, 'the newest head could not be asked for')
      return false
    }
  }

  async #publish(): Promise<void> {
    const { signal } = this.#stopped
    const { remote, clock, log } = this.#deps
    await this.#reach(signal)
    // The answer to the last attempt may have been lost while the head was accepted.
    if (this.#attempt !== null) await this.#settle(this.#attempt, () => undefined)
    const taken: Taken = { dirty: new Set(), since: null, waiters: [] }
    const isWaitedFor = (): boolean => taken.waiters.length + this.#waiters.length > 0
    const sender = new BlockSender({ remote, workspace: this.#workspace, isWaitedFor, clock, log, signal })
    try {
      const snapshot = await this.#read(sender, taken)
      if (this.#isTip(snapshot)) {
        answer(taken.waiters, snapshot.unsettled)
        this.#waitingBytes = 0
        return await snapshot.commit()
      }
      const inline = await sender.finish()
      this.#attempt = { head: await this.#sealHead(snapshot), snapshot, inline }
      await this.#settle(this.#attempt, () => answer(taken.waiters, snapshot.unsettled))
      this.#waitingBytes = 0
    } catch (error) {
      this.#waitingBytes = Math.max(this.#waitingBytes, this.#inFlightBytes)
      this.#putBack(taken)
      throw error
    } finally {
      this.#inFlightBytes = 0
      await sender.close()
    }
  }

  #isTip(snapshot: Snapshot): boolean {
    return this.#tip?.value.root.equals(snapshot.root) === true
  }

  /** The snapshot of what is dirty once `before` is done, for those who waited when it began. */
  async #read(sender: BlockSender, taken: Taken): Promise<Snapshot> {
    const { signal } = this.#stopped
    const rounds = this.#rounds
    const waiting = this.#waiters.length
    const read = (): Promise<Snapshot> => {
      taken.dirty = this.#dirty
      taken.since = this.#dirtySince
      taken.waiters = this.#waiters.splice(0, rounds === null ? this.#waiters.length : waiting)
      this.#dirty = new Set()
      this.#dirtySince = null
      const what = taken.dirty === 'all' ? 'all' : { paths: taken.dirty }
      const sink = (block: Block): Promise<void> | undefined => {
        this.#inFlightBytes += block.bytes.length
        return sender.offer(block)
      }
      return this.#deps.worktree.snapshot(what, sink, { signal, forget: this.#forget })
    }
    return rounds === null ? read() : rounds.around(signal, read, (snapshot) => this.#isTip(snapshot))
  }

  #putBack({ dirty, since, waiters }: Taken): void {
    this.#waiters = [...waiters, ...this.#waiters]
    if (isNothing(dirty)) return
    this.#markDirty(dirty)
    this.#dirtySince = since
    this.#rounds?.touched(since)
  }

  /** Waits until the repository is within reach. As long as it is away, how much waits for it is measured. */
  async #reach(signal: AbortSignal): Promise<void> {
    await reachMeasuring(this.#deps, signal, {
      count: () => (this.#dirty === 'all' ? Number.POSITIVE_INFINITY : this.#dirty.size),
      measure: (away) => this.#measure(this.#dirty === 'all' ? 'all' : { paths: this.#dirty }, away)
    })
  }

  async #measure(what: Parameters<Worktree['snapshot']>[0], signal: AbortSignal): Promise<void> {
    let bytes = 0
    const count = (block: Block): void => {
      bytes += block.bytes.length
    }
    await this.#deps.worktree.snapshot(what, count, { signal })
    this.#waitingBytes = bytes
  }

  async #settle(attempt: Attempt, onDurable: () => void): Promise<void> {
    const remote = await this.#deps.remote(this.#stopped.signal)
    await remote.publish(attempt.head, attempt.inline).catch(unknownThere)
    this.#tip = attempt.head
    this.#attempt = null
    this.#forget = false
    onDurable()
    await this.#deps.onPublished(attempt.head)
    await attempt.snapshot.commit()
  }

  async #sealHead(snapshot: Snapshot): Promise<SignedHead> {
    const { clock, identity } = this.#deps
    if (this.#stopped.signal.aborted) throw aborted(this.#stopped.signal)
    return seal(
      headRecord,
      {
        workspace: this.#workspace,
        epoch: this.#epoch,
        sequence: (this.#tip?.value.sequence ?? 0) + 1,
        root: snapshot.root,
        previous: this.#tip?.cid ?? null,
        createdAtMs: clock.wall(),
        files: snapshot.files,
        bytes: snapshot.bytes,
        unsettled: snapshot.unsettled
      },
      identity
    )
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
