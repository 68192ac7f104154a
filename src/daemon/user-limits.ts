import { Removals, type RemovalsDeps } from '../handover/removals.ts'
import type { CoreOptions } from './coordinator-parts.ts'
import { GuestExpiry, type GuestExpiryDeps } from './guest-expiry.ts'
import { Quotas, type QuotasDeps } from './quotas.ts'
import type { Shutdown } from './shutdown.ts'

export type UserLimitsDeps = RemovalsDeps & QuotasDeps & Omit<GuestExpiryDeps, 'removals'>

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
  const removals = new Removals(deps)
  shutdown.later('the removal of workspaces', async () => removals.close())
  const expiry = await GuestExpiry.open({ ...deps, removals }, { ttlMs: options.anonymousTtlMs })
  shutdown.later('the expiry of guests', () => expiry.close())
  return { quotas: new Quotas(deps, options), removals, expiry }
}
