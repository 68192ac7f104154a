import type { CID } from 'multiformats/cid'
import type { Tip } from '../content/heads.ts'
import { type Block, verifyBlock } from '../core/blocks.ts'
import type { Signed } from '../core/envelope.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Head, Seal, SignedHead } from '../core/records.ts'
import { Access } from './access.ts'
import { adoptAgain } from './adopt.ts'
import { Arrivals } from './arrivals.ts'
import { checkClosure } from './closure.ts'
import { closureOf } from './closure-walk.ts'
import { Collector } from './collector.ts'
import { damagedBlocks, damagedCount } from './damage.ts'
import { forgetWorkspace } from './forget.ts'
import { follows, tipOf, withTip } from './ledger.ts'
import { UNKNOWN, type WorkspaceState } from './ledger-rows.ts'
import { verdictNote } from './notes.ts'
import { openParts, type Parts, type RepositoryDeps } from './open-repository.ts'
import { Pins } from './pins.ts'
import type {
  Damage,
  GcOptions,
  GcReport,
  HistoryRange,
  JudgedState,
  MainRepository,
  RepositoryStats,
  VerifyOptions,
  VerifyReport
} from './repository.ts'
import type { Counts } from './rows.ts'
import type { Written } from './shelf.ts'
import { verify } from './verify.ts'

const WORKSPACES_PAGE = 256
const DIVERGED_TOLD = 1000

/**
 * Opens the main repository, bringing its packs and its index in order after whatever stop.
 *
 * @throws NodeDaemonError `DATA_FOLDER_IN_USE` when another process has its index open
 */
export async function openRepository(deps: RepositoryDeps): Promise<MainRepository> {
  return new Repository(new Access(deps, await openParts(deps, false)))
}

class Repository implements MainRepository {
  readonly #arrivals = new Arrivals()
  readonly #access: Access
  readonly #pins: Pins
  readonly #collector: Collector

  constructor(access: Access) {
    this.#access = access
    this.#pins = new Pins(access.deps.clock, access.marksKey)
    this.#collector = new Collector(access, this.#pins)
  }

