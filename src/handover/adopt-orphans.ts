import { messageOf } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { forEachParallel } from '../core/parallel.ts'
import type { DirectorDeps } from './director-deps.ts'

const ADOPTED_AT_ONCE = 64

/** Workspaces without a home get one, where an instance can take them now. What fails is logged, and keeps no other. */
export async function adoptOrphans(
  { table, instances, log }: Pick<DirectorDeps, 'table' | 'instances' | 'log'>,
  failover: (workspace: WorkspaceId, gone: PeerIdText | null) => Promise<void>
): Promise<void> {
  const homes = [...table.all()].map(({ signed }) => signed.value)
  const orphans = homes.filter(({ home }) => home === null || instances.isGone(home))
  await forEachParallel(orphans, ADOPTED_AT_ONCE, async ({ workspace, home }) => {
    await failover(workspace, home).catch((error: unknown) => {
      log.warn({ workspace, error: messageOf(error) }, 'a workspace without a home was not taken over')
    })
  })
}
