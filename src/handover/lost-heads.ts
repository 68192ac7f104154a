import type { CID } from 'multiformats/cid'
import { open } from '../core/envelope.ts'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { KeyedMutex } from '../core/mutex.ts'
import { forEachParallel } from '../core/parallel.ts'
import { headRecord } from '../core/records.ts'
import { Rounds } from '../core/rounds.ts'
import type { Audit } from '../membership/audit.ts'
import type { ControlStore } from '../store/control-store.ts'
import { type RegainDeps, regainHead } from './regain.ts'
import { type HeldHead, isLater } from './testimony.ts'

const PREFIX = 'lost-head/'
const AT_ONCE = 4

interface Stored {
  readonly head: string
  readonly holders: readonly PeerIdText[]
}

export interface LostHeadsDeps extends RegainDeps {
  readonly store: ControlStore
  readonly isMember: (peer: PeerIdText) => boolean
  readonly nameOf: (peer: PeerIdText) => string
  readonly audit: Audit
  /** Aborted when the coordinator stops. */
  readonly signal: AbortSignal
}

/**
 * The newest heads of workspaces that the repository has lost and instances hold, until the repository has them again.
 * As long as one is listed, nobody may promote the workspace from what the repository has.
 */
export class LostHeads {
  readonly #deps: LostHeadsDeps
  readonly #heads = new Map<WorkspaceId, HeldHead>()
  readonly #work = new KeyedMutex<WorkspaceId>()
  readonly #rounds = new Rounds(() => this.#fetchEach())
  #fetched = 0

  private constructor(deps: LostHeadsDeps) {
    this.#deps = deps
  }

  static async open(deps: LostHeadsDeps): Promise<LostHeads> {
    const lost = new LostHeads(deps)
    for await (const { value } of deps.store.list(PREFIX)) {
      const { head, holders } = JSON.parse(Buffer.from(value).toString()) as Stored
      const signed = await open(headRecord, Buffer.from(head, 'base64'))
      lost.#heads.set(signed.value.workspace, { head: signed, holders })
    }
    return lost
  }

  get count(): number {
    return this.#heads.size
  }

  /** The head of this workspace that the repository has lost; null where it lacks none. */
  get(workspace: WorkspaceId): CID | null {
    return this.#heads.get(workspace)?.head.cid ?? null
  }

  /** Durable on return. Where a later one of the workspace is listed already, that stays. */
  async add(held: HeldHead): Promise<void> {
    const { workspace } = held.head.value
    const listed = this.#heads.get(workspace)?.head
    if (listed !== undefined && isLater(listed, held.head)) return
    const stored: Stored = { head: Buffer.from(held.head.bytes).toString('base64'), holders: held.holders }
    await this.#deps.store.put(PREFIX + workspace, Buffer.from(JSON.stringify(stored)), { ifRevision: 'any' })
    this.#heads.set(workspace, held)
  }

  /** The repository has this head again, or one that came after it. Durable on return. */
  async forget(workspace: WorkspaceId): Promise<void> {
    if (!this.#heads.has(workspace)) return
    await this.#deps.store.remove(PREFIX + workspace, { ifRevision: 'any' })
    this.#heads.delete(workspace)
  }

  /**
   * On return the repository lacks no head of this workspace. Where every instance that held one has ceased to be a
   * member, it is given up, which the audit log tells.
   *
   * @throws NodeDaemonError `OUT_OF_REACH` those that hold it are away, or do not have all of it now
   */
  async regained(workspace: WorkspaceId): Promise<void> {
    await this.#work.run(workspace, () => this.#regain(workspace))
  }

  /** Has it been fetched now? */
  async #regain(workspace: WorkspaceId): Promise<boolean> {
    const held = this.#heads.get(workspace)
    if (held === undefined) return false
    if (await this.#fetch(held)) {
      await this.forget(workspace)
      return true
    }
    const { holders, head } = held
    const left = holders.filter(this.#deps.isMember)
    if (left.length > 0) {
      const names = left.map(this.#deps.nameOf).join(', ')
      throw new NodeDaemonError('OUT_OF_REACH', `the newest state of workspace ${workspace} is on ${names} only`, {
        advice: 'start these instances; where one is gone for good, revoke it (node-daemon peers revoke)'
      })
    }
    const details = { head: head.cid.toString(), sequence: head.value.sequence, holders }
    await this.#deps.audit({ actor: 'coordinator', action: 'workspace.head-lost', target: workspace, details })
    this.#deps.log.error({ workspace, ...details }, 'the newest state of a workspace is lost: who held it is no member')
    await this.forget(workspace)
    return false
  }

  async #fetch(held: HeldHead): Promise<boolean> {
    const { log, signal } = this.#deps
    const { workspace, sequence } = held.head.value
    try {
      if (!(await regainHead(this.#deps, held, 'tip', signal))) return false
      log.warn({ workspace, sequence }, 'the repository has the newest state of a workspace again')
      return true
    } catch (error) {
      if (hasCode(error, 'CONFLICT', 'SEALED')) return true
      throw error
    }
  }

  /**
   * Fetches what can be had now. Never rejects: what cannot be had is tried again when an instance connects. One round
   * serves all who ask for one meanwhile.
   */
  fetchAll(): Promise<void> {
    return this.#rounds.run()
  }

  /** How many heads `fetchAll` has fetched since this was asked last. */
  takeFetched(): number {
    const fetched = this.#fetched
    this.#fetched = 0
    return fetched
  }

  async #fetchEach(): Promise<void> {
    await forEachParallel([...this.#heads.keys()], AT_ONCE, async (workspace) => {
      if (this.#deps.signal.aborted) return
      try {
        if (await this.#work.run(workspace, () => this.#regain(workspace))) this.#fetched++
      } catch (error) {
        this.#deps.log.warn(
          { workspace, error: messageOf(error) },
          'the repository lacks the newest state of a workspace'
        )
      }
    })
  }
}
