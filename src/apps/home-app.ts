/** What runs in a workspace beside the requests for it: its app, where it has one of its own, and the operator's hooks. */
export interface OwnApp {
  hold(): void
  letIn(): void
  stop(): Promise<void>
  close(): Promise<void>
  readonly isRunning: boolean
}

export interface HomeAppHooks {
  readonly freeze: ((signal: AbortSignal) => Promise<void>) | null
  /** Never rejects. */
  readonly thaw: (() => Promise<void>) | null
}

/** How a workspace comes to rest for a move, and goes on where that is given up. */
export class HomeApp {
  readonly #own: OwnApp | null
  readonly #hooks: HomeAppHooks
  /** Is `thaw` owed to what `freeze` has stopped? */
  #wasFrozen = false

  constructor(own: OwnApp | null, hooks: HomeAppHooks) {
    this.#own = own
    this.#hooks = hooks
  }

  /** No request is let in any more: those that wait for the app to start are refused with `NOT_HOME`. */
  hold(): void {
    this.#own?.hold()
  }

  /**
   * Has the app write what it has, and ends it where it is one of the workspace's own. Nothing of it runs on return.
   *
   * @throws NodeDaemonError `BUSY`, `TIMED_OUT` the hook failed; `ABORTED` by the signal
   */
  async freeze(signal: AbortSignal): Promise<void> {
    const { freeze } = this.#hooks
    // One that does not run has nothing to write, and nobody to ask.
    if (this.#own?.isRunning !== false) {
      this.#wasFrozen = true
      await freeze?.(signal)
    }
    await this.#own?.stop()
  }

  /** Requests are let in again. */
  thaw(): void {
    this.#own?.letIn()
    if (!this.#wasFrozen) return
    this.#wasFrozen = false
    void this.#hooks.thaw?.()
  }

  /** This instance is not its home any more, or stops. */
  async close(): Promise<void> {
    await this.#own?.close()
  }
}
