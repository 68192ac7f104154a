/** Bounds what is worked on at once: who would exceed it waits, so that nothing more is read meanwhile. */
export class UnderWay {
  readonly #limits: { readonly count: number; readonly bytes: number }
  #count = 0
  #bytes = 0
  #wake: () => void = () => undefined

  constructor(limits: { readonly count: number; readonly bytes: number }) {
    this.#limits = limits
  }

  /** Resolves once there is room. One caller at a time. A single piece may be larger than the bound. */
  async begin(bytes: number): Promise<void> {
    while (this.#count >= this.#limits.count || (this.#count > 0 && this.#bytes + bytes > this.#limits.bytes)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#count++
    this.#bytes += bytes
  }

  end(bytes: number): void {
    this.#count--
    this.#bytes -= bytes
    this.#wake()
  }
}