  missing(workspace: WorkspaceId, cids: readonly CID[]): Promise<CID[]> {
    return this.#access.reading(async ({ shelf }) => {
      this.#pins.add(workspace, cids)
      const states = await shelf.view(workspace).states(cids)
      return cids.filter((_, index) => states[index]?.held !== true)
    })
  }

  keep(workspace: WorkspaceId, blocks: readonly Block[]): Promise<void> {
    return this.#access.writing((parts) => this.#keep(parts, workspace, blocks))
  }

  flush(): Promise<void> {
    return this.#access.writing(({ shelf }) => shelf.settle())
  }

  read(workspace: WorkspaceId, cid: CID): Promise<Uint8Array | null> {
    return this.#access.reading(async ({ shelf }) => {
      const [link] = await shelf.links(workspace, [cid])
      return link === undefined || link === null ? null : await shelf.read(cid)
    })
  }

  publish(head: SignedHead, blocks: readonly Block[], judge: (state: JudgedState) => void): Promise<Counts> {
    const { workspace } = head.value
    return this.#access.inQueue(workspace, async (parts) => {
      verifyBlock(head)
      const before = await this.#access.state(parts, workspace)
      const isNew = follows(before, head.value)
      if (!isNew && (await parts.ledger.kindOf(head.cid)) === 'accepted') {
        return await this.#holdAgain(parts, head, blocks)
      }
      judge({ tip: tipOf(before), sealedEpoch: before.sealedEpoch })
      refuseOutOfPlace(before, head)
      return await this.#becomeTip(parts, before, head, blocks)
    })
  }

  regain(head: SignedHead, blocks: readonly Block[]): Promise<Counts> {
    const { workspace } = head.value
    return this.#access.inQueue(workspace, async (parts) => {
      verifyBlock(head)
      const before = await this.#access.state(parts, workspace)
      const known = await parts.ledger.kindOf(head.cid)
      if (known === 'accepted') return await this.#holdAgain(parts, head, blocks)
      refuseSealed(before, head)
      if (known !== null || !isNewer(before, head.value)) throw outOfPlace(before, 'is not newer than')
      return await this.#becomeTip(parts, before, head, blocks)
    })
  }

  keepDiverged(head: SignedHead, blocks: readonly Block[]): Promise<Counts> {
    return this.#access.inQueue(head.value.workspace, async (parts) => {
      verifyBlock(head)
      const state = await this.#access.state(parts, head.value.workspace)
      const known = (await parts.ledger.kindOf(head.cid)) !== null
      if (!known && follows(state, head.value)) {
        throw new NodeDaemonError('CONFLICT', 'this head has not diverged: it follows the tip and can be published')
      }
      if (known) return await this.#holdAgain(parts, head, blocks)
      const counts = await this.#hold(parts, head, blocks)
      await this.#record(parts, [verdictNote(head.cid, 'diverged'), head], (location) =>
        parts.ledger.stageDiverged(head, location)
      )
      return counts
    })
  }

  seal(
    workspace: WorkspaceId,
    epoch: number,
    makeSeal: (tip: Tip | null) => Promise<Signed<Seal>>
  ): Promise<{ base: Tip | null }> {
    return this.#access.inQueue(workspace, async (parts) => {
      if (!Number.isSafeInteger(epoch) || epoch < 1) throw new NodeDaemonError('BAD_REQUEST', 'epochs begin with 1')
      const before = await this.#access.state(parts, workspace)
      if (epoch <= before.sealedEpoch) return { base: await parts.ledger.base(workspace, epoch) }
      const base = tipOf(before)
      const seal = await makeSeal(base)
      refuseOtherSeal(seal, workspace, epoch, base)
      let after = before
      await this.#record(parts, [seal], (location) => {
        after = parts.ledger.stageSeal(before, seal, location)
      })
      this.#access.setState(workspace, after)
      return { base }
    })
  }

  forget(workspace: WorkspaceId): Promise<void> {
    return this.#access.inQueue(workspace, async (parts) => {
      const before = await this.#access.state(parts, workspace)
      await forgetWorkspace(parts, workspace, before)
      this.#access.setState(workspace, UNKNOWN)
    })
  }

  sealedEpoch(workspace: WorkspaceId): Promise<number> {
    return this.#access.reading(async (parts) => (await this.#access.settledState(parts, workspace)).sealedEpoch)
  }

  tip(workspace: WorkspaceId): Promise<{ tip: Tip; head: SignedHead } | null> {
    return this.#access.reading(async (parts) => {
      const tip = tipOf(await this.#access.settledState(parts, workspace))
      const head = tip === null ? null : await parts.ledger.head(tip.cid)
      return tip === null || head === null ? null : { tip, head }
    })
  }

  head(cid: CID): Promise<SignedHead | null> {
    return this.#access.reading(({ ledger }) => ledger.head(cid))
  }

  history(workspace: WorkspaceId, range: HistoryRange): Promise<SignedHead[]> {
    return this.#access.reading(({ ledger }) => ledger.history(workspace, range))
  }

  diverged(workspace: WorkspaceId): Promise<SignedHead[]> {
    return this.#access.reading(({ ledger }) => ledger.diverged(workspace, DIVERGED_TOLD))
  }

  async *workspaces(): AsyncGenerator<WorkspaceId> {
    for (let after: WorkspaceId | null = null; ; ) {
      const page: WorkspaceId[] = await this.#access.reading(({ ledger }) => ledger.workspaces(after, WORKSPACES_PAGE))
      yield* page
      after = page.at(-1) ?? null
      if (after === null) return
    }
  }

  stats(): Promise<RepositoryStats> {
    return this.#access.reading(async ({ shelf, packs, level }) => {
      const { logicalBytes, storedBytes } = shelf.counters
      const dedupRatio = storedBytes === 0 ? 1 : logicalBytes / storedBytes
      return { ...shelf.counters, packs: packs.count, dedupRatio, damaged: await damagedCount(level) }
    })
  }

  async *closure(head: SignedHead, from?: CID): AsyncGenerator<Block> {
    const release = this.#collector.retain(head.cid)
    try {
      yield* closureOf(this, this.#access.marksKey, head, from ?? head.value.root)
    } finally {
      release()
    }
  }

  gc(options: GcOptions): Promise<GcReport> {
    return this.#collector.run(options)
  }

  verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    return verify(this.#access, options)
  }

  damaged(): Promise<readonly Damage[]> {
    return damagedBlocks(this.#access)
  }

  reindex(): Promise<void> {
    return this.#access.rebuild()
  }

  async close(): Promise<void> {
    if (!this.#access.shut()) return
    await this.#collector.stop()
    await this.#access.close()
  }

  async #keep({ shelf, ledger }: Parts, workspace: WorkspaceId, blocks: readonly Block[]): Promise<void> {
    this.#pins.add(
      workspace,
      blocks.map(({ cid }) => cid)
    )
    // What comes twice at the same time, from a user and from an instance, is not stored twice.
    const names = blocks.map(({ cid }) => cid.toString())
    const mended = await this.#arrivals.run(names, () => shelf.keep(workspace, blocks))
    await adoptAgain(shelf, ledger, mended, this.#access.deps.log)
  }

  async #becomeTip(parts: Parts, before: WorkspaceState, head: SignedHead, blocks: readonly Block[]): Promise<Counts> {
    const counts = await this.#hold(parts, head, blocks)
    const after = withTip(before, head, counts)
    const acceptedAtMs = this.#access.deps.clock.wall()
    await this.#record(parts, [verdictNote(head.cid, 'accepted', acceptedAtMs), head], (location) =>
      parts.ledger.stageTip(before, after, head, { ...location, acceptedAtMs })
    )
    this.#access.setState(head.value.workspace, after)
    return counts
  }

  /** Keeps the blocks that come along, and tells how much lies below the head. */
  async #hold(parts: Parts, { value }: SignedHead, blocks: readonly Block[]): Promise<Counts> {
    this.#collector.protect(value.workspace, value.root)
    await this.#keep(parts, value.workspace, blocks)
    const { shelf } = parts
    const fresh = new Map(blocks.map(({ cid, bytes }) => [cid.toString(), bytes]))
    const { counts, missing } = await checkClosure(value.root, shelf.view(value.workspace, fresh))
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

  /** Appends a signed record, with what belongs before it; on return it is durable together with all that was kept before. */
  async #record({ shelf }: Parts, blocks: readonly Block[], onWritten: (location: Written) => void): Promise<void> {
    const record = blocks.at(-1)
    if (record === undefined) return
    verifyBlock(record)
    const [known = null] = await shelf.locations([record.cid])
    await shelf.append(blocks, (locations) => {
      const location = locations.at(-1)
      if (location !== undefined) onWritten({ ...location, again: known !== null })
    })
    await shelf.settle()
  }
}

