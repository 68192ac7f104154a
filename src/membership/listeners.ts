import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'

/** Those that want to hear of something. One that fails is logged, and the others hear it all the same. */
export class Listeners<T> {
  readonly #log: Logger
  readonly #listeners = new Set<(news: T) => void>()

  constructor(log: Logger) {
    this.#log = log
  }

  /** Returns how to stop listening. */
  add(listener: (news: T) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(news: T): void {
    for (const listener of this.#listeners) {
      try {
        listener(news)
      } catch (error) {
        this.#log.error({ error: messageOf(error) }, 'a listener failed')
      }
    }
  }
}
