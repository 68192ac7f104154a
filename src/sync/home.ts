import type { Block } from '../core/blocks.ts'
import { aborted, type Clock, type Instant, sleep } from '../core/clock.ts'
import { seal } from '../core/envelope.ts'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { headRecord, type SignedHead } from '../core/records.ts'
import { MAX_UNSETTLED } from '../worktree/scan.ts'
import type { Snapshot, Worktree } from '../worktree/worktree.ts'
import { BlockSender } from './block-sender.ts'
import { reachMeasuring } from './reach.ts'
import type { RemoteRepository } from './repository-client.ts'

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
}

/** What has not been proven durable elsewhere: the loss window. */
export interface Unsynced {
  readonly bytes: number
  readonly ageMs: number
}

interface Waiter {
  readonly paths: readonly string[]
  readonly resolve: () => void
  readonly reject: (error: NodeDaemonError) => void
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
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  get tip(): SignedHead | null {
    return this.#tip
  }

  /** Notes what was touched; it is published soon. */
  changed(paths: ReadonlySet<string> | readonly string[] | 'all'): void {
    if (paths === 'all') this.#dirty = 'all'
    else if (this.#dirty !== 'all') for (const path of paths) this.#dirty.add(path)
    if (this.#isClean) return
    this.#dirtySince ??= this.#deps.clock.now()
    this.#wake()
  }

  /**
   * Resolves once a head that contains these paths as they are now is durable in the main repository.
   *
   * @throws NodeDaemonError `NOT_HOME` another instance took over; `CLOSED` this one stops; `BUSY` what stands there could
   *   not be read as it is: it kept changing, or may not be read
   */
  published(paths: readonly string[] | 'all' = []): Promise<void> {
    if (this.#fenced !== null) return Promise.reject(this.#fenced)
    if (this.#stopped.signal.aborted) return Promise.reject(stopping())
    this.changed(paths)
    if (this.#isClean && this.#attempt === null && this.#inFlightSince === null) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#waiters.push({ paths: paths === 'all' ? [] : paths, resolve, reject })
      this.#wake()
    })
  }

  unsynced(): Unsynced {
    const since = this.#inFlightSince ?? this.#dirtySince
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

  async #run(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted && this.#fenced === null) {
      if (this.#isClean && this.#waiters.length === 0) await this.#woken()
      if (signal.aborted) return
      if (this.#waiters.length === 0) await this.#gather()
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
    await sleep(this.#deps.clock, GATHER_MS, urgent.signal).catch(() => undefined)
    this.#wake = () => undefined
  }

  /** One snapshot and its head. What it takes is put back where it fails. */
  async #cycle(): Promise<void> {
    const dirty = this.#dirty
    const since = this.#dirtySince
    let waiters = this.#waiters
    this.#dirty = new Set()
    this.#dirtySince = null
    const started = since ?? this.#deps.clock.now()
    this.#inFlightSince = started
    this.#waiters = []
    try {
      await this.#publish(dirty, (unsettled) => {
        for (const waiter of waiters) {
          if (isAmong(waiter.paths, unsettled)) waiter.reject(notTaken())
          else waiter.resolve()
        }
        waiters = []
      })
      this.#inFlightSince = null
    } catch (error) {
      this.#restore(dirty, started, waiters)
      this.#inFlightSince = null
      await this.#failed(error)
    }
  }

  #restore(dirty: ReadonlySet<string> | 'all', since: Instant, waiters: readonly Waiter[]): void {
    if (dirty === 'all') this.#dirty = 'all'
    else if (this.#dirty !== 'all') for (const path of dirty) this.#dirty.add(path)
    this.#dirtySince = since
    this.#waiters = [...waiters, ...this.#waiters]
  }

  async #failed(error: unknown): Promise<void> {
    const { clock, log, onFenced } = this.#deps
    if (this.#stopped.signal.aborted) return
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
      this.#dirty = 'all'
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
      this.#dirty = 'all'
      await onPublished(tip)
      return true
    } catch (error) {
      log.warn({ workspace: this.#workspace, error: messageOf(error) }, 'the newest head could not be asked for')
      return false
    }
  }

  /** `onDurable` is called as soon as the repository has the snapshot, with the paths that it does not have as they are. */
  async #publish(dirty: ReadonlySet<string> | 'all', onDurable: (unsettled: readonly string[]) => void): Promise<void> {
    const { signal } = this.#stopped
    const remote = await this.#reach(dirty, signal)
    // The answer to the last attempt may have been lost while the head was accepted.
    if (this.#attempt !== null) await this.#settle(remote, this.#attempt, () => undefined)
    const sender = new BlockSender(remote, this.#workspace, signal)
    try {
      const snapshot = await this.#deps.worktree.snapshot(
        dirty === 'all' ? 'all' : { paths: dirty },
        (block) => {
          this.#inFlightBytes += block.bytes.length
          return sender.offer(block)
        },
        { signal, forget: this.#forget }
      )
      if (this.#tip?.value.root.equals(snapshot.root) === true) {
        onDurable(snapshot.unsettled)
        this.#waitingBytes = 0
        return await snapshot.commit()
      }
      const inline = await sender.finish()
      this.#attempt = { head: await this.#nextHead(snapshot), snapshot, inline }
      await this.#settle(remote, this.#attempt, () => onDurable(snapshot.unsettled))
      this.#waitingBytes = 0
    } catch (error) {
      this.#waitingBytes = Math.max(this.#waitingBytes, this.#inFlightBytes)
      throw error
    } finally {
      this.#inFlightBytes = 0
      await sender.close()
    }
  }

  /** The repository; as long as it is away, how much waits for it is measured. */
  #reach(dirty: ReadonlySet<string> | 'all', signal: AbortSignal): Promise<RemoteRepository> {
    const both = (): ReadonlySet<string> | 'all' =>
      dirty === 'all' || this.#dirty === 'all' ? 'all' : new Set([...dirty, ...this.#dirty])
    const waiting = {
      count: () => {
        const paths = both()
        return paths === 'all' ? Number.POSITIVE_INFINITY : paths.size
      },
      measure: () => {
        const paths = both()
        return this.#measure(paths === 'all' ? 'all' : { paths }, signal)
      }
    }
    return reachMeasuring(this.#deps, signal, waiting)
  }

  async #measure(what: Parameters<Worktree['snapshot']>[0], signal: AbortSignal): Promise<void> {
    let bytes = 0
    const count = (block: Block): void => {
      bytes += block.bytes.length
    }
    await this.#deps.worktree.snapshot(what, count, { signal })
    this.#waitingBytes = bytes
  }

  async #settle(remote: RemoteRepository, attempt: Attempt, onDurable: () => void): Promise<void> {
    await remote.publish(attempt.head, attempt.inline).catch(unknownThere)
    this.#tip = attempt.head
    this.#attempt = null
    this.#forget = false
    onDurable()
    await this.#deps.onPublished(attempt.head)
    await attempt.snapshot.commit()
  }

  async #nextHead(snapshot: Snapshot): Promise<SignedHead> {
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

/** The repository knows no such workspace. What is not found on this disk is another matter: it may come back. */
function unknownThere(error: unknown): never {
  throw hasCode(error, 'NOT_FOUND') ? new NodeDaemonError('NOT_HOME', error.message, { cause: error }) : error
}

/** A list that is full may have left out any path. */
const isAmong = (paths: readonly string[], unsettled: readonly string[]): boolean =>
  (paths.length > 0 && unsettled.length >= MAX_UNSETTLED) ||
  unsettled.some((path) => paths.some((other) => path === other || path.startsWith(`${other}/`)))

const notTaken = (): NodeDaemonError =>
  new NodeDaemonError('BUSY', 'the file changes while it is read, or cannot be read')
const stopping = (): NodeDaemonError => new NodeDaemonError('CLOSED', 'this instance is stopping')
