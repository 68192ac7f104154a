import { type FSWatcher, rmSync } from 'node:fs'
import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, withTimeout } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import { Mutex } from '../core/mutex.ts'
import { makeFolder } from './disk.ts'
import { nodeFileSystem } from './node-file-system.ts'
import { type WatchPath, watchPath } from './watch-queue.ts'

const BARRIER_MS = 5_000
const MS_PER_SECOND = 1_000

/** Each barrier of the process has a file of its own: no event is taken for another's. */
let opened = 0

/**
 * A file of our own. Its event comes, in the one queue of the kernel, after those of all changes that were made before the
 * file was touched.
 */
export class Barrier {
  readonly #clock: Clock
  readonly #folder: string
  readonly #watch: WatchPath
  readonly #turn = new Mutex()
  readonly #closed = Promise.withResolvers<void>()
  #cookie: { readonly path: string; readonly watcher: FSWatcher } | null = null
  #isClosed = false
  #attempt = 0
  #seen: () => void = () => undefined

  constructor(deps: { readonly cookies: string; readonly clock: Clock; readonly watch?: WatchPath }) {
    this.#clock = deps.clock
    this.#folder = deps.cookies
    this.#watch = deps.watch ?? watchPath
  }

  /**
   * Waits for the event of a touch that is made now, and then for what follows from the events before it. Null on success,
   * or once closed; else what went wrong, after at most 5 s.
   */
  pass(settled: () => Promise<void>): Promise<string | null> {
    return this.#turn.run(async () => {
      if (this.#isClosed) return null
      try {
        await withTimeout(this.#clock, BARRIER_MS, 'a barrier', async () => {
          await Promise.race([this.#touchAndSee(), this.#closed.promise])
          await settled()
        })
        return null
      } catch (error) {
        // An event that comes late must not be taken for that of a later touch.
        this.#attempt++
        this.#forget()
        return messageOf(error)
      }
    })
  }

  async #touchAndSee(): Promise<void> {
    const attempt = ++this.#attempt
    const path = this.#cookie?.path ?? (await this.#open(attempt))
    // Its time was over while the file was made: another barrier may wait by now.
    if (attempt !== this.#attempt) return
    const seen = new Promise<void>((resolve) => {
      this.#seen = resolve
    })
    const now = this.#clock.wall() / MS_PER_SECOND
    await utimes(path, now, now)
    await seen
  }

  async #open(attempt: number): Promise<string> {
    await makeFolder(nodeFileSystem, this.#folder)
    const path = join(this.#folder, `barrier-${++opened}`)
    await writeFile(path, '')
    if (this.#isClosed || attempt !== this.#attempt) return path
    const watcher = this.#watch(path, () => this.#seen())
    watcher.on('error', () => this.#forget())
    this.#cookie = { path, watcher }
    return path
  }

  #forget(): void {
    if (this.#cookie === null) return
    this.#cookie.watcher.close()
    rmSync(this.#cookie.path, { force: true })
    this.#cookie = null
  }

  close(): void {
    this.#isClosed = true
    this.#closed.resolve()
    this.#forget()
  }
}
