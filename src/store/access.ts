import { BoundedMap } from '../core/bounded-map.ts'
import { hasCode, NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { KeyedMutex } from '../core/mutex.ts'
import { Gate } from './gate.ts'
import type { WorkspaceState } from './ledger-rows.ts'
import { isDamagedRow } from './level.ts'
import { type MarksKey, marksKey } from './marks.ts'
import { openParts, type Parts, type RepositoryDeps } from './open-repository.ts'

const CACHED_WORKSPACES = 10_000
/** What the index needs to open again. */
const RECOVERY_BYTES = 16 * 1024 * 1024

/** Who may work on the repository's parts, and when; brings them in order after a failed write. */
export class Access {
  readonly deps: RepositoryDeps
  readonly marksKey: MarksKey
  readonly #gate = new Gate()
  readonly #queues = new KeyedMutex<WorkspaceId>()
  /** Set only inside a workspace's queue, once the state is durable. */
  readonly #states = new BoundedMap<WorkspaceId, WorkspaceState>(CACHED_WORKSPACES)
  #parts: Parts
  /** What must be done to the index before anything is written again. */
  #repair: 'none' | 'reopen' | 'rebuild' = 'none'
  /** The index may name wrong places in the packs: nothing may be read before it is opened again. */
  #placesUnsure = false
  #closed = false

  constructor(deps: RepositoryDeps, parts: Parts) {
    this.deps = deps
    this.marksKey = marksKey(deps.random)
    this.#parts = parts
  }

  /** One after another for each workspace. */
  inQueue<T>(workspace: WorkspaceId, work: (parts: Parts) => Promise<T>): Promise<T> {
    return this.writing((parts) => this.#queues.run(workspace, () => work(parts)))
  }

  async writing<T>(work: (parts: Parts) => Promise<T>): Promise<T> {
    this.#refuseClosed()
    if (this.#mustRecover()) await this.#gate.alone(() => this.#recover())
    return await this.#enter(work)
  }

  /** Reading goes on where writing cannot be brought back, such as on a full disk. */
  async reading<T>(work: (parts: Parts) => Promise<T>): Promise<T> {
    this.#refuseClosed()
    if (this.#mustRecover()) {
      await this.#gate
        .alone(() => this.#recover())
        .catch((error) => {
          if (this.#placesUnsure) throw error
          this.deps.log.warn({ error }, 'the repository has not recovered yet')
        })
    }
    return await this.#enter(work)
  }

  /**
   * Nobody else works meanwhile. The parts must be the given ones still: what was read before is true of those only. If
   * the work fails, the index is opened again before anything else.
   *
   * @throws NodeDaemonError `BUSY` the repository was brought in order meanwhile
   */
  async alone<T>(parts: Parts, work: () => Promise<T>): Promise<T> {
    return await this.#gate.alone(async () => {
      this.#refuseClosed()
      this.refuseOther(parts)
      if (this.#mustRecover()) throw changed()
      try {
        return await work()
      } catch (error) {
        this.#repair = 'reopen'
        this.#placesUnsure = true
        throw error
      }
    })
  }

  /** @throws NodeDaemonError `BUSY` the repository was brought in order since these were its parts */
  refuseOther(parts: Parts): void {
    if (parts !== this.#parts) throw changed()
  }

  async state({ ledger }: Parts, workspace: WorkspaceId): Promise<WorkspaceState> {
    const known = this.#states.get(workspace)
    if (known !== undefined) return known
    const state = await ledger.settled(workspace)
    this.#states.set(workspace, state)
    return state
  }

  /** To be called inside the workspace's queue, once it is durable. */
  setState(workspace: WorkspaceId, state: WorkspaceState): void {
    this.#states.set(workspace, state)
  }

  /** What is durable of a workspace, for those who do not wait in its queue. */
  async settledState({ ledger }: Parts, workspace: WorkspaceId): Promise<WorkspaceState> {
    return this.#states.get(workspace) ?? (await ledger.settled(workspace))
  }

  async rebuild(): Promise<void> {
    this.#refuseClosed()
    await this.#gate.alone(() => this.#reopen(true))
  }

  /** From now on every call is refused. False where it was so before. */
  shut(): boolean {
    const open = !this.#closed
    this.#closed = true
    return open
  }

  /** To be called after `shut`. Returns once what runs has ended and all is durable. */
  async close(): Promise<void> {
    await this.#gate.alone(async () => {
      const { level } = this.#parts
      try {
        if (!this.#mustRecover()) await this.#save()
      } finally {
        await level.close()
        await this.deps.disk.close()
      }
    })
  }

  async #enter<T>(work: (parts: Parts) => Promise<T>): Promise<T> {
    return await this.#gate.shared(async () => {
      try {
        return await work(this.#parts)
      } catch (error) {
        if (!isDamagedRow(error)) throw error
        this.#repair = 'rebuild'
        throw new NodeDaemonError('BUSY', 'the index is damaged and is being built anew; try again', { cause: error })
      }
    })
  }

  #mustRecover(): boolean {
    const { shelf, packs } = this.#parts
    return this.#repair !== 'none' || shelf.failure !== null || packs.broken
  }

  async #recover(): Promise<void> {
    this.#refuseClosed()
    if (!this.#mustRecover()) return
    const { disk, reserveBytes = 0 } = this.deps
    if ((await disk.freeBytes()) < Math.max(RECOVERY_BYTES, reserveBytes / 2)) {
      throw new NodeDaemonError('NO_SPACE', 'the main repository has no room to recover from a failed write', {
        advice: 'free some space on the disk of the main repository; writing goes on by itself once there is room'
      })
    }
    await this.#reopen(this.#repair === 'rebuild')
  }

  async #reopen(rebuild: boolean): Promise<void> {
    const { packs, level } = this.#parts
    if (!this.#mustRecover()) await this.#parts.shelf.saveIndex()
    await packs.recover()
    // Without an index only the packs can tell that their end was durable.
    if (rebuild) await packs.mark()
    this.#repair = rebuild ? 'rebuild' : 'reopen'
    await level.close()
    this.#states.clear()
    this.#parts = await openParts(this.deps, rebuild)
    this.#repair = 'none'
    this.#placesUnsure = false
  }

  /** Marks the packs as durable, should the index be lost, and makes the index durable with them. */
  async #save(): Promise<void> {
    const { shelf, packs } = this.#parts
    try {
      await packs.mark()
    } catch (error) {
      if (!hasCode(error, 'NO_SPACE')) throw error
      this.deps.log.warn({ error }, 'the packs are not marked as whole, since the disk is full')
    }
    await shelf.saveIndex()
  }

  #refuseClosed(): void {
    if (this.#closed) throw new NodeDaemonError('CLOSED', 'the repository is closed')
  }
}

function changed(): NodeDaemonError {
  return new NodeDaemonError('BUSY', 'the repository was brought in order meanwhile; try again')
}
