import type { KeyValueChanges } from '../core/key-value.ts'

export type LevelOperation =
  | { readonly type: 'del'; readonly key: string }
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }

/** What is needed of a database to write to it. */
export interface WriteTarget {
  /** All of it or nothing, in this order. With `sync`, the log that it went to is synced. */
  batch(operations: LevelOperation[], options: { readonly sync: boolean }): Promise<void>
  /** On return all that was written is durable, in tables, and what follows goes to a new log. */
  flush(): Promise<void>
}

/** LevelDB begins a new log by itself once it holds this much in memory, and never syncs the old one. */
export const WRITE_BUFFER_BYTES = 32 * 1024 * 1024
/** A new log is begun long before that, since LevelDB counts what it holds in another way: at most twice this. */
const LOG_BYTES = WRITE_BUFFER_BYTES / 2
const ROW_OVERHEAD_BYTES = 128
/** Writes that wait are joined up to this size. */
const GROUP_BYTES = 4 * 1024 * 1024

interface Waiting {
  readonly operations: readonly LevelOperation[]
  readonly bytes: number
  readonly durable: boolean
  readonly done: PromiseWithResolvers<void>
}

/**
 * Writes one after another. Those that come while one is under way are joined into the next one, so that many durable
 * writes share one sync. All that is not yet in tables lies in one log: syncing that for a durable write makes all
 * writes before it durable too.
 */
export class LevelWrites {
  readonly #target: WriteTarget
  readonly #waiting: Waiting[] = []
  #logBytes = 0
  #running = false

  constructor(target: WriteTarget) {
    this.#target = target
  }

  /** Rejects where the joined write fails: then nothing of it was written. */
  write({ put = [], remove = [] }: KeyValueChanges, { durable }: { readonly durable: boolean }): Promise<void> {
    const operations: readonly LevelOperation[] = [
      ...remove.map((key) => ({ type: 'del', key }) as const),
      ...put.map(([key, value]) => ({ type: 'put', key, value }) as const)
    ]
    const done = Promise.withResolvers<void>()
    this.#waiting.push({ operations, bytes: sizeOf(operations), durable, done })
    if (!this.#running) void this.#run()
    return done.promise
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup()
      try {
        await this.#writeGroup(group)
        for (const { done } of group) done.resolve()
      } catch (error) {
        for (const { done } of group) done.reject(error)
      }
    }
    this.#running = false
  }

  #nextGroup(): Waiting[] {
    let bytes = 0
    const rest = this.#waiting.findIndex((entry, index) => {
      bytes += entry.bytes
      return index > 0 && bytes > GROUP_BYTES
    })
    return this.#waiting.splice(0, rest === -1 ? this.#waiting.length : rest)
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    const operations = group.flatMap((entry) => entry.operations)
    const sync = group.some(({ durable }) => durable)
    // A database takes a write of nothing for done, and syncs nothing.
    if (this.#logBytes > LOG_BYTES || (sync && operations.length === 0)) {
      await this.#target.flush()
      this.#logBytes = 0
    }
    this.#logBytes += group.reduce((sum, { bytes }) => sum + bytes, 0)
    if (operations.length > 0) await this.#target.batch(operations, { sync })
  }
}

function sizeOf(operations: readonly LevelOperation[]): number {
  return operations.reduce((sum, operation) => {
    const value = operation.type === 'put' ? operation.value.length : 0
    return sum + Buffer.byteLength(operation.key) + value + ROW_OVERHEAD_BYTES
  }, 0)
}
