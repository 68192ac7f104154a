import { aborted } from './clock.ts'

/** A value that is there at times, and can be waited for. */
export class Later<T> {
  #value: T | null = null
  readonly #waiting = new Set<() => void>()

  set(value: T): void {
    this.#value = value
    for (const wake of [...this.#waiting]) wake()
  }

  clear(): void {
    this.#value = null
  }

  get now(): T | null {
    return this.#value
  }

  /** Rejects by the signal only. */
  async get(signal: AbortSignal): Promise<T> {
    for (;;) {
      if (signal.aborted) throw aborted(signal)
      if (this.#value !== null) return this.#value
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#waiting.add(wake)
        signal.addEventListener('abort', wake, { once: true })
      })
    }
  }
}
