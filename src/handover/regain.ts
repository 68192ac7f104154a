import { CID } from 'multiformats/cid'
import { hasCode, messageOf } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { batches } from '../core/parallel.ts'
import type { MainRepository } from '../store/repository.ts'
import type { BlockExchange } from '../sync/block-exchange.ts'
import type { HeldHead } from './testimony.ts'

/** Blocks that are asked for at a time: all of them are in memory at once. */
const ASKED_AT_ONCE = 16

export interface RegainDeps {
  readonly repository: Pick<MainRepository, 'regain' | 'keepDiverged' | 'keep'>
  readonly open: (holder: PeerIdText, workspace: WorkspaceId, signal: AbortSignal) => Promise<BlockExchange>
  readonly isConnected: (peer: PeerIdText) => boolean
  readonly log: Logger
}

/**
 * Fetches a head that the repository has lost, with all its blocks, from the instances that hold it. `as`: it becomes
 * the tip, or is kept as diverged. On return of true it is durable.
 *
 * @returns false where nobody who is connected has all of it
 * @throws NodeDaemonError by the signal; `CONFLICT`, `SEALED` the repository has newer heads by now; what the repository
 *   throws otherwise
 */
export async function regainHead(
  deps: RegainDeps,
  { head, holders }: HeldHead,
  as: 'tip' | 'diverged',
  signal: AbortSignal
): Promise<boolean> {
  const { repository } = deps
  const keep = async (): Promise<readonly CID[]> => {
    try {
      await (as === 'tip' ? repository.regain(head, []) : repository.keepDiverged(head, []))
      return []
    } catch (error) {
      if (!hasCode(error, 'INCOMPLETE')) throw error
      return missingOf(error.data?.missing)
    }
  }
  let missing = await keep()
  for (const holder of holders) {
    signal.throwIfAborted()
    if (missing.length === 0) return true
    if (deps.isConnected(holder)) missing = await fetchFrom(deps, holder, head.value.workspace, missing, keep, signal)
  }
  return missing.length === 0
}

/** Until the head is whole, or this instance has no more of it. Resolves with what is missing still. */
async function fetchFrom(
  deps: RegainDeps,
  holder: PeerIdText,
  workspace: WorkspaceId,
  first: readonly CID[],
  keep: () => Promise<readonly CID[]>,
  signal: AbortSignal
): Promise<readonly CID[]> {
  const exchange = await reach(deps.open(holder, workspace, signal), holder, deps.log)
  if (exchange === null) return first
  let missing = first
  try {
    while (missing.length > 0) {
      let came = 0
      for (const batch of batches(missing, ASKED_AT_ONCE)) {
        signal.throwIfAborted()
        const blocks = await reach(exchange.want(batch), holder, deps.log)
        if (blocks === null) return missing
        came += blocks.length
        await deps.repository.keep(workspace, blocks)
      }
      if (came === 0) return missing
      missing = await keep()
    }
    return missing
  } finally {
    await exchange.close()
  }
}

/** Null where the instance does not answer, or sends what it should not: others may have it. */
async function reach<T>(answer: Promise<T>, holder: PeerIdText, log: Logger): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    log.info({ holder, error: messageOf(error) }, 'an instance did not give what the repository has lost')
    return null
  }
}

const missingOf = (named: unknown): CID[] => (Array.isArray(named) ? named.map((text) => CID.parse(String(text))) : [])
