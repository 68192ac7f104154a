/** Many at once, or one alone: whoever wants to be alone waits for those inside and holds back those who come later. */
export class Gate {
  #inside = 0
  #alone: Promise<unknown> | null = null
  #empty: (() => void) | null = null

  async shared<T>(work: () => Promise<T>): Promise<T> {
    while (this.#alone !== null) await this.#alone
    this.#inside++
    try {
      return await work()
    } finally {
      this.#inside--
      if (this.#inside === 0) this.#empty?.()
    }
  }

  /** Must not be called from inside `shared`. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#alone !== null) await this.#alone
    const result = this.#emptied().then(work)
    const settled = result.then(
      () => undefined,
      () => undefined
    )
    this.#alone = settled
    try {
      return await result
    } finally {
      this.#alone = null
    }
  }

  #emptied(): Promise<void> {
    if (this.#inside === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#empty = () => {
        this.#empty = null
        resolve()
      }
    })
  }
}
