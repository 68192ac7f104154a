import type { KeyValueChanges } from '../core/key-value.ts'
import type { LevelStore } from './level.ts'

/**
 * Rows that wait for the packs to be durable, over the rows that are written. Nothing reaches the index before the
 * bytes that it speaks of are safe, so that the index never names what a crash took away.
 */
export class StagedRows {
  readonly level: LevelStore
  /** Null for a row that is to be removed. */
  #waiting = new Map<string, Uint8Array | null>()
  #leaving = new Map<string, Uint8Array | null>()

  constructor(level: LevelStore) {
    this.level = level
  }

  get size(): number {
    return this.#waiting.size
  }

  stage(key: string, value: Uint8Array): void {
    this.#waiting.set(key, value)
  }

  remove(key: string): void {
    this.#waiting.set(key, null)
  }

  /** Is there a row that is staged, rather than written? */
  isStaged(key: string): boolean {
    return (this.#staged(key) ?? null) !== null
  }

  async get(key: string): Promise<Uint8Array | null> {
    const staged = this.#staged(key)
    return staged === undefined ? await this.level.get(key) : staged
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | null)[]> {
    const staged = keys.map((key) => this.#staged(key))
    const wanted = keys.filter((_, index) => staged[index] === undefined)
    const found = (await this.level.getMany(wanted)).values()
    return staged.map((row) => (row === undefined ? (found.next().value ?? null) : row))
  }

  /** All that waits now. It stays visible until `written` or `lost`. Not to be called again before that. */
  take(): Required<KeyValueChanges> {
    this.#leaving = this.#waiting
    this.#waiting = new Map()
    const put: [string, Uint8Array][] = []
    const remove: string[] = []
    for (const [key, row] of this.#leaving) {
      if (row === null) remove.push(key)
      else put.push([key, row])
    }
    return { put, remove }
  }

  written(): void {
    this.#leaving = new Map()
  }

  /** Forgets everything that was not written. */
  lost(): void {
    this.#leaving = new Map()
    this.#waiting = new Map()
  }

  #staged(key: string): Uint8Array | null | undefined {
    const waiting = this.#waiting.get(key)
    return waiting === undefined ? this.#leaving.get(key) : waiting
  }
}
