/** Counts bytes that are kept in memory on behalf of others, within a bound of its own and that of its parent. */
export class Budget {
  readonly #bytesMax: number
  readonly #parent: Budget | undefined
  #bytes = 0

  constructor(bytesMax: number, parent?: Budget) {
    this.#bytesMax = bytesMax
    this.#parent = parent
  }

  /** False, and nothing taken, where that would be too much. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false
    if (this.#parent !== undefined && !this.#parent.take(bytes)) return false
    this.#bytes += bytes
    return true
  }

  give(bytes: number): void {
    this.#bytes -= bytes
    this.#parent?.give(bytes)
  }
}
