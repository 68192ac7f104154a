import type { CID } from 'multiformats/cid'
import { messageOf } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { batches } from '../core/parallel.ts'
import type { Damage, MainRepository } from '../store/repository.ts'
import type { BlockExchange } from './block-exchange.ts'

/** Blocks that are asked for at a time: all of them are in memory at once. */
const ASKED_AT_ONCE = 16

export interface RepairDeps {
  readonly repository: Pick<MainRepository, 'damaged' | 'keep' | 'flush'>
  /** Connected instances that may hold the workspace, the likeliest first. */
  readonly holders: (workspace: WorkspaceId) => readonly PeerIdText[]
  readonly open: (holder: PeerIdText, workspace: WorkspaceId, signal: AbortSignal) => Promise<BlockExchange>
  readonly log: Logger
}

export interface Repair {
  readonly repaired: number
  /** What nobody had. At most 1,000. */
  readonly left: readonly Damage[]
}

/**
 * Fetches damaged blocks of the main repository from the instances that hold a workspace with them. Each is verified; on
 * return those that came are durable. An instance that does not answer costs no more than its own copies.
 *
 * @throws NodeDaemonError by the signal; also what the repository throws
 */
export async function repairDamage(deps: RepairDeps, signal: AbortSignal): Promise<Repair> {
  let repaired = 0
  let damage = await deps.repository.damaged()
  while (damage.length > 0) {
    await repairAll(deps, damage, signal)
    const left = await deps.repository.damaged()
    const named = new Set(left.map(({ cid }) => cid.toString()))
    const mended = damage.filter(({ cid }) => !named.has(cid.toString())).length
    repaired += mended
    damage = left
    // The list is cut at its limit, and below a node that came others may be missing.
    if (mended === 0) break
  }
  return { repaired, left: damage }
}

async function repairAll(deps: RepairDeps, damage: readonly Damage[], signal: AbortSignal): Promise<void> {
  const missing = new Map(damage.map(({ cid }) => [cid.toString(), cid]))
  const byWorkspace = new Map<WorkspaceId, CID[]>()
  for (const { cid, workspaces } of damage) {
    for (const workspace of workspaces) byWorkspace.set(workspace, [...(byWorkspace.get(workspace) ?? []), cid])
  }
  for (const [workspace, cids] of byWorkspace) {
    for (const holder of deps.holders(workspace)) {
      signal.throwIfAborted()
      const wanted = cids.filter((cid) => missing.has(cid.toString()))
      if (wanted.length > 0) await askHolder(deps, holder, workspace, wanted, missing, signal)
    }
  }
  await deps.repository.flush()
}

async function askHolder(
  { repository, open, log }: RepairDeps,
  holder: PeerIdText,
  workspace: WorkspaceId,
  cids: readonly CID[],
  missing: Map<string, CID>,
  signal: AbortSignal
): Promise<void> {
  const exchange = await reach(open(holder, workspace, signal), { holder, workspace }, log)
  if (exchange === null) return
  try {
    for (const batch of batches(cids, ASKED_AT_ONCE)) {
      const blocks = await reach(exchange.want(batch), { holder, workspace }, log)
      if (blocks === null) return
      await repository.keep(workspace, blocks)
      for (const { cid } of blocks) {
        missing.delete(cid.toString())
        log.warn({ cid: cid.toString(), workspace, holder }, 'a damaged block of the repository came from an instance')
      }
    }
  } finally {
    await exchange.close()
  }
}

/** Null where the instance does not answer, or sends what it should not: others may have the block. */
async function reach<T>(answer: Promise<T>, what: object, log: Logger): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    log.info({ ...what, error: messageOf(error) }, 'an instance did not give a block for repair')
    return null
  }
}
