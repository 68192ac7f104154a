import { CID } from 'multiformats/cid'
import type { Tip } from '../content/heads.ts'
import { walkClosure } from '../content/tree.ts'
import { type Block, verifyBlock } from '../core/blocks.ts'
import { BoundedMap } from '../core/bounded-map.ts'
import type { Signed } from '../core/envelope.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { KeyedMutex } from '../core/mutex.ts'
import type { Seal, SignedHead } from '../core/records.ts'
import type { Location } from './car.ts'
import { checkClosure } from './closure.ts'
import { Gate } from './gate.ts'
import { follows, tipOf, type WorkspaceState, withTip } from './ledger.ts'
import { isDamagedRow } from './level.ts'
import { openParts, type Parts, type RepositoryDeps } from './open-repository.ts'
import type { Damage, GcReport, JudgedState, MainRepository, RepositoryStats, VerifyReport } from './repository.ts'
import { type Counts, WORKSPACE_ROWS } from './rows.ts'
import { verifyBatch } from './verify.ts'

const CACHED_WORKSPACES = 10_000
const DIVERGED_TOLD = 1000
const DAMAGED_TOLD = 1000
/** What the index needs to open again. */
const RECOVERY_BYTES = 16 * 1024 * 1024

/**
 * Opens the main repository, bringing its packs and its index in order after whatever stop.
 *
 * @throws NodeDaemonError `DATA_FOLDER_IN_USE` when another process has its index open
 */
export async function openRepository(deps: RepositoryDeps): Promise<MainRepository> {
  return new Repository(deps, await openParts(deps, false))
}

class Repository implements MainRepository {
  readonly #deps: RepositoryDeps
  readonly #gate = new Gate()
  readonly #queues = new KeyedMutex<WorkspaceId>()
  /** Set only inside a workspace's queue, once the state is durable. */
  readonly #states = new BoundedMap<WorkspaceId, WorkspaceState>(CACHED_WORKSPACES)
  #parts: Parts
  /** What must be done to the index before anything is written again. */
  #repair: 'none' | 'reopen' | 'rebuild' = 'none'
  #closed = false
  readonly #damaged = new Map<string, CID>()

  constructor(deps: RepositoryDeps, parts: Parts) {
    this.#deps = deps
    this.#parts = parts
  }

