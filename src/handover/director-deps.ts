import type { Clock } from '../core/clock.ts'
import type { Identity } from '../core/identity.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import type { MainRepository } from '../store/repository.ts'
import type { Holdings } from './holdings.ts'
import type { Instances } from './neighbours.ts'
import type { OwnershipTable } from './ownership-table.ts'
import type { PromotionHold } from './promotion-hold.ts'

export interface DirectorDeps {
  readonly repository: Pick<MainRepository, 'seal' | 'sealedEpoch' | 'tip' | 'head'>
  readonly table: OwnershipTable
  readonly instances: Instances
  readonly holdings: Holdings
  /** While it holds, no home is changed, and no standby. A home that is there serves on. */
  readonly hold: PromotionHold
  /**
   * May a home acknowledge what is on its own disk alone, or do users reach it past the front door? Then another takes its place only once it has let go, or its
   * lease has ended: the seal does not stop it.
   */
  readonly outlivesSeal: (workspace: WorkspaceId) => boolean
  /** What a workspace's files take, in bytes, as far as it is known. */
  readonly usedBytes: (workspace: WorkspaceId) => number
  /** Hears of each change of a workspace's state or home. */
  readonly onTouch?: (workspace: WorkspaceId) => void
  readonly identity: Identity
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}
