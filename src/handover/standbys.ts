import { type Clock, withTimeout } from '../core/clock.ts'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { chooseStandbys, type Exchange } from '../placement/place.ts'
import type { MainRepository } from '../store/repository.ts'
import type { Holdings } from './holdings.ts'
import type { Instances } from './neighbours.ts'
import type { OwnedWorkspace, OwnershipTable } from './ownership-table.ts'

const ORDER_MS = 15_000
const LOOK_AGAIN_MS = 1000

export interface StandbysDeps {
  readonly repository: Pick<MainRepository, 'tip'>
  readonly table: OwnershipTable
  readonly instances: Instances
  readonly holdings: Holdings
  readonly usedBytes: (workspace: WorkspaceId) => number
  readonly clock: Clock
  readonly log: Logger
}

export interface StandbyOptions {
  /** How many a workspace should have. */
  readonly standbys: number
  /** Standbys that are being replaced: one that is to come counts beside the one that is to go, until it holds as much. */
  readonly exchanges: ReadonlyMap<WorkspaceId, Exchange>
}

type Told = Pick<OwnedWorkspace['signed'], 'value' | 'bytes'>
type StandbyOrder = 'assume' | 'follow' | 'release'

/** Who stands by for a workspace. Called one at a time for each workspace. */
export class Standbys {
  readonly #deps: StandbysDeps
  readonly #options: StandbyOptions

  constructor(deps: StandbysDeps, options: StandbyOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** Sees to it that the workspace has the standbys that it should have. Never rejects: it is tried again later. */
  async tend(workspace: WorkspaceId): Promise<void> {
    try {
      await this.#tend(workspace)
    } catch (error) {
      this.#deps.log.warn({ workspace, error: messageOf(error) }, 'the standbys of a workspace were not seen to')
    }
  }

  async #tend(workspace: WorkspaceId): Promise<void> {
    const { table, instances, holdings, usedBytes } = this.#deps
    const { service, home, standbys, epoch } = this.#owned(workspace).signed.value
    if (home === null) return
    const what = { workspace, service, bytes: usedBytes(workspace) }
    const { count, first } = this.#underExchange(workspace, standbys)
    const isAwaited = instances.isAwaited.bind(instances)
    const wanted = chooseStandbys(what, home, first, instances.candidates(), count, isAwaited)
    if (wanted.length === standbys.length && wanted.every((peer) => standbys.includes(peer))) return
    const changed = await table.setStandbys(workspace, epoch, wanted)
    const dropped = standbys.filter((peer) => !wanted.includes(peer))
    const added = wanted.filter((peer) => !standbys.includes(peer))
    for (const peer of dropped) holdings.forget(workspace, peer)
    await this.#tellReaders(changed.signed, added)
    await Promise.all([
      ...added.map((peer) => this.order(peer, changed.signed, 'follow')),
      ...dropped.map((peer) => this.order(peer, changed.signed, 'release'))
    ])
  }

  #underExchange(workspace: WorkspaceId, standbys: readonly PeerIdText[]): { count: number; first: PeerIdText[] } {
    const { standbys: count, exchanges } = this.#options
    const exchange = exchanges.get(workspace)
    if (exchange === undefined) return { count, first: [...standbys] }
    const { add, drop } = exchange
    const others = standbys.filter((peer) => peer !== add && peer !== drop)
    if (isReplaced(this.#deps.holdings, workspace, exchange)) return { count, first: [...others, add] }
    return { count: count + 1, first: [...others, ...(standbys.includes(drop) ? [drop] : []), add] }
  }

  /** Those that have the workspace already give its blocks to those that the record names: they must know it first. */
  async #tellReaders({ value, bytes }: Told, added: readonly PeerIdText[]): Promise<void> {
    if (added.length === 0) return
    const { home, standbys } = value
    for (const peer of standbys) if (!added.includes(peer)) void this.order(peer, { value, bytes }, 'follow')
    if (home !== null) await this.order(home, { value, bytes }, 'assume')
  }

