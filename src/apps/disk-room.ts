import type { Clock, Instant } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'

/** Of the disk on which users' files lie, in bytes. */
export interface DiskSpace {
  readonly totalBytes: number
  readonly freeBytes: number
}

export interface DiskRoomDeps {
  readonly space: () => Promise<DiskSpace>
  readonly clock: Pick<Clock, 'now'>
  readonly log: Logger
}

/** What users' files leave free, so that the daemon can go on: so much, or a share of a small disk. */
const RESERVE_BYTES = 64 * 1024 * 1024
const RESERVE_SHARE = 0.01
const BELIEVED_MS = 1000

/** Is there room on the disk for what users add? By what the disk said a moment ago, less what was taken since. */
export class DiskRoom {
  readonly #deps: DiskRoomDeps
  /** Beside the reserve; not known before the disk has answered. */
  #leftBytes = Number.POSITIVE_INFINITY
  #askAt: Instant = Number.NEGATIVE_INFINITY

  constructor(deps: DiskRoomDeps) {
    this.#deps = deps
  }

  /** The disk is asked, unless that was a moment ago. Never rejects: a disk that does not answer refuses writes itself. */
  async ask(): Promise<void> {
    const { space, clock, log } = this.#deps
    const now = clock.now()
    if (now < this.#askAt) return
    this.#askAt = now + BELIEVED_MS
    try {
      const { totalBytes, freeBytes } = await space()
      this.#leftBytes = freeBytes - Math.min(RESERVE_BYTES, totalBytes * RESERVE_SHARE)
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the disk does not tell how much room it has')
    }
  }

  /** False where there is none. */
  take(bytes: number): boolean {
    if (bytes > this.#leftBytes) return false
    this.#leftBytes -= bytes
    return true
  }
}
