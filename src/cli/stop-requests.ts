import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { RunningInstance } from '../daemon/options.ts'
import type { Context } from './context.ts'

export interface StopOptions {
  readonly onStop: 'drain' | 'flush'
  readonly deadlineMs: number
  /** Has it served? */
  readonly hasServed: () => boolean
}

/**
 * What the signals of a person or a supervisor mean to an instance: the first hands over (or flushes, where that was
 * chosen), the second flushes and stops, the third ends at once. A parent that is gone counts as the second.
 */
export class StopRequests implements Disposable {
  readonly #context: Context
  readonly #options: StopOptions
  readonly #early = Promise.withResolvers<never>()
  readonly #listeners: readonly (() => void)[]
  #running: RunningInstance | null = null
  #signals = 0

  constructor(context: Context, options: StopOptions) {
    this.#context = context
    this.#options = options
    this.#early.promise.catch(() => undefined)
    const { terminal } = context
    this.#listeners = [terminal.onSignal(() => this.#onSignal()), terminal.onOrphaned(() => this.#onOrphaned())]
  }

  /** The instance, once it runs. Rejects with `ABORTED` when a signal comes before: then there is nothing to hand over. */
  async apply(starting: Promise<RunningInstance>): Promise<RunningInstance> {
    this.#running = await Promise.race([starting, this.#early.promise]).catch((error: unknown) => {
      starting.then((late) => late.abort()).catch(() => undefined)
      throw error
    })
    return this.#running
  }

  [Symbol.dispose](): void {
    for (const stop of this.#listeners) stop()
  }

  #onSignal(): void {
    this.#signals += 1
    if (this.#signals >= 3) return this.#context.terminal.exit(130)
    if (this.#running === null) return this.#giveUpStart()
    const { onStop, deadlineMs, hasServed } = this.#options
    if (this.#signals === 1 && onStop === 'drain') {
      this.#context.print.say(
        hasServed()
          ? 'Handing over what this instance is home of. Once more: flush and stop, to be back soon.'
          : 'Stopping; this instance has served nobody yet.'
      )
      this.#carryOut(this.#handOver(this.#running, deadlineMs))
      return
    }
    this.#context.print.say('Saving everything, then stopping. Once more: end at once.')
    this.#carryOut(this.#running.flush(deadlineMs))
  }

  /** Whoever is to stop stops: where nobody can take over, everything is saved and waits for it to come back. */
  async #handOver(running: RunningInstance, deadlineMs: number): Promise<void> {
    try {
      await running.drain(deadlineMs)
    } catch (error) {
      if (!hasCode(error, 'REFUSED_BY_POLICY') || this.#signals > 1) throw error
      this.#context.print.note(`warning: nothing can be handed over: ${messageOf(error)}`)
      this.#context.print.say('Saving everything, then stopping instead; its users wait until it is back.')
      await running.flush(deadlineMs)
    }
  }

  #onOrphaned(): void {
    this.#signals = Math.max(this.#signals, 2)
    if (this.#running === null) this.#giveUpStart()
    else this.#carryOut(this.#running.flush(this.#options.deadlineMs))
  }

  #giveUpStart(): void {
    this.#early.reject(new NodeDaemonError('ABORTED', 'interrupted before this instance served'))
  }

  /** How it ends is told by `finished`; a refusal is shown, and the instance serves on. */
  #carryOut(work: Promise<void>): void {
    work.catch((error: unknown) => this.#context.print.note(`warning: ${messageOf(error)}`))
  }
}
