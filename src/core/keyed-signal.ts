import { aborted } from './clock.ts'

/** Tells those who wait for something about a key that it happened. Keys that nobody waits for take no memory. */
export class KeyedSignal<Key> {
  readonly #waiting = new Map<Key, Set<() => void>>()

  tell(key: Key): void {
    for (const wake of [...(this.#waiting.get(key) ?? [])]) wake()
  }

  /** Something happened about every key. */
  tellAll(): void {
    for (const key of [...this.#waiting.keys()]) this.tell(key)
  }

  /** Resolves the next time that the key is told, from the moment of the call. Rejects with `ABORTED` by the signal. */
  next(key: Key, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(key) ?? new Set()
      this.#waiting.set(key, waiting)
      const settle = (): void => {
        waiting.delete(settle)
        if (waiting.size === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key)
        signal.removeEventListener('abort', settle)
        if (signal.aborted) reject(aborted(signal))
        else resolve()
      }
      waiting.add(settle)
      signal.addEventListener('abort', settle, { once: true })
      if (signal.aborted) settle()
    })
  }
}
