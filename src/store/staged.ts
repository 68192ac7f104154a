import type { KeyValueChanges } from '../core/key-value.ts'
import type { LevelStore } from './level.ts'

/**
 * Rows that wait for the packs to be durable, over the rows that are written. Nothing reaches the index before the
 * bytes that it speaks of are safe, so that the index never names what a crash took away.
 */
export class StagedRows {
  readonly level: LevelStore
  #waiting = new Map<string, Uint8Array>()
  #leaving = new Map<string, Uint8Array>()

  constructor(level: LevelStore) {
    this.level = level
  }

  get size(): number {
    return this.#waiting.size
  }

  stage(key: string, value: Uint8Array): void {
    this.#waiting.set(key, value)
  }

  /** Is the row staged, rather than written? */
  isStaged(key: string): boolean {
    return this.#waiting.has(key) || this.#leaving.has(key)
  }

  /** Takes a staged row back. */
  unstage(key: string): void {
    this.#waiting.delete(key)
    this.#leaving.delete(key)
  }

  async get(key: string): Promise<Uint8Array | null> {
    return this.#staged(key) ?? (await this.level.get(key))
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | null)[]> {
    const staged = keys.map((key) => this.#staged(key))
    const wanted = keys.filter((_, index) => staged[index] === undefined)
    const found = (await this.level.getMany(wanted)).values()
    return staged.map((row) => row ?? found.next().value ?? null)
  }

  /** All that waits now. It stays visible until `written` or `lost`. Not to be called again before that. */
  take(): NonNullable<KeyValueChanges['put']> {
    this.#leaving = this.#waiting
    this.#waiting = new Map()
    return [...this.#leaving]
  }

  written(): void {
    this.#leaving = new Map()
  }

  /** Forgets everything that was not written. */
  lost(): void {
    this.#leaving = new Map()
    this.#waiting = new Map()
  }

  #staged(key: string): Uint8Array | undefined {
    return this.#waiting.get(key) ?? this.#leaving.get(key)
  }
}
