import { NodeDaemonError } from '../core/errors.ts'
import type { MainRepository } from '../store/repository.ts'
import type { LostHeads } from './lost-heads.ts'
import type { PromotionHold } from './promotion-hold.ts'

/** What promotes needs of the repository. */
export type Sealing = Pick<MainRepository, 'seal' | 'sealedEpoch' | 'tip' | 'head'>

/**
 * The repository for whoever promotes: it seals nothing while the coordinator does not know for certain who writes
 * what, and no workspace whose newest head it lacks.
 *
 * `seal` throws also NodeDaemonError `BUSY`, and what `LostHeads.regained` throws.
 */
export function safeToPromote(repository: Sealing, hold: PromotionHold, lost: LostHeads): Sealing {
  return {
    sealedEpoch: (workspace) => repository.sealedEpoch(workspace),
    tip: (workspace) => repository.tip(workspace),
    head: (cid) => repository.head(cid),
    async seal(workspace, epoch, makeSeal) {
      if (hold.holds('old-backup')) throw new NodeDaemonError('BUSY', `nothing is promoted now: ${hold.reason ?? ''}`)
      await lost.regained(workspace)
      return repository.seal(workspace, epoch, makeSeal)
    }
  }
}
