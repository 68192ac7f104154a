import { type Clock, sleep, withTimeout } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { forEachParallel } from '../core/parallel.ts'
import type { HookPlace } from './hooks.ts'

/** How often all workspaces are asked: while nothing is handed over, and while something is. */
const CALM_MS = 60_000
const HANDING_OVER_MS = 5000
const ASKED_AT_ONCE = 4
/** Users wait while it is asked again. */
const ASK_AGAIN_MS = 2000

/** Asks whether users are at work in a workspace; null where its service has no way to say so. */
export type AskAtWork = (place: HookPlace) => ((signal: AbortSignal) => Promise<boolean>) | null

export interface AtWorkDeps {
  readonly ask: AskAtWork
  /** The workspaces that this instance is home of. */
  readonly places: () => Promise<readonly HookPlace[]>
  /** Workspaces in which users are at work whatever their apps say. */
  readonly besides: () => readonly WorkspaceId[]
  readonly isHandingOver: () => boolean
  readonly clock: Clock
  readonly log: Logger
}

/** In which workspaces users are at work, as their apps say. */
export class AtWork {
  readonly #deps: AtWorkDeps
  readonly #found = new Set<WorkspaceId>()

  constructor(deps: AtWorkDeps) {
    this.#deps = deps
  }

  /** Each as it was answered last, and those besides. */
  get workspaces(): readonly WorkspaceId[] {
    return [...new Set([...this.#found, ...this.#deps.besides()])]
  }

  /**
   * Asks again, right before a workspace is frozen in which nobody was at work. Where that is not answered soon, the last
   * answer counts.
   *
   * @throws NodeDaemonError `BUSY` somebody is at work by now, which is known from here on
   */
  async checkQuiet(workspace: WorkspaceId): Promise<void> {
    if (this.#found.has(workspace)) return
    const { ask, places, clock, log } = this.#deps
    const place = (await places()).find((one) => one.workspace === workspace)
    const asked = place === undefined ? null : ask(place)
    if (asked === null) return
    try {
      this.#note(workspace, await withTimeout(clock, ASK_AGAIN_MS, 'asking whether users are at work', asked))
    } catch (error) {
      log.info({ workspace, error: messageOf(error) }, 'whether users are at work was not answered again')
    }
    if (this.#found.has(workspace)) throw new NodeDaemonError('BUSY', 'users have just begun to work in it')
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
    const places = await this.#deps.places()
    const here = new Set(places.map(({ workspace }) => workspace))
    for (const workspace of this.#found) if (!here.has(workspace)) this.#found.delete(workspace)
    await forEachParallel(places, ASKED_AT_ONCE, async (place) => {
      this.#note(place.workspace, (await this.#deps.ask(place)?.(signal)) === true)
    })
  }

  #note(workspace: WorkspaceId, isAtWork: boolean): void {
    if (isAtWork) this.#found.add(workspace)
    else this.#found.delete(workspace)
  }
}
