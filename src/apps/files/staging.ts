import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { messageOf } from '../../core/errors.ts'
import type { Logger } from '../../core/log.ts'
import type { Random } from '../../core/random.ts'
import type { Found, Kind } from './tree.ts'

/**
 * The way in and out of a workspace: what comes is complete before one rename makes it visible, and what goes vanishes
 * with one rename and is removed afterwards.
 */
export class Staging {
  readonly #random: Random
  readonly #log: Logger
  readonly #removals = new Set<Promise<void>>()

  constructor(deps: { random: Random; log: Logger }) {
    this.#random = deps.random
    this.#log = deps.log
  }

  /** A path in the staging folder at which there is nothing. */
  place(folder: string): string {
    return join(folder, Buffer.from(this.#random.bytes(16)).toString('hex'))
  }

  /** Puts what lies at `from` in the place of what lies at `to`, which is as it was if the call throws. */
  async install(from: string, to: string, kinds: { from: Kind; to: Found['kind'] }, staging: string): Promise<void> {
    const replaceable = kinds.to === 'absent' || (kinds.to !== 'folder' && kinds.from !== 'folder')
    if (replaceable) return rename(from, to)
    const old = this.place(staging)
    await rename(to, old)
    try {
      await rename(from, to)
    } catch (error) {
      await rename(old, to)
      throw error
    }
    this.discard(old)
  }

  /** Removes a file or folder, which nobody looks at any more, in its own time. */
  discard(path: string): void {
    const removal = rm(path, { recursive: true, force: true }).catch((error: unknown) => {
      this.#log.warn({ error: messageOf(error) }, 'something in the staging folder could not be removed')
    })
    this.#removals.add(removal)
    void removal.then(() => this.#removals.delete(removal))
  }

  /** Resolves once all is removed. */
  async settle(): Promise<void> {
    await Promise.all(this.#removals)
  }
}

/**
 * Times of last change for uploads: whole microseconds, since a workspace that moves keeps no finer ones, and never the
 * same twice, so that entity tags of two uploads differ.
 */
export class Stamps {
  readonly #clock: Clock
  #latest = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Unix time in seconds. */
  next(): number {
    this.#latest = Math.max(this.#latest + 1, Math.floor(this.#clock.wall() * 1000))
    // Three tenths of a microsecond above: survives being cut off and being rounded.
    return (this.#latest + 0.3) / 1_000_000
  }
}
