import { execFile } from 'node:child_process'
import type { Clock, Instant } from '../../core/clock.ts'
import { messageOf } from '../../core/errors.ts'
import type { Logger } from '../../core/log.ts'
import type { WorkspaceApp } from './workspace-app.ts'

/** What the files in folders take of the disk, in bytes; null where that takes too long to tell. */
export type Measure = (folders: readonly string[]) => Promise<number | null>

export interface DiskUseDeps {
  /** What is left free of the disk: below it, apps that fill it are ended. */
  readonly reserveBytes: number
  readonly freeBytes: () => Promise<number>
  readonly measure: Measure
  readonly clock: Clock
  readonly log: Logger
}

/** How much an app held of the disk, and when that was. */
interface Held {
  readonly bytes: number
  readonly at: Instant
}

/** What an app has added lately counts, not what it has held for long. */
const RENEW_MS = 10 * 60_000
/** While the disk is nearly full. */
const LOOK_AGAIN_MS = 1000
/** Who adds less than this share of the reserve does not fill the disk. */
const GROWTH_SHARE = 1 / 64

/** Finds out which app fills the disk, by what each holds of it: bytes that are only set aside count, those written over do not. */
export class DiskUse {
  readonly #deps: DiskUseDeps
  readonly #held = new Map<WorkspaceApp, Held>()
  #lookAt: Instant = Number.NEGATIVE_INFINITY
  #isLooking = false

  constructor(deps: DiskUseDeps) {
    this.#deps = deps
  }

  /** Looks in the background, one look at a time; ends the app that fills the disk where it is nearly full. Never throws. */
  look(running: readonly WorkspaceApp[]): void {
    if (this.#isLooking) return
    this.#isLooking = true
    for (const app of this.#held.keys()) if (!running.includes(app)) this.#held.delete(app)
    this.#look(running)
      .catch((error: unknown) => this.#deps.log.warn({ error: messageOf(error) }, 'what apps hold is not known'))
      .finally(() => {
        this.#isLooking = false
      })
  }

  async #look(running: readonly WorkspaceApp[]): Promise<void> {
    const { freeBytes, reserveBytes, clock } = this.#deps
    const now = clock.now()
    const isFull = (await freeBytes()) < reserveBytes
    if (!isFull) {
      const isOld = (app: WorkspaceApp): boolean =>
        now - (this.#held.get(app)?.at ?? Number.NEGATIVE_INFINITY) > RENEW_MS
      for (const app of running.filter(isOld)) this.#note(app, await this.#measure(app))
      return
    }
    if (now < this.#lookAt) return
    const found = new Map<WorkspaceApp, number>()
    for (const app of running) {
      const bytes = await this.#measure(app)
      if (bytes !== null) found.set(app, bytes)
    }
    const uses = [...found].map(([app, bytes]) => {
      const { limitBytes } = app
      return {
        app,
        grownBytes: bytes - this.#before(app, bytes),
        overBytes: limitBytes === null ? 0 : bytes - limitBytes
      }
    })
    const filler = whoFills(uses, reserveBytes * GROWTH_SHARE)
    this.#lookAt = clock.now() + LOOK_AGAIN_MS
    if (filler === null) return
    filler.app.running?.kill('the disk of this server is nearly full, and it added most')
    // From here on the others are judged by what they still add.
    for (const [app, bytes] of found) this.#note(app, bytes)
  }

  /** What it held when that was noted last; from now on, where it was not. */
  #before(app: WorkspaceApp, bytes: number): number {
    const held = this.#held.get(app)
    if (held === undefined) this.#note(app, bytes)
    return held?.bytes ?? bytes
  }

  #measure(app: WorkspaceApp): Promise<number | null> {
    return this.#deps.measure(app.folders)
  }

  #note(app: WorkspaceApp, bytes: number | null): void {
    if (bytes !== null) this.#held.set(app, { bytes, at: this.#deps.clock.now() })
  }
}

/** What an app has added to what it held before, and by how much it is over what it may hold. */
export interface Use<T> {
  readonly app: T
  readonly grownBytes: number
  readonly overBytes: number
}

/** Of those that have grown by `leastBytes`: the one that is furthest beyond its limit, else the one that has grown most. */
export function whoFills<T>(uses: readonly Use<T>[], leastBytes: number): Use<T> | null {
  const over = ({ overBytes }: Use<T>): number => Math.max(0, overBytes)
  const growing = uses.filter(({ grownBytes }) => grownBytes >= leastBytes)
  return growing.sort((a, b) => over(b) - over(a) || b.grownBytes - a.grownBytes)[0] ?? null
}

const MEASURE_MS = 10_000

/** By `du`, in a process of its own: a folder may hold very many files. */
export const measureByDu: Measure = (folders) =>
  new Promise((resolve) => {
    const args = ['--summarize', '--total', '--block-size=1', '--one-file-system', '--', ...folders]
    // It ends with 1 where a file has gone in between: what it says holds all the same.
    execFile('du', args, { timeout: MEASURE_MS, killSignal: 'SIGKILL' }, (_, output) => {
      const [, bytes] = /^(\d+)\ttotal$/m.exec(output) ?? []
      resolve(bytes === undefined ? null : Number(bytes))
    })
  })
