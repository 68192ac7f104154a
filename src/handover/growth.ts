import type { HomeSync } from '../sync/home.ts'

/** What one request adds to a workspace. */
export interface Stay {
  /** In the workspace by its newest head, with all that was added since or is on its way. */
  readonly usedBytes: number
  /** So many bytes more are on their way. */
  take(bytes: number): void
  /** What was taken may be among the files by now. */
  wrote(): void
  /** The newest head has what was taken. */
  published(): void
  leave(): void
}

interface Waiting {
  readonly bytes: number
  /** Of the newest head when they were written. */
  readonly sequence: number
}

/** A head is in flight at most, and was perhaps begun before: the one after it has what was written. */
const HEADS_UNTIL_PUBLISHED = 2

/** Counts what users add to a workspace until its newest head has it, so that several at once do not exceed a bound. */
export class Growth {
  readonly #sync: Pick<HomeSync, 'tip' | 'isAtRest'>
  #underWay = 0
  #waiting: Waiting[] = []

  constructor(sync: Pick<HomeSync, 'tip' | 'isAtRest'>) {
    this.#sync = sync
  }

  get usedBytes(): number {
    const { tip, isAtRest } = this.#sync
    const sequence = tip?.value.sequence ?? 0
    this.#waiting = isAtRest ? [] : this.#waiting.filter((one) => sequence < one.sequence + HEADS_UNTIL_PUBLISHED)
    const waiting = this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0)
    return (tip?.value.bytes ?? 0) + waiting + this.#underWay
  }

  /** `leave` must be called once. */
  begin(): Stay {
    const growth = this
    let taken = 0
    let hasWritten = false
    const release = (): number => {
      const bytes = taken
      taken = 0
      this.#underWay -= bytes
      return bytes
    }
    return {
      get usedBytes() {
        return growth.usedBytes
      },
      take: (bytes) => {
        taken += bytes
        this.#underWay += bytes
      },
      wrote: () => {
        hasWritten = true
      },
      published: () => void release(),
      leave: () => {
        const bytes = release()
        if (hasWritten && bytes > 0) this.#wait(bytes)
      }
    }
  }

  #wait(bytes: number): void {
    const sequence = this.#sync.tip?.value.sequence ?? 0
    const same = this.#waiting.find((one) => one.sequence === sequence)
    const others = this.#waiting.filter((one) => one !== same)
    this.#waiting = [...others, { bytes: bytes + (same?.bytes ?? 0), sequence }]
  }
}
