import type { CID } from 'multiformats/cid'
import { aborted } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Access } from './access.ts'
import { type Collection, step } from './collection.ts'
import { compact, NOTHING_FREED } from './compaction.ts'
import type { Parts } from './open-repository.ts'
import type { Pins } from './pins.ts'
import type { GcOptions, GcReport, HistoryRange } from './repository.ts'
import { retention } from './retention.ts'
import type * as rows from './rows.ts'
import { linkedWorkspaces, Sweep } from './sweep.ts'

const WORKSPACES_PAGE = 256
const HEADS_PAGE = 1000

/**
 * Gives back what no head needs, in three steps: heads leave their histories; blocks that no head, no pin and no young
 * write holds leave their workspaces; packs are written anew without the blocks that no workspace holds.
 */
export class Collector {
  readonly #access: Access
  readonly #pins: Pins
  readonly #stop = new AbortController()
  /** Heads that somebody reads, and how many do. */
  readonly #retained = new Map<string, number>()
  #sweep: Sweep | null = null
  #running: Promise<GcReport> | null = null

  constructor(access: Access, pins: Pins) {
    this.#access = access
    this.#pins = pins
  }

  /** The head stays in its history until the returned function is called. */
  retain(head: CID): () => void {
    const name = head.toString()
    this.#retained.set(name, (this.#retained.get(name) ?? 0) + 1)
    return () => {
      const left = (this.#retained.get(name) ?? 1) - 1
      if (left > 0) this.#retained.set(name, left)
      else this.#retained.delete(name)
    }
  }

  /** A head with this root comes, or might: to be called in the workspace's queue before anything is read. */
  protect(workspace: WorkspaceId, root: CID): void {
    if (this.#sweep?.workspace === workspace) this.#sweep.protect(root)
  }

  /** See `MainRepository.gc`. */
  async run(options: GcOptions): Promise<GcReport> {
    if (this.#running !== null) throw new NodeDaemonError('BUSY', 'the repository is being cleared up already')
    const release = this.#pins.hold()
    this.#running = this.#collect(options)
    try {
      return await this.#running
    } finally {
      this.#running = null
      release()
    }
  }

  /** Lets the run that is under way end early. */
  async stop(): Promise<void> {
    this.#stop.abort(new NodeDaemonError('CLOSED', 'the repository is closed'))
    await this.#running?.catch(() => undefined)
  }

  async #collect(options: GcOptions): Promise<GcReport> {
    const signal = AbortSignal.any([this.#stop.signal, ...(options.signal === undefined ? [] : [options.signal])])
    const parts = await this.#access.writing(async (found) => {
      await found.shelf.saveIndex()
      return found
    })
    const run: Collection = { ...options, access: this.#access, parts, pins: this.#pins, signal }
    const headsDropped = await this.#thinAll(run)
    const whole = await this.#sweepAll(run)
    return { headsDropped, ...(whole ? await compact(run) : NOTHING_FREED) }
  }

  async #thinAll(run: Collection): Promise<number> {
    let dropped = 0
    for (let after: WorkspaceId | null = null; ; ) {
      const page: WorkspaceId[] = await step(run, ({ ledger }) => ledger.workspaces(after, WORKSPACES_PAGE))
      for (const workspace of page) dropped += await this.#thin(run, workspace)
      after = page.at(-1) ?? null
      if (after === null) return dropped
    }
  }

  async #thin(run: Collection, workspace: WorkspaceId): Promise<number> {
    const stays = retention(run.policy)
    let dropped = 0
    for (let range: HistoryRange = { limit: HEADS_PAGE }; ; ) {
      const page = await step(run, ({ ledger }) => ledger.past(workspace, range))
      // A base that comes later is the tip by then, and not among those that may go.
      const base = await step(run, (parts) => newestBase(parts, workspace))
      const spare = page.filter(({ cid, acceptedAtMs }) => !stays(acceptedAtMs) && base?.equals(cid) !== true)
      if (spare.length > 0) {
        dropped += await run.access.inQueue(workspace, (parts) => this.#drop(run, parts, workspace, spare))
      }
      const last = page.at(-1)
      if (last === undefined || page.length < HEADS_PAGE) return dropped
      range = { limit: HEADS_PAGE, before: last.sequence }
    }
  }

  async #drop(
    run: Collection,
    parts: Parts,
    workspace: WorkspaceId,
    heads: readonly rows.HistoryRow[]
  ): Promise<number> {
    run.access.refuseOther(parts)
    if (run.signal.aborted) throw aborted(run.signal)
    const { shelf, ledger } = parts
    const locations = await shelf.locations(heads.map(({ cid }) => cid))
    const going = heads.filter(({ cid }, index) => {
      const location = locations[index] ?? null
      const young = location !== null && shelf.horizon.isYoung(location)
      return !young && !this.#retained.has(cid.toString())
    })
    if (going.length > 0) await ledger.drop(going.map(({ cid, sequence }) => ({ cid, sequence, workspace })))
    return going.length
  }

  /** False where not all that is needed is known to be linked to its workspace. */
  async #sweepAll(run: Collection): Promise<boolean> {
    if (run.parts.shelf.horizon.old === null) return false
    let whole = true
    for await (const workspace of linkedWorkspaces(run)) {
      this.#sweep = new Sweep(run, workspace)
      try {
        if (!(await this.#sweep.run())) whole = false
      } finally {
        this.#sweep = null
      }
    }
    await run.access.writing(({ shelf }) => shelf.settle())
    return whole
  }
}

/** The base of the present epoch, on which its proofs rest. */
async function newestBase({ ledger }: Parts, workspace: WorkspaceId): Promise<CID | null> {
  const { sealedEpoch } = await ledger.settled(workspace)
  return sealedEpoch === 0 ? null : ((await ledger.base(workspace, sealedEpoch))?.cid ?? null)
}
