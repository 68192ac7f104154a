import type { Clock, Instant } from '../core/clock.ts'
import type { Disk } from './disk.ts'

/** For so long an answer of the disk is believed, unless less than this would be left by then. */
const BELIEVED_MS = 1000
const SURE_BYTES = 256 * 1024 * 1024

/** What a disk has free, without asking it for every write. */
export class FreeRoom {
  readonly #disk: Disk
  readonly #clock: Clock
  #bytes = 0
  #until: Instant = Number.NEGATIVE_INFINITY

  constructor(disk: Disk, clock: Clock) {
    this.#disk = disk
    this.#clock = clock
  }

  /** Is there room for so many bytes beside a reserve? Then they count as written. */
  async take(bytes: number, reserveBytes: number): Promise<boolean> {
    const isSure = this.#clock.now() < this.#until && this.#bytes - bytes >= reserveBytes + SURE_BYTES
    if (!isSure) {
      this.#bytes = await this.#disk.freeBytes()
      this.#until = this.#clock.now() + BELIEVED_MS
    }
    if (this.#bytes < bytes + reserveBytes) return false
    this.#bytes -= bytes
    return true
  }
}
