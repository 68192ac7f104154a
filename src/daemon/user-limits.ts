import type { WorkspaceId } from '../core/ids.ts'
import type { PromotionHold } from '../handover/promotion-hold.ts'
import { Removals, type RemovalsDeps } from '../handover/removals.ts'
import type { Accounts } from '../membership/accounts.ts'
import type { AuditLog } from '../membership/audit.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import type { Services } from '../routing/services.ts'
import type { ControlStore } from '../store/control-store.ts'
import type { Changes } from './changes.ts'
import type { CoreOptions } from './coordinator-parts.ts'
import type { Fleet } from './fleet.ts'
import { GuestExpiry } from './guest-expiry.ts'
import { Quotas } from './quotas.ts'
import type { Shutdown } from './shutdown.ts'

export interface UserLimitsDeps
  extends Pick<RemovalsDeps, 'table' | 'director' | 'repository' | 'holdings' | 'lost' | 'clock' | 'log'> {
  readonly store: ControlStore
  readonly services: Services
  readonly registry: MemberRegistry
  readonly accounts: Accounts
  readonly audit: AuditLog
  readonly fleet: Fleet
  readonly hold: PromotionHold
  readonly changes: Changes
  /** Is somebody connected to it now? */
  readonly isInUse: (workspace: WorkspaceId) => boolean
}

/** What keeps users within bounds: how much they may hold, and for how long a guest's files stay. */
export interface UserLimits {
  readonly quotas: Quotas
  readonly removals: Removals
  /** It is to be started once all else stands. */
  readonly expiry: GuestExpiry
}

export async function openUserLimits(
  deps: UserLimitsDeps,
  options: Pick<CoreOptions, 'quotaBytes' | 'anonymousQuotaBytes' | 'anonymousTtlMs'>,
  shutdown: Shutdown
): Promise<UserLimits> {
  const { registry, accounts, audit, fleet, hold, changes } = deps
  const removals = new Removals({
    ...deps,
    instances: fleet,
    isMember: (peer) => registry.standing(peer) === 'member',
    onRemoved: (workspace) => {
      fleet.forget(workspace)
      changes.tell('workspaces')
    },
    audit: audit.append
  })
  shutdown.later('the removal of workspaces', async () => removals.close())
  const isHeld = (): boolean => hold.reason !== null
  const expiry = await GuestExpiry.open({ ...deps, removals, isHeld }, { ttlMs: options.anonymousTtlMs })
  shutdown.later('the expiry of guests', () => expiry.close())
  const usedBytes = fleet.usedBytes.bind(fleet)
  const quotas = new Quotas({ ...deps, usedBytes, quotaOf: (user) => accounts.users.quotaOf(user) }, options)
  return { quotas, removals, expiry }
}
