/** Bounds what is worked on at once: who would exceed it waits, in the order of the calls, so that nothing more is read meanwhile. */
export class UnderWay {
  readonly #limits: { readonly count: number; readonly bytes: number }
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = []
  #count = 0
  #bytes = 0

  constructor(limits: { readonly count: number; readonly bytes: number }) {
    this.#limits = limits
  }

  /** Resolves once there is room. A single piece may be larger than the bound. */
  async begin(bytes: number): Promise<void> {
    if (this.#waiting.length > 0 || !this.#hasRoomFor(bytes)) {
      await new Promise<void>((go) => this.#waiting.push({ bytes, go }))
      return
    }
    this.#enter(bytes)
  }

  end(bytes: number): void {
    this.#count--
    this.#bytes -= bytes
    for (let next = this.#waiting[0]; next !== undefined && this.#hasRoomFor(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#enter(next.bytes)
      next.go()
    }
  }

  #hasRoomFor(bytes: number): boolean {
    return this.#count === 0 || (this.#count < this.#limits.count && this.#bytes + bytes <= this.#limits.bytes)
  }

  #enter(bytes: number): void {
    this.#count++
    this.#bytes += bytes
  }
}
