/** Keeps what was used last, up to a number of values and of bytes. */
export class RecentBytes {
  readonly #values = new Map<string, Uint8Array>()
  readonly #maxCount: number
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxCount: number, maxBytes: number) {
    this.#maxCount = maxCount
    this.#maxBytes = maxBytes
  }

  get(key: string): Uint8Array | undefined {
    const value = this.#values.get(key)
    if (value === undefined) return undefined
    this.#values.delete(key)
    this.#values.set(key, value)
    return value
  }

  set(key: string, value: Uint8Array): void {
    this.#drop(key)
    this.#values.set(key, value)
    this.#bytes += value.length
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= this.#maxCount && this.#bytes <= this.#maxBytes) return
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#values.get(key)?.length ?? 0
    this.#values.delete(key)
  }

  clear(): void {
    this.#values.clear()
    this.#bytes = 0
  }
}