function refuseOutOfPlace(state: WorkspaceState, head: SignedHead): void {
  refuseSealed(state, head)
  if (!follows(state, head.value)) throw outOfPlace(state, 'does not follow')
}

function refuseSealed(state: WorkspaceState, { value }: SignedHead): void {
  if (value.epoch > state.sealedEpoch) return
  throw new NodeDaemonError('SEALED', `epoch ${value.epoch} of workspace ${value.workspace} is sealed`)
}

const isNewer = ({ tip }: WorkspaceState, { epoch, sequence }: Head): boolean =>
  tip === null || (epoch >= tip.epoch && sequence > tip.sequence)

function outOfPlace({ tip }: WorkspaceState, how: string): NodeDaemonError {
  const shown = tip === null ? 'nothing' : `${tip.cid} with sequence ${tip.sequence}`
  return new NodeDaemonError('CONFLICT', `the head ${how} the tip, which is ${shown}`)
}

function refuseOtherSeal({ value }: Signed<Seal>, workspace: WorkspaceId, epoch: number, base: Tip | null): void {
  const same = value.head === null ? base === null : base !== null && value.head.equals(base.cid)
  if (value.workspace !== workspace || value.epoch !== epoch || !same) {
    throw new NodeDaemonError('BAD_REQUEST', 'the seal does not name the workspace, the epoch and the tip')
  }
}
