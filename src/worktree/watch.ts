import type { FSWatcher } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, TimerHandle } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { Barrier } from './barrier.ts'
import { diskFailure, isDenied, isGone, look } from './disk.ts'
import { nodeFileSystem } from './node-file-system.ts'
import { decodeName, joinPath, type WorkspacePath } from './paths.ts'
import {
  countEvent,
  joinQueue,
  type QueueUser,
  TOO_MANY,
  type WatchPath,
  watchAdvice,
  watchPath
} from './watch-queue.ts'

export interface WatchDeps {
  /** The folder to watch, with all below it. */
  readonly folder: string
  /** A folder of the daemon's own, outside every workspace, for the barriers of all watches. */
  readonly cookies: string
  readonly clock: Clock
  readonly log: Logger
  /** The system's where it is left out. */
  readonly watch?: WatchPath
}

/** What has been touched in a folder. */
export interface FolderWatch {
  /** Paths touched since the last call, each to be looked at with all below it; `all` when events may have been lost. */
  take(): ReadonlySet<WorkspacePath> | 'all'
  /** Resolves once `take` knows of every change made before the call: after at most 5 s, then by answering `all`. */
  barrier(): Promise<void>
  close(): void
}

/** How often a folder that cannot be watched as a whole is reported as touched. */
const BLIND_MS = 10_000
const DEFAULT_QUEUE = 16_384
const QUEUE_FILE = '/proc/sys/fs/inotify/max_queued_events'

/**
 * Watches a folder: one watch for each folder in it, all in one queue of the kernel. Changes made before the returned promise
 * resolves may or may not be reported: take a full snapshot afterwards.
 *
 * @param onDirty called, often, when there is something to take; it must not throw
 * @throws NodeDaemonError `NOT_FOUND` when the folder is missing
 */
export async function watchFolder(deps: WatchDeps, onDirty: () => void): Promise<FolderWatch> {
  const watching = new Watching(deps, await queueLength(), onDirty)
  try {
    await watching.start()
    return watching
  } catch (error) {
    watching.close()
    throw diskFailure(error)
  }
}

async function queueLength(): Promise<number> {
  try {
    return Number.parseInt(await readFile(QUEUE_FILE, 'utf8'), 10) || DEFAULT_QUEUE
  } catch {
    return DEFAULT_QUEUE
  }
}

interface WatchedFolder {
  readonly watcher: FSWatcher
  readonly inode: bigint
  readonly bornNs: bigint
}

class Watching implements FolderWatch, QueueUser {
  readonly #deps: WatchDeps
  readonly #queueLength: number
  readonly #onDirty: () => void
  readonly #folders = new Map<WorkspacePath, WatchedFolder>()
  /** Folders that this process may not read. */
  readonly #denied = new Set<WorkspacePath>()
  readonly #barrier: Barrier
  readonly #leaveQueue: () => void
  /** Paths where a folder may have come or gone, and whether someone is looking at them. */
  readonly #due = new Set<WorkspacePath>()
  #looking: Promise<void> | null = null
  #touched = new Set<WorkspacePath>()
  #lost = false
  #events = 0
  #blind: TimerHandle | null = null
  #toldBlind = false
  #closed = false

  constructor(deps: WatchDeps, queueLength: number, onDirty: () => void) {
    this.#deps = deps
    this.#queueLength = queueLength
    this.#onDirty = onDirty
    this.#barrier = new Barrier(deps)
    this.#leaveQueue = joinQueue(this)
  }

  async start(): Promise<void> {
    if ((await look(nodeFileSystem, this.#deps.folder)) === null) {
      throw new NodeDaemonError('NOT_FOUND', `the folder ${this.#deps.folder} is missing`)
    }
    this.#lookAt('')
    await this.#looking
  }

  take(): ReadonlySet<WorkspacePath> | 'all' {
    const taken = this.#lost || this.#blind !== null ? 'all' : this.#touched
    this.#touched = new Set()
    this.#lost = false
    this.#events = 0
    return taken
  }

  async barrier(): Promise<void> {
    const failure = await this.#barrier.pass(async () => {
      await this.#looking
    })
    if (failure !== null) this.eventsLost(failure)
  }

  close(): void {
    this.#closed = true
    this.#leaveQueue()
    this.#blind?.cancel()
    this.#unwatch('')
    this.#barrier.close()
  }

