import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'

/** What has to be closed, in the reverse order of its beginning. One that fails does not keep the others open. */
export class Shutdown {
  readonly #log: Logger
  readonly #steps: { readonly what: string; readonly close: () => void | Promise<void> }[] = []
  #running: Promise<void> | null = null

  constructor(log: Logger) {
    this.#log = log
  }

  get begun(): boolean {
    return this.#running !== null
  }

  later(what: string, close: () => void | Promise<void>): void {
    this.#steps.push({ what, close })
  }

  /** A second call waits for the first. */
  run(): Promise<void> {
    this.#running ??= this.#run()
    return this.#running
  }

  async #run(): Promise<void> {
    for (const { what, close } of this.#steps.reverse()) {
      try {
        await close()
      } catch (error) {
        this.#log.error({ error: messageOf(error) }, `${what} did not close`)
      }
    }
  }
}
