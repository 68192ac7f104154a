/** Work that serves all who ask for it while it runs: one run at a time, and one more where somebody has asked meanwhile. */
export class OneRun {
  readonly #work: (signal: AbortSignal) => Promise<void>
  readonly #onFailed: (error: unknown) => void
  readonly #stopped = new AbortController()
  #running: Promise<void> | null = null
  #again = false

  /** `onFailed` is told what a run threw, but not once it is closed. */
  constructor(work: (signal: AbortSignal) => Promise<void>, onFailed: (error: unknown) => void) {
    this.#work = work
    this.#onFailed = onFailed
  }

  ask(): void {
    if (this.#stopped.signal.aborted) return
    this.#again = true
    this.#running ??= this.#run().catch((error: unknown) => {
      if (!this.#stopped.signal.aborted) this.#onFailed(error)
    })
  }

  /** Aborts the signal of the run that is under way, and waits for its end. */
  async close(): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    try {
      while (this.#again) {
        this.#again = false
        await this.#work(this.#stopped.signal)
      }
    } finally {
      this.#running = null
    }
  }
}
