import type { CID } from 'multiformats/cid'
import type { GcOrder, VerifyOrder } from '../console/inputs.ts'
import type { Caller, RepositoryUpkeep } from '../console/service.ts'
import type { GcView, ReindexView, VerifiedView, VerifyView } from '../console/views.ts'
import type { Block } from '../core/blocks.ts'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { SignedHead } from '../core/records.ts'
import type { Audit } from '../membership/audit.ts'
import { carOf } from '../store/car-export.ts'
import type { MainRepository } from '../store/repository.ts'
import type { Housekeeping } from './housekeeping.ts'
import { withProgress } from './progress.ts'

/** The roots stand in one header, which other tools read whole. See `carOf`. */
const EXPORTED_WORKSPACES_MAX = 65_535
/** Blocks that are remembered as written, so that what workspaces share is written once. */
const WRITTEN_KEPT = 500_000

export interface RepositoryUpkeepDeps {
  readonly repository: Pick<MainRepository, 'workspaces' | 'tip' | 'head' | 'closure' | 'reindex' | 'stats'>
  readonly housekeeping: Pick<Housekeeping, 'gc' | 'verify'>
  readonly audit: Audit
  readonly clock: Clock
}

/** The main repository, as its admins see to it. Every act is in the audit log. */
export class LiveRepositoryUpkeep implements RepositoryUpkeep {
  readonly #deps: RepositoryUpkeepDeps

  constructor(deps: RepositoryUpkeepDeps) {
    this.#deps = deps
  }

  async *verify({ actor }: Caller, { maxBytes }: VerifyOrder, signal: AbortSignal): AsyncGenerator<VerifyView> {
    const { clock, housekeeping, repository } = this.#deps
    const { storedBytes } = await repository.stats()
    const totalBytes = Math.min(maxBytes ?? storedBytes, storedBytes)
    const options = { signal, ...(maxBytes !== undefined && { maxBytes }) }
    yield* withProgress(clock, { state: 'working' as const, blocks: 0, bytes: 0, totalBytes }, async (tell) => {
      const { blocks, bytes, damaged, repaired, left } = await housekeeping.verify({
        ...options,
        onProgress: (done) => tell({ state: 'working', ...done, totalBytes })
      })
      const outcome: VerifiedView = {
        state: 'done',
        blocks,
        bytes,
        damaged: damaged.length,
        repaired,
        left: left.map(({ cid, workspaces }) => ({ cid: cid.toString(), workspaces }))
      }
      const details = { blocks, bytes, damaged: outcome.damaged, repaired, left: left.length }
      await this.#note(actor, 'repository.verify', details)
      return outcome
    })
  }

  async *gc({ actor }: Caller, { full }: GcOrder): AsyncGenerator<GcView> {
    const { clock, housekeeping } = this.#deps
    yield* withProgress(clock, { state: 'working' as const }, async () => {
      const report = await housekeeping.gc({ full })
      await this.#note(actor, 'repository.gc', { full, ...report })
      return { state: 'done' as const, ...report }
    })
  }

  async *reindex({ actor }: Caller): AsyncGenerator<ReindexView> {
    const { clock, repository } = this.#deps
    yield* withProgress(clock, { state: 'working' as const }, async () => {
      const began = clock.now()
      await repository.reindex()
      const tookMs = Math.round(clock.now() - began)
      await this.#note(actor, 'repository.reindex', { tookMs })
      return { state: 'done' as const, tookMs }
    })
  }

  async *export({ actor }: Caller): AsyncGenerator<Uint8Array> {
    const { repository } = this.#deps
    const heads: CID[] = []
    const roots = new Map<string, CID>()
    for await (const workspace of repository.workspaces()) {
      const tip = (await repository.tip(workspace))?.tip
      if (tip === undefined) continue
      heads.push(tip.cid)
      roots.set(tip.root.toString(), tip.root)
      if (heads.length > EXPORTED_WORKSPACES_MAX) {
        throw new NodeDaemonError('TOO_LARGE', `one CAR names at most ${EXPORTED_WORKSPACES_MAX} workspaces`, {
          advice: 'export them one by one: node-daemon workspaces export'
        })
      }
    }
    if (heads.length === 0) {
      throw new NodeDaemonError('NOT_FOUND', 'nothing was saved yet: there is nothing to export', {
        advice: 'a workspace comes into being when a user first saves something; see: node-daemon workspaces ls'
      })
    }
    await this.#note(actor, 'repository.export', { workspaces: heads.length })
    yield* carOf([...roots.values()], this.#blocksOf(heads))
  }

  async *#blocksOf(heads: readonly CID[]): AsyncGenerator<Block> {
    const written = new Set<string>()
    for (const cid of heads) {
      const head = await this.#head(cid)
      yield head
      for await (const block of this.#deps.repository.closure(head)) {
        const key = block.cid.toString()
        if (written.has(key)) continue
        if (written.size >= WRITTEN_KEPT) written.clear()
        written.add(key)
        yield block
      }
    }
  }

  async #head(cid: CID): Promise<SignedHead> {
    const head = await this.#deps.repository.head(cid)
    if (head === null) throw new NodeDaemonError('NOT_FOUND', `head ${cid} was thinned out meanwhile`)
    return head
  }

  async #note(actor: string, action: string, details: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#deps.audit({ actor, action, target: 'repository', details })
  }
}
