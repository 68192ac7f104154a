import { type Clock, sleep } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { forEachParallel } from '../core/parallel.ts'
import type { HookPlace } from './hooks.ts'

/** How often all workspaces are asked: while nothing is handed over, and while something is. */
const CALM_MS = 60_000
const HANDING_OVER_MS = 5000
const ASKED_AT_ONCE = 4

/** Asks whether users are at work in a workspace; null where its service has no way to say so. */
export type AskAtWork = (place: HookPlace) => ((signal: AbortSignal) => Promise<boolean>) | null

export interface AtWorkDeps {
  readonly ask: AskAtWork
  /** The workspaces that this instance is home of. */
  readonly places: () => Promise<readonly HookPlace[]>
  readonly isHandingOver: () => boolean
  readonly clock: Clock
  readonly log: Logger
}

/** In which workspaces users are at work, as their apps say. */
export class AtWork {
  readonly #deps: AtWorkDeps
  #workspaces: readonly WorkspaceId[] = []

  constructor(deps: AtWorkDeps) {
    this.#deps = deps
  }

  /** As of the last look, which is at most a minute old. */
  get workspaces(): readonly WorkspaceId[] {
    return this.#workspaces
  }

  /** Until the signal. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, isHandingOver } = this.#deps
    while (!signal.aborted) {
      try {
        await this.#look(signal)
        const waitMs = isHandingOver() ? 0 : CALM_MS - HANDING_OVER_MS
        for (let waited = 0; waited <= waitMs && (waited === 0 || !isHandingOver()); waited += HANDING_OVER_MS) {
          await sleep(clock, HANDING_OVER_MS, signal)
        }
      } catch (error) {
        if (signal.aborted) return
        log.warn({ error: messageOf(error) }, 'the apps were not asked whether users are at work')
        await sleep(clock, CALM_MS, signal).catch(() => undefined)
      }
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const found: WorkspaceId[] = []
    await forEachParallel(await this.#deps.places(), ASKED_AT_ONCE, async (place) => {
      if ((await this.#deps.ask(place)?.(signal)) === true) found.push(place.workspace)
    })
    this.#workspaces = found
  }
}
