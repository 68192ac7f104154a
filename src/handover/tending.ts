import { type Clock, sleep } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { OneRun } from '../core/one-run.ts'
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
  readonly #looking: OneRun

  constructor(deps: TendingDeps, options: { readonly standbys: number }) {
    this.#deps = deps
    this.#standbys = options.standbys
    this.#looking = new OneRun(
      (signal) => this.#look(signal),
      (error) => deps.log.warn({ error: messageOf(error) }, 'standbys were not seen to')
    )
  }

  /** There may be more room: an instance came, or promotions are not held any more. */
  look(): void {
    this.#looking.ask()
  }

  close(): Promise<void> {
    return this.#looking.close()
  }

  async #look(signal: AbortSignal): Promise<void> {
    await forEachParallel(await this.#lacking(signal), AT_ONCE, async (workspace) => {
      if (!signal.aborted) await this.#deps.director.tend(workspace)
    })
    this.#deps.onLooked()
  }

  /** Those that have too few standbys and could have one more now, or have one that cannot serve them. */
  async #lacking(signal: AbortSignal): Promise<WorkspaceId[]> {
    const { director, table, instances, hold, usedBytes, clock } = this.#deps
    if (hold.reason !== null) return []
    const candidates = instances.candidates()
    const here = new Map(candidates.map((one) => [one.peer, one]))
    const found: WorkspaceId[] = []
    let looked = 0
    for (const { signed } of [...table.all()]) {
      if (++looked % LOOKED_AT === 0) await sleep(clock, 0, signal)
      const { workspace, service, home, standbys } = signed.value
      if (!passes(director.state(workspace))) continue
      const what = { workspace, service, bytes: usedBytes(workspace) }
      const grows = standbys.length < this.#standbys && mayGrow(what, home, standbys, candidates)
      const misplaced = standbys.some((peer) => here.get(peer)?.services.includes(service) === false)
      if (grows || misplaced) found.push(workspace)
    }
    return found
  }
}
