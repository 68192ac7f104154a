import type { Logger } from '../core/log.ts'
import { Admins } from './admins.ts'
import { ConsoleAccess } from './console-access.ts'
import type { AccountDeps } from './token-book.ts'
import { UserSessions } from './user-sessions.ts'
import { Users } from './users.ts'

/** Everybody that has a token of this federation, or signs in otherwise. */
export interface Accounts {
  readonly users: Users
  readonly sessions: UserSessions
  readonly admins: Admins
  readonly console: ConsoleAccess
}

/** Loads all accounts into memory. @throws NodeDaemonError `INTEGRITY` when one cannot be read */
export async function openAccounts(deps: AccountDeps & { readonly log: Logger }): Promise<Accounts> {
  const admins = await Admins.open(deps)
  const users = await Users.open(deps)
  const sessions = await UserSessions.open({ ...deps, users })
  return { users, sessions, admins, console: new ConsoleAccess({ ...deps, admins }) }
}
