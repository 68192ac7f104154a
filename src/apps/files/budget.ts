/** Counts bytes that are kept in memory on behalf of others, within a bound of its own and that of its parent. */
export class Budget {
  readonly #bytesMax: number
  readonly #parent: Budget | undefined
  readonly #makeRoom: ((bytes: number) => void) | undefined
  #bytes = 0

  /** @param options.makeRoom called where there is no room for so many bytes: may give some */
  constructor(
    bytesMax: number,
    options: { readonly parent?: Budget; readonly makeRoom?: (bytes: number) => void } = {}
  ) {
    this.#bytesMax = bytesMax
    this.#parent = options.parent
    this.#makeRoom = options.makeRoom
  }

  get used(): number {
    return this.#bytes
  }

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.#bytesMax
  }

  /** False, and nothing taken, where that would be too much. */
  take(bytes: number): boolean {
    if (!this.hasRoom(bytes)) this.#makeRoom?.(bytes)
    if (!this.hasRoom(bytes)) return false
    if (this.#parent !== undefined && !this.#parent.take(bytes)) return false
    this.#bytes += bytes
    return true
  }

  give(bytes: number): void {
    this.#bytes -= bytes
    this.#parent?.give(bytes)
  }
}