  missing(workspace: WorkspaceId, cids: readonly CID[]): Promise<CID[]> {
    return this.#reading(async ({ shelf }) => {
      const states = await shelf.view(workspace).states(cids)
      return cids.filter((_, index) => states[index]?.held !== true)
    })
  }

  keep(workspace: WorkspaceId, blocks: readonly Block[]): Promise<void> {
    return this.#writing(({ shelf }) => shelf.keep(workspace, blocks))
  }

  flush(): Promise<void> {
    return this.#writing(({ shelf }) => shelf.settle())
  }

  read(workspace: WorkspaceId, cid: CID): Promise<Uint8Array | null> {
    return this.#reading(async ({ shelf }) => {
      const [link] = await shelf.links(workspace, [cid])
      if (link === undefined || link === null) return null
      const bytes = await shelf.read(cid)
      if (bytes === null) this.#damaged.set(cid.toString(), cid)
      return bytes
    })
  }

  publish(head: SignedHead, blocks: readonly Block[], judge: (state: JudgedState) => void): Promise<Counts> {
    return this.#inQueue(head.value.workspace, async (parts) => {
      verifyBlock(head)
      const before = await this.#state(parts, head.value.workspace)
      if ((await parts.ledger.kindOf(head.cid)) === 'accepted') return await this.#holdAgain(parts, head, blocks)
      judge({ tip: tipOf(before), sealedEpoch: before.sealedEpoch })
      refuseOutOfPlace(before, head)
      const counts = await this.#hold(parts, head, blocks)
      const after = withTip(before, head, counts)
      await this.#record(parts, head, (location) => parts.ledger.stageTip(before, after, head, location))
      this.#states.set(head.value.workspace, after)
      return counts
    })
  }

  keepDiverged(head: SignedHead, blocks: readonly Block[]): Promise<Counts> {
    return this.#inQueue(head.value.workspace, async (parts) => {
      verifyBlock(head)
      const state = await this.#state(parts, head.value.workspace)
      const known = (await parts.ledger.kindOf(head.cid)) !== null
      if (!known && follows(state, head.value)) {
        throw new NodeDaemonError('CONFLICT', 'this head has not diverged: it follows the tip and can be published')
      }
      if (known) return await this.#holdAgain(parts, head, blocks)
      const counts = await this.#hold(parts, head, blocks)
      await this.#record(parts, head, (location) => parts.ledger.stageDiverged(head, location))
      return counts
    })
  }

  seal(
    workspace: WorkspaceId,
    epoch: number,
    makeSeal: (tip: Tip | null) => Promise<Signed<Seal>>
  ): Promise<{ base: Tip | null }> {
    return this.#inQueue(workspace, async (parts) => {
      if (!Number.isSafeInteger(epoch) || epoch < 1) throw new NodeDaemonError('BAD_REQUEST', 'epochs begin with 1')
      const before = await this.#state(parts, workspace)
      if (epoch <= before.sealedEpoch) return { base: await parts.ledger.base(workspace, epoch) }
      const base = tipOf(before)
      const seal = await makeSeal(base)
      refuseOtherSeal(seal, workspace, epoch, base)
      let after = before
      await this.#record(parts, seal, (location) => {
        after = parts.ledger.stageSeal(before, seal, location)
      })
      this.#states.set(workspace, after)
      return { base }
    })
  }

  sealedEpoch(workspace: WorkspaceId): Promise<number> {
    return this.#reading(async ({ ledger }) => {
      const state = this.#states.get(workspace) ?? (await ledger.settled(workspace))
      return state.sealedEpoch
    })
  }

  tip(workspace: WorkspaceId): Promise<{ tip: Tip; head: SignedHead } | null> {
    return this.#reading(async ({ ledger }) => {
      const tip = tipOf(this.#states.get(workspace) ?? (await ledger.settled(workspace)))
      const head = tip === null ? null : await ledger.head(tip.cid)
      return tip === null || head === null ? null : { tip, head }
    })
  }

  head(cid: CID): Promise<SignedHead | null> {
    return this.#reading(({ ledger }) => ledger.head(cid))
  }

  history(workspace: WorkspaceId, { limit }: { readonly limit: number }): Promise<SignedHead[]> {
    return this.#reading(async ({ ledger }) => {
      const heads: SignedHead[] = []
      let next = (await ledger.settled(workspace)).tip?.cid ?? null
      while (next !== null && heads.length < limit) {
        const head: SignedHead | null = await ledger.head(next)
        if (head !== null) heads.push(head)
        next = head?.value.previous ?? null
      }
      return heads
    })
  }

  diverged(workspace: WorkspaceId): Promise<SignedHead[]> {
    return this.#reading(({ ledger }) => ledger.diverged(workspace, DIVERGED_TOLD))
  }

  stats(): Promise<RepositoryStats> {
    return this.#reading(async ({ shelf, packs }) => {
      const { logicalBytes, storedBytes } = shelf.counters
      return {
        ...shelf.counters,
        packs: packs.count,
        dedupRatio: storedBytes === 0 ? 1 : logicalBytes / storedBytes,
        damaged: await this.#countDamaged()
      }
    })
  }

  async *workspaces(): AsyncGenerator<WorkspaceId> {
    for await (const [key] of this.#parts.level.entries({ prefix: WORKSPACE_ROWS })) {
      yield key.slice(WORKSPACE_ROWS.length) as WorkspaceId
    }
  }

  async *closure(head: SignedHead, from: CID = head.value.root): AsyncGenerator<Block> {
    const load = async (cid: CID): Promise<Uint8Array> => {
      const bytes = await this.read(head.value.workspace, cid)
      if (bytes !== null) return bytes
      throw new NodeDaemonError('INCOMPLETE', `block ${cid} is damaged`, { data: { missing: [String(cid)] } })
    }
    for await (const cid of walkClosure(from, load, () => false)) yield { cid, bytes: await load(cid) }
  }

  async gc(): Promise<GcReport> {
    return { headsDropped: 0, blocksDropped: 0, freedBytes: 0, packsRewritten: 0 }
  }

  async damaged(): Promise<readonly Damage[]> {
    const found: Damage[] = []
    for (const [text, cid] of this.#damaged) {
      const [location] = await this.#parts.shelf.locations([cid])
      if (location !== null) {
        this.#damaged.delete(text)
        continue
      }
      const workspaces: WorkspaceId[] = []
      for await (const workspace of this.workspaces()) {
        const [link] = await this.#parts.shelf.links(workspace, [cid])
        if (link !== null) workspaces.push(workspace)
      }
      found.push({ cid, workspaces })
    }
    return found
  }

  async #countDamaged(): Promise<number> {
    return this.#damaged.size === 0 ? 0 : (await this.damaged()).length
  }

  async verify(options: Parameters<MainRepository['verify']>[0] = {}): Promise<VerifyReport> {
    await this.flush()
    const total = { blocks: 0, bytes: 0 }
    const damaged: string[] = []
    for (let after: string | null = ''; after !== null; ) {
      options.signal?.throwIfAborted()
      const from: string = after
      const batch = await this.#reading(({ shelf }) => verifyBatch(shelf, from))
      total.blocks += batch.blocks
      total.bytes += batch.bytes
      damaged.push(...batch.damaged.slice(0, DAMAGED_TOLD - damaged.length))
      options.onProgress?.({ ...total })
      after = options.maxBytes !== undefined && total.bytes >= options.maxBytes ? null : batch.last
    }
    for (const text of damaged) this.#damaged.set(text, CID.parse(text))
    return { ...total, damaged, repaired: 0 }
  }

  async reindex(): Promise<void> {
    this.#refuseClosed()
    await this.#gate.alone(() => this.#reopen(true))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#gate.alone(async () => {
      const { shelf, level } = this.#parts
      try {
        if (!this.#mustRecover()) await shelf.close()
      } finally {
        await level.close()
        await this.#deps.disk.close()
      }
    })
  }

  /** Keeps the blocks that come along, and tells how much lies below the head. */
  async #hold({ shelf }: Parts, { value }: SignedHead, blocks: readonly Block[]): Promise<Counts> {
    await shelf.keep(value.workspace, blocks)
    const fresh = new Map(blocks.map(({ cid, bytes }) => [cid.toString(), bytes]))
    const { counts, missing } = await checkClosure(value.root, shelf.view(value.workspace, { fresh }))
    if (missing.length === 0) return counts
    throw new NodeDaemonError('INCOMPLETE', `at least ${missing.length} blocks below the head are missing`, {
      data: { missing: missing.map(String) }
    })
  }

  /** The head is kept already, but its blocks may have been damaged and sent anew. */
  async #holdAgain(parts: Parts, head: SignedHead, blocks: readonly Block[]): Promise<Counts> {
    const counts = await this.#hold(parts, head, blocks)
    await parts.shelf.settle()
    return counts
  }

  /** Appends a signed record; on return it is durable together with all that was kept before. */
  async #record(
    { shelf }: Parts,
    record: { readonly cid: CID; readonly bytes: Uint8Array },
    onWritten: (location: Location) => void
  ): Promise<void> {
    verifyBlock(record)
    await shelf.append([record], ([location]) => {
      if (location !== undefined) onWritten(location)
    })
    await shelf.settle()
  }

  async #state({ ledger }: Parts, workspace: WorkspaceId): Promise<WorkspaceState> {
    const known = this.#states.get(workspace)
    if (known !== undefined) return known
    const state = await ledger.settled(workspace)
    this.#states.set(workspace, state)
    return state
  }

  #inQueue<T>(workspace: WorkspaceId, work: (parts: Parts) => Promise<T>): Promise<T> {
    return this.#writing((parts) => this.#queues.run(workspace, () => work(parts)))
  }

  async #writing<T>(work: (parts: Parts) => Promise<T>): Promise<T> {
    this.#refuseClosed()
    if (this.#mustRecover()) await this.#gate.alone(() => this.#recover())
    return await this.#enter(work)
  }

  /** Reading goes on where writing cannot be brought back, such as on a full disk. */
  async #reading<T>(work: (parts: Parts) => Promise<T>): Promise<T> {
    this.#refuseClosed()
    if (this.#mustRecover()) {
      await this.#gate
        .alone(() => this.#recover())
        .catch((error) => this.#deps.log.warn({ error }, 'the repository has not recovered yet'))
    }
    return await this.#enter(work)
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
    const { disk, reserveBytes = 0 } = this.#deps
    if ((await disk.freeBytes()) < Math.max(RECOVERY_BYTES, reserveBytes / 2)) {
      throw new NodeDaemonError('NO_SPACE', 'the main repository has no room to recover from a failed write', {
        advice: 'free some space on the disk of the main repository; writing goes on by itself once there is room'
      })
    }
    await this.#reopen(this.#repair === 'rebuild')
  }

  async #reopen(rebuild: boolean): Promise<void> {
    const { shelf, packs, level } = this.#parts
    if (!this.#mustRecover()) await shelf.close()
    this.#repair = rebuild ? 'rebuild' : 'reopen'
    await packs.recover()
    await level.close()
    this.#states.clear()
    this.#parts = await openParts(this.#deps, rebuild)
    this.#repair = 'none'
  }

  #refuseClosed(): void {
    if (this.#closed) throw new NodeDaemonError('CLOSED', 'the repository is closed')
  }
}

function refuseOutOfPlace(state: WorkspaceState, { value }: SignedHead): void {
  if (value.epoch <= state.sealedEpoch) {
    throw new NodeDaemonError('SEALED', `epoch ${value.epoch} of workspace ${value.workspace} is sealed`)
  }
  if (!follows(state, value)) {
    const tip = state.tip === null ? 'nothing' : `${state.tip.cid} with sequence ${state.tip.sequence}`
    throw new NodeDaemonError('CONFLICT', `the head does not follow the tip, which is ${tip}`)
  }
}

function refuseOtherSeal({ value }: Signed<Seal>, workspace: WorkspaceId, epoch: number, base: Tip | null): void {
  const same = value.head === null ? base === null : base !== null && value.head.equals(base.cid)
  if (value.workspace !== workspace || value.epoch !== epoch || !same) {
    throw new NodeDaemonError('BAD_REQUEST', 'the seal does not name the workspace, the epoch and the tip')
  }
}
