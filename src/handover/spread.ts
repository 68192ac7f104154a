import { type Clock, type Instant, sleep, withTimeout } from '../core/clock.ts'
import { hasCode, messageOf } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { OneRun } from '../core/one-run.ts'
import { forEachParallel } from '../core/parallel.ts'
import { badlyPlaced, betterSpread, type Exchange } from '../placement/place.ts'
import type { Director } from './director.ts'
import type { Holdings } from './holdings.ts'
import type { Instances } from './neighbours.ts'
import type { OwnershipTable } from './ownership-table.ts'
import { isReplaced } from './standbys.ts'

/** Each of them copies a whole workspace. */
const AT_ONCE = 4
const EXCHANGE_MS = 60 * 60_000
const LOOK_AGAIN_MS = 5000
/** Workspaces that are looked at without a pause. */
const LOOKED_AT = 5000

export interface SpreadDeps {
  readonly director: Pick<Director, 'tend'>
  readonly table: OwnershipTable
  readonly instances: Instances
  readonly holdings: Holdings
  readonly usedBytes: (workspace: WorkspaceId) => number
  /** Shared with who tends to standbys: the exchanges that are under way. */
  readonly exchanges: Map<WorkspaceId, Exchange>
  readonly clock: Clock
  readonly log: Logger
}

/**
 * Moves standbys, a few at a time, to where a workspace is in one zone more. The old one stays until the new one holds as
 * much. Nothing is moved for anything but a zone.
 */
export class Spread {
  readonly #deps: SpreadDeps
  readonly #looking: OneRun

  constructor(deps: SpreadDeps) {
    this.#deps = deps
    this.#looking = new OneRun(
      (signal) => this.#look(signal),
      (error) => deps.log.warn({ error: messageOf(error) }, 'standbys were not spread')
    )
  }

  /** Zones may have changed: an instance came, or was labelled. */
  look(): void {
    this.#looking.ask()
  }

  close(): Promise<void> {
    return this.#looking.close()
  }

  async #look(signal: AbortSignal): Promise<void> {
    const found = await this.#badlyPlaced(signal)
    await forEachParallel(found, AT_ONCE, (workspace) => this.#improve(workspace, signal))
  }

  async #badlyPlaced(signal: AbortSignal): Promise<WorkspaceId[]> {
    const { table, instances, clock } = this.#deps
    const zones = new Map(instances.candidates().map(({ peer, zone }) => [peer, zone]))
    if (new Set([...zones.values()].filter((zone) => zone !== null)).size < 2) return []
    const zone = (peer: PeerIdText): string | null => zones.get(peer) ?? null
    const found: WorkspaceId[] = []
    let looked = 0
    for (const { signed } of [...table.all()]) {
      if (++looked % LOOKED_AT === 0) await sleep(clock, 1, signal)
      const { workspace, home, standbys } = signed.value
      // Of who is away nobody knows the zone. Looked at again when it is back.
      if (home === null || [home, ...standbys].some((peer) => instances.isAwaited(peer))) continue
      if (badlyPlaced(home, standbys, zone) !== undefined) found.push(workspace)
    }
    return found
  }

  async #improve(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    const { director, table, instances, usedBytes, exchanges, clock } = this.#deps
    const owned = table.get(workspace)?.signed.value
    if (owned === undefined || signal.aborted) return
    const what = { workspace, service: owned.service, bytes: usedBytes(workspace) }
    const exchange = betterSpread(what, owned.home, owned.standbys, instances.candidates())
    if (exchange === null) return
    exchanges.set(workspace, exchange)
    try {
      await director.tend(workspace)
      await this.#replaced(workspace, exchange, clock.now() + EXCHANGE_MS, signal)
      await director.tend(workspace)
    } finally {
      exchanges.delete(workspace)
      // Where it did not come to an end, the newest one is one too many.
      if (!signal.aborted) await director.tend(workspace)
    }
  }

  /** Resolves once the new standby holds as much, or cannot come to it. */
  async #replaced(workspace: WorkspaceId, exchange: Exchange, until: Instant, signal: AbortSignal): Promise<void> {
    const { table, instances, holdings, clock } = this.#deps
    const isUnderWay = (): boolean =>
      clock.now() < until &&
      instances.isConnected(exchange.add) &&
      table.get(workspace)?.signed.value.standbys.includes(exchange.add) === true
    while (isUnderWay() && !isReplaced(holdings, workspace, exchange)) {
      try {
        await withTimeout(clock, LOOK_AGAIN_MS, 'a receipt', (inner) => holdings.changed(workspace, inner), signal)
      } catch (error) {
        if (!hasCode(error, 'TIMED_OUT') || signal.aborted) throw error
      }
    }
  }
}
