import { prefixed } from '../core/key-value.ts'
import { OwnershipTable } from '../handover/ownership-table.ts'
import { type Accounts, openAccounts } from '../membership/accounts.ts'
import { AuditLog } from '../membership/audit.ts'
import { MemberRegistry } from '../membership/registry.ts'
import type { AccountDeps } from '../membership/token-book.ts'
import { type ControlStore, controlStore } from '../store/control-store.ts'
import { openRepository } from '../store/main-repository.ts'
import type { MainRepository } from '../store/repository.ts'
import type { CoreParts } from './coordinator-parts.ts'
import type { Shutdown } from './shutdown.ts'

/** Of the main repository's disk: new blocks leave it free for heads, seals and what it takes to recover. */
export const RESERVE_BYTES = 64 * 1024 * 1024

/** What a coordinator keeps: everything else follows from it. */
export interface Books {
  readonly store: ControlStore
  readonly repository: MainRepository
  readonly audit: AuditLog
  readonly registry: MemberRegistry
  readonly accounts: Accounts
  readonly table: OwnershipTable
}

export async function openBooks(
  { folder, state, disk, index, clock, random, log }: CoreParts,
  /** Called after each change of a user's account, or of who is signed in. */
  { onUsers }: { readonly onUsers: NonNullable<AccountDeps['onChange']> },
  shutdown: Shutdown
): Promise<Books> {
  const { identity } = folder
  const store = controlStore(prefixed(state, 'control/'))
  const repository = await openRepository({ disk, index, log, clock, random, reserveBytes: RESERVE_BYTES })
  shutdown.later('the main repository', () => repository.close())
  const audit = await AuditLog.open({ store, clock })
  const registry = await MemberRegistry.open({ store, identity, clock, random, audit: audit.append, log })
  const accounts = await openAccounts({ store, clock, random, audit: audit.append, log, onChange: onUsers })
  await accounts.admins.ensureFirst()
  return { store, repository, audit, registry, accounts, table: await OwnershipTable.open(store, identity) }
}
