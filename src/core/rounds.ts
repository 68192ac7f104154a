/** Work that serves all who asked for it before it began: one round runs, and those who ask meanwhile share the next one. */
export class Rounds {
  readonly #work: () => Promise<void>
  #last: Promise<unknown> = Promise.resolve()
  #next: Promise<void> | null = null

  constructor(work: () => Promise<void>) {
    this.#work = work
  }

  /** Resolves or rejects with a round that begins after the call. */
  run(): Promise<void> {
    this.#next ??= this.#begin()
    return this.#next
  }

  #begin(): Promise<void> {
    const round = this.#last.then(() => {
      this.#next = null
      return this.#work()
    })
    this.#last = round.catch(() => undefined)
    return round
  }
}
