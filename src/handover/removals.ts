import type { Clock, TimerHandle } from '../core/clock.ts'
import { codeOf, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { KeyedMutex } from '../core/mutex.ts'
import { forEachParallel } from '../core/parallel.ts'
import type { Audit } from '../membership/audit.ts'
import type { MainRepository } from '../store/repository.ts'
import type { Director } from './director.ts'
import type { Holdings } from './holdings.ts'
import type { LostHeads } from './lost-heads.ts'
import type { Instances } from './neighbours.ts'
import type { OwnershipTable, RemovedWorkspace } from './ownership-table.ts'

const ORDER_MS = 15_000
const AGAIN_MS = 60_000
const AT_ONCE = 16

export interface RemovalsDeps {
  readonly table: OwnershipTable
  readonly director: Pick<Director, 'remove'>
  readonly repository: Pick<MainRepository, 'forget'>
  readonly instances: Pick<Instances, 'isConnected' | 'order'>
  readonly holdings: Pick<Holdings, 'forget'>
  readonly lost: Pick<LostHeads, 'forget'>
  readonly isMember: (peer: PeerIdText) => boolean
  /** The workspace is no more: what is remembered of it may be forgotten. */
  readonly onRemoved: (workspace: WorkspaceId) => void
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Logger
}

/**
 * Removes workspaces for good, in an order that may break off anywhere:
 *
 *   audit line ─▶ last ownership record ─▶ heads of the repository ─▶ files of each holder ─▶ (forgotten)
 *
 * From the record on nobody reaches the workspace; what follows is done again until it is done. An instance that is away
 * removes its files when it is back.
 */
export class Removals {
  readonly #deps: RemovalsDeps
  readonly #work = new KeyedMutex<WorkspaceId>()
  #again: TimerHandle | null = null
  #closed = false

  constructor(deps: RemovalsDeps) {
    this.#deps = deps
  }

  /**
   * On return nobody reaches the workspace any more, and those of its holders that are connected were told.
   *
   * @param by who wants it, and `why`: for the audit log
   * @param check asked last, right before it begins; throws to refuse
   * @throws NodeDaemonError `NOT_FOUND`; `BUSY` promotions are held: nothing was removed
   */
  async remove(workspace: WorkspaceId, by: string, why: string, check: () => void = () => undefined): Promise<void> {
    const { table, director, audit, onRemoved, holdings } = this.#deps
    const value = table.get(workspace)?.signed.value
    if (value === undefined) throw new NodeDaemonError('NOT_FOUND', `no workspace ${workspace}`)
    const { service, owner } = value
    const details = { service, owner, why }
    await audit({ actor: by, action: 'workspace.rm', target: workspace, details })
    const removed = await director.remove(workspace, check).catch(async (error: unknown) => {
      await audit({
        actor: 'coordinator',
        action: 'workspace.rm.undone',
        target: workspace,
        details: { error: codeOf(error) }
      })
      throw error
    })
    for (const peer of removed.holders) holdings.forget(workspace, peer)
    onRemoved(workspace)
    await this.#carryOut(removed)
  }

  /** Goes on with what a stop broke off. */
  resume(): void {
    void this.#carryOutAll(this.#deps.table.allRemoved())
  }

  /** An instance is connected: it removes the files of what was removed meanwhile. Never rejects. */
  async welcome(peer: PeerIdText): Promise<void> {
    await this.#carryOutAll(this.#deps.table.allRemoved().filter(({ holders }) => holders.includes(peer)))
  }

  close(): void {
    this.#closed = true
    this.#again?.cancel()
  }

  #carryOutAll(all: readonly RemovedWorkspace[]): Promise<void> {
    return forEachParallel(all, AT_ONCE, (removed) => this.#carryOut(removed))
  }

  /** Never rejects: what fails is tried again. */
  #carryOut({ signed }: RemovedWorkspace): Promise<void> {
    const { workspace } = signed.value
    return this.#work.run(workspace, async () => {
      const removed = this.#deps.table.removed(workspace)
      if (removed === null || this.#closed) return
      try {
        await this.#deps.lost.forget(workspace)
        await this.#deps.repository.forget(workspace)
        await this.#deps.table.setHolders(workspace, await this.#stillHolding(removed))
      } catch (error) {
        this.#deps.log.warn({ workspace, error: messageOf(error) }, 'a removal is not done yet, and is tried again')
        this.#tryAgain()
      }
    })
  }

  /** Has the holders remove their files; those that have not, and are members still. */
  async #stillHolding({ signed, holders }: RemovedWorkspace): Promise<PeerIdText[]> {
    const { instances, isMember, log } = this.#deps
    const { workspace } = signed.value
    const left: PeerIdText[] = []
    await Promise.all(
      holders.filter(isMember).map(async (peer) => {
        try {
          if (!instances.isConnected(peer)) left.push(peer)
          else await instances.order(peer, { kind: 'release', ownership: signed.bytes }, ORDER_MS)
        } catch (error) {
          left.push(peer)
          log.info({ workspace, peer, error: messageOf(error) }, 'an instance has not removed the files yet')
          this.#tryAgain()
        }
      })
    )
    return left.sort()
  }

  #tryAgain(): void {
    this.#again ??= this.#deps.clock.after(AGAIN_MS, () => {
      this.#again = null
      this.resume()
    })
  }
}
