import type { Topic } from '../console/service.ts'

/** Tells listeners what kind of thing has changed. */
export class Changes {
  readonly #listeners = new Set<(topic: Topic) => void>()

  watch(listener: (topic: Topic) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(topic: Topic): void {
    for (const listener of this.#listeners) listener(topic)
  }
}
