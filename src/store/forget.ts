import type { WorkspaceId } from '../core/ids.ts'
import type { WorkspaceState } from './ledger-rows.ts'
import type { Parts } from './open-repository.ts'

const HEADS_AT_ONCE = 1000

/**
 * Drops all heads of a workspace, and what else is known of it. To be called in its queue; durable on return. The blocks
 * are given back by the next collections.
 */
export async function forgetWorkspace(
  { ledger, shelf }: Parts,
  workspace: WorkspaceId,
  before: WorkspaceState
): Promise<void> {
  for (;;) {
    const heads = await ledger.past(workspace, { limit: HEADS_AT_ONCE })
    if (heads.length === 0) break
    await ledger.drop(heads.map(({ cid, sequence }) => ({ cid, sequence, workspace })))
  }
  for (;;) {
    const heads = await ledger.diverged(workspace, HEADS_AT_ONCE)
    if (heads.length === 0) break
    await ledger.drop(
      heads.map(({ cid, value }) => ({ cid, sequence: value.sequence, workspace })),
      'diverged'
    )
  }
  await ledger.stageForgotten(workspace, before)
  await shelf.settle()
}