  /**
   * Makes the target a standby, and waits until it holds a head as new as the newest one of now.
   *
   * @throws NodeDaemonError `OUT_OF_REACH` the target or the home went away, or the target takes nothing any more; `ABORTED`, `TIMED_OUT` by the signal
   */
  async bringUpToDate(workspace: WorkspaceId, to: PeerIdText, signal: AbortSignal): Promise<void> {
    const { table, instances, holdings, repository } = this.#deps
    const { home, standbys, epoch } = this.#owned(workspace).signed.value
    if (!standbys.includes(to)) {
      const owned = await table.setStandbys(workspace, epoch, [...standbys, to])
      await this.#tellReaders(owned.signed, [to])
      await this.#orderNow(to, owned.signed, 'follow')
    }
    const wanted = (await repository.tip(workspace))?.tip.sequence ?? 0
    while (holdings.sequence(workspace, to) < wanted) {
      // A failover waits for this move to end: it must not wait for a long copy.
      const away = [to, home].find((peer) => peer !== null && !instances.isConnected(peer))
      if (away) throw new NodeDaemonError('OUT_OF_REACH', `${instances.nameOf(away)} went away`)
      await this.#receipt(workspace, signal)
    }
    // It may have begun to drain while it caught up.
    if (instances.candidates().some(({ peer }) => peer === to)) return
    throw new NodeDaemonError('OUT_OF_REACH', `${instances.nameOf(to)} takes nothing any more`)
  }

  /**
   * Another instance stands by in place of one, which lets go once the other holds the newest head.
   *
   * @throws NodeDaemonError as `bringUpToDate` does; both stand by then
   */
  async replace(workspace: WorkspaceId, from: PeerIdText, to: PeerIdText, signal: AbortSignal): Promise<void> {
    const { table, holdings } = this.#deps
    await this.bringUpToDate(workspace, to, signal)
    const { standbys, epoch } = this.#owned(workspace).signed.value
    if (!standbys.includes(from)) return
    const changed = await table.setStandbys(
      workspace,
      epoch,
      standbys.filter((peer) => peer !== from)
    )
    holdings.forget(workspace, from)
    await this.order(from, changed.signed, 'release')
  }

  /** The next receipt for the workspace, or a moment later: whoever sends receipts may go away without a word. */
  async #receipt(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    const { clock, holdings } = this.#deps
    try {
      await withTimeout(clock, LOOK_AGAIN_MS, 'a receipt', (inner) => holdings.changed(workspace, inner), signal)
    } catch (error) {
      if (!hasCode(error, 'TIMED_OUT') || signal.aborted) throw error
    }
  }

  /** Told again when the instance connects, so that a failure may be left at that. */
  async order(peer: PeerIdText, signed: Told, kind: StandbyOrder): Promise<void> {
    try {
      await this.#orderNow(peer, signed, kind)
    } catch (error) {
      const { workspace } = signed.value
      this.#deps.log.info({ workspace, peer, kind, error: messageOf(error) }, 'an order waits for the next connection')
    }
  }

  async #orderNow(peer: PeerIdText, signed: Told, kind: StandbyOrder): Promise<void> {
    await this.#deps.instances.order(peer, { kind, ownership: signed.bytes }, ORDER_MS)
  }

  #owned(workspace: WorkspaceId): OwnedWorkspace {
    const owned = this.#deps.table.get(workspace)
    if (owned === null) throw new NodeDaemonError('NOT_FOUND', `no workspace ${workspace}`)
    return owned
  }
}

/** Does the one that is to come hold as much as the one that is to go? */
export function isReplaced(holdings: Holdings, workspace: WorkspaceId, { add, drop }: Exchange): boolean {
  const held = holdings.sequence(workspace, add)
  return held > 0 && held >= holdings.sequence(workspace, drop)
}