  /** Folders may have come and changed unseen. */
  eventsLost(reason: string): void {
    if (this.#closed) return
    this.#deps.log.warn({ folder: this.#deps.folder, reason }, 'changes may have been missed: all is looked at')
    this.#lookAtAll()
  }

  #lookAtAll(): void {
    this.#lost = true
    this.#touched = new Set()
    this.#events = 0
    this.#lookAt('')
    this.#onDirty()
  }

  #onEvent(folder: WorkspacePath, type: string, name: Buffer | null): void {
    if (this.#closed) return
    countEvent(this.#queueLength)
    const text = name === null ? null : decodeName(name)
    const path = text === null ? folder : joinPath(folder, text)
    if (type === 'rename' || this.#denied.has(path)) this.#lookAt(path)
    this.#touch(path)
    if (++this.#events >= this.#queueLength) this.eventsLost(TOO_MANY)
  }

  #touch(path: WorkspacePath): void {
    if (!this.#lost) this.#touched.add(path)
    this.#onDirty()
  }

  #lookAt(path: WorkspacePath): void {
    this.#due.add(path)
    this.#looking ??= this.#lookAtDue()
  }

  async #lookAtDue(): Promise<void> {
    for (const path of this.#due) {
      this.#due.delete(path)
      try {
        const isNew = await this.#watchBelow(path, path === '')
        if (isNew && path !== '') this.#touch(path)
      } catch (error) {
        this.#goBlind(error)
      }
    }
    this.#looking = null
  }

  /**
   * Watches a folder, then those in it. What is no folder (any longer) is not watched. Says whether there was anything new to watch.
   *
   * @param again looks also below folders that are watched already
   */
  async #watchBelow(path: WorkspacePath, again: boolean): Promise<boolean> {
    const stats = await look(nodeFileSystem, join(this.#deps.folder, path))
    if (this.#closed) return false
    const watched = this.#folders.get(path)
    const same = stats !== null && watched?.inode === stats.ino && watched.bornNs === stats.birthtimeNs
    if (same && !again) return false
    if (!same) this.#unwatch(path)
    if (stats === null || !stats.isDirectory()) return false
    try {
      if (!same) this.#watch(path, stats.ino, stats.birthtimeNs)
      for (const name of await this.#foldersIn(path)) await this.#watchBelow(joinPath(path, name), again)
    } catch (error) {
      if (isDenied(error)) this.#denied.add(path)
      else if (!isGone(error)) throw error
    }
    return !same
  }

  #watch(path: WorkspacePath, inode: bigint, bornNs: bigint): void {
    const { folder, watch = watchPath } = this.#deps
    const watcher = watch(join(folder, path), (type, name) => this.#onEvent(path, type, name))
    watcher.on('error', (error) => {
      this.#unwatch(path)
      this.eventsLost(messageOf(error))
    })
    this.#folders.set(path, { watcher, inode, bornNs })
    this.#denied.delete(path)
  }

  async #foldersIn(path: WorkspacePath): Promise<string[]> {
    const listed = await readdir(join(this.#deps.folder, path), { encoding: 'buffer', withFileTypes: true })
    const names = listed.filter((entry) => entry.isDirectory()).map((entry) => decodeName(entry.name))
    return names.filter((name) => name !== null)
  }

  /** Stops watching a folder and those below it. */
  #unwatch(path: WorkspacePath): void {
    const below = path === '' ? '' : `${path}/`
    for (const [other, { watcher }] of this.#folders) {
      if (other !== path && !other.startsWith(below)) continue
      watcher.close()
      this.#folders.delete(other)
    }
    for (const other of this.#denied) if (other === path || other.startsWith(below)) this.#denied.delete(other)
  }

  /** Not everything can be watched now: until it can, everything counts as touched, again and again. */
  #goBlind(error: unknown): void {
    if (this.#closed || this.#blind !== null) return
    const advice = watchAdvice(error)
    const level = this.#toldBlind ? 'debug' : 'warn'
    this.#toldBlind = true
    this.#deps.log[level](
      { folder: this.#deps.folder, reason: messageOf(error), ...(advice !== undefined && { advice }) },
      'a folder cannot be watched: it is polled'
    )
    this.#blind = this.#deps.clock.after(BLIND_MS, () => {
      this.#blind = null
      this.#lookAtAll()
    })
    this.#onDirty()
  }
}
