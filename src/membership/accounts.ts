import { Admins } from './admins.ts'
import { ConsoleAccess } from './console-access.ts'
import type { AccountDeps } from './token-book.ts'
import { Users } from './users.ts'

/** Everybody that has a token of this federation. */
export interface Accounts {
  readonly users: Users
  readonly admins: Admins
  readonly console: ConsoleAccess
}

/** Loads all accounts into memory. @throws NodeDaemonError `INTEGRITY` when one cannot be read */
export async function openAccounts(deps: AccountDeps): Promise<Accounts> {
  const admins = await Admins.open(deps)
  return { users: await Users.open(deps), admins, console: new ConsoleAccess({ ...deps, admins }) }
}
