import { type Clock, sleep } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { forEachParallel } from '../core/parallel.ts'
import { mayGrow } from '../placement/place.ts'
import type { Director } from './director.ts'
import type { Instances } from './neighbours.ts'
import type { OwnershipTable } from './ownership-table.ts'
import type { PromotionHold } from './promotion-hold.ts'
import { passes } from './workspace-state.ts'

const AT_ONCE = 16
/** Workspaces that are looked at without a pause. */
const LOOKED_AT = 200

export interface TendingDeps {
  readonly director: Pick<Director, 'tend' | 'state'>
  readonly table: Pick<OwnershipTable, 'all'>
  readonly instances: Pick<Instances, 'candidates'>
  readonly hold: PromotionHold
  readonly usedBytes: (workspace: WorkspaceId) => number
  /** Called after each look at all of them. */
  readonly onLooked: () => void
  readonly clock: Clock
  readonly log: Logger
}

/** Gives standbys to workspaces that have too few. One look at all of them serves all who ask for one meanwhile. */
export class Tending {
  readonly #deps: TendingDeps
  readonly #standbys: number
  readonly #stopped = new AbortController()
  #running: Promise<void> | null = null
  #again = false

  constructor(deps: TendingDeps, options: { readonly standbys: number }) {
    this.#deps = deps
    this.#standbys = options.standbys
  }

  /** There may be more room: an instance came, or promotions are not held any more. */
  look(): void {
    if (this.#stopped.signal.aborted) return
    this.#again = true
    this.#running ??= this.#run().catch((error: unknown) => {
      if (!this.#stopped.signal.aborted) this.#deps.log.warn({ error: messageOf(error) }, 'standbys were not seen to')
    })
  }

  async close(): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    try {
      while (this.#again) {
        this.#again = false
        await forEachParallel(await this.#lacking(), AT_ONCE, async (workspace) => {
          if (!this.#stopped.signal.aborted) await this.#deps.director.tend(workspace)
        })
        this.#deps.onLooked()
      }
    } finally {
      this.#running = null
    }
  }

  /** Those that have too few standbys, and could have one more now. */
  async #lacking(): Promise<WorkspaceId[]> {
    const { director, table, instances, hold, usedBytes, clock } = this.#deps
    if (hold.reason !== null) return []
    const candidates = instances.candidates()
    const found: WorkspaceId[] = []
    let looked = 0
    for (const { signed } of [...table.all()]) {
      if (++looked % LOOKED_AT === 0) await sleep(clock, 0, this.#stopped.signal)
      const { workspace, service, home, standbys } = signed.value
      if (standbys.length >= this.#standbys || !passes(director.state(workspace))) continue
      const what = { workspace, service, bytes: usedBytes(workspace) }
      if (mayGrow(what, home, standbys, candidates)) found.push(workspace)
    }
    return found
  }
}
