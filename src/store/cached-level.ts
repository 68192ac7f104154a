import type { KeyValueChanges } from '../core/key-value.ts'
import type { LevelStore } from './level.ts'

/** Keys and values together. */
const BYTES_MAX = 16 * 1024 * 1024
/** A larger row, such as a signed head with much to say, would push many others out. */
const ROW_BYTES_MAX = 4096

/**
 * The same store, with the rows that were written or read last in memory: at most 16 MiB, of rows of up to 4 KiB. All
 * writes must go through it.
 *
 * @param rowsMax how many are remembered
 */
export function cachedLevel(level: LevelStore, rowsMax: number): LevelStore {
  return new CachedLevel(level, rowsMax)
}

/** The rows that were set last, bounded by their number and by their bytes. */
class RecentRows {
  readonly #rowsMax: number
  readonly #rows = new Map<string, Uint8Array>()
  #bytes = 0

  constructor(rowsMax: number) {
    this.#rowsMax = rowsMax
  }

  get(key: string): Uint8Array | undefined {
    return this.#rows.get(key)
  }

  set(key: string, row: Uint8Array): void {
    this.delete(key)
    const bytes = key.length + row.length
    if (bytes > ROW_BYTES_MAX) return
    this.#rows.set(key, row)
    this.#bytes += bytes
    for (const oldest of this.#rows.keys()) {
      if (this.#rows.size <= this.#rowsMax && this.#bytes <= BYTES_MAX) return
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    const row = this.#rows.get(key)
    if (row === undefined) return
    this.#rows.delete(key)
    this.#bytes -= key.length + row.length
  }
}

class CachedLevel implements LevelStore {
  readonly #level: LevelStore
  readonly #rows: RecentRows
  /** Rises when a write begins: what was read before may be older than it. */
  #writes = 0

  constructor(level: LevelStore, rowsMax: number) {
    this.#level = level
    this.#rows = new RecentRows(rowsMax)
  }

  async get(key: string): Promise<Uint8Array | null> {
    const known = this.#rows.get(key)
    if (known !== undefined) return known
    const before = this.#writes
    const found = await this.#level.get(key)
    if (found !== null && before === this.#writes) this.#rows.set(key, found)
    return found
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | null)[]> {
    const known = keys.map((key) => this.#rows.get(key))
    const wanted = keys.filter((_, index) => known[index] === undefined)
    if (wanted.length === 0) return known.map((row) => row ?? null)
    const before = this.#writes
    const found = await this.#level.getMany(wanted)
    if (before === this.#writes) {
      for (const [index, row] of found.entries()) if (row !== null) this.#rows.set(wanted[index] ?? '', row)
    }
    const rest = found.values()
    return known.map((row) => row ?? rest.next().value ?? null)
  }

  /** Until a write is done its rows are read from the store; where it fails, nobody knows which of them are there. */
  async write(changes: KeyValueChanges, options: { readonly durable: boolean }): Promise<void> {
    const { put = [], remove = [] } = changes
    this.#forget(put, remove)
    try {
      await this.#level.write(changes, options)
    } catch (error) {
      this.#forget(put, remove)
      throw error
    }
    this.#writes++
    for (const [key, value] of put) this.#rows.set(key, value)
    for (const key of remove) this.#rows.delete(key)
  }

  #forget(put: NonNullable<KeyValueChanges['put']>, remove: readonly string[]): void {
    this.#writes++
    for (const [key] of put) this.#rows.delete(key)
    for (const key of remove) this.#rows.delete(key)
  }

  entries(range: Parameters<LevelStore['entries']>[0]): AsyncIterable<[string, Uint8Array]> {
    return this.#level.entries(range)
  }

  close(): Promise<void> {
    return this.#level.close()
  }
}
