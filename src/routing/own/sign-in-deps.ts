import type { Clock } from '../../core/clock.ts'
import type { ServiceName, UserId } from '../../core/ids.ts'
import type { Logger } from '../../core/log.ts'
import type { Client } from '../client.ts'
import type { SessionCookies } from '../cookie.ts'
import type { PendingSignIns } from '../sign-in/pending.ts'
import type { Person, Provider } from '../sign-in/provider.ts'

/** The accounts of users, as signing in needs them. */
export interface SignInAccounts {
  /** Null: not a token of ours. */
  byToken(token: string): Promise<{ readonly user: UserId } | 'blocked' | null>
  /**
   * The user who is this person at this provider, who may come into being by that.
   *
   * @throws NodeDaemonError `REFUSED_BY_POLICY` nobody more can
   */
  byProvider(provider: string, person: Person): Promise<UserId | 'blocked'>
  isBlocked(user: UserId): boolean
  /** A new session; its id. @throws NodeDaemonError `FORBIDDEN` the user is gone or blocked meanwhile */
  begin(user: UserId): Promise<string>
  /** Ends a session. Does nothing where it has ended. */
  end(session: string): Promise<void>
  /** Counts one wrong token from this address; false once there were too many of late. */
  attempt(address: string): boolean
}

/** What guests began, and may be kept under a name. */
export interface Keeping {
  /** The services of which this user has a workspace. */
  services(user: UserId): readonly ServiceName[]
  /**
   * Makes a guest's workspace of a service over to a named user.
   *
   * @throws NodeDaemonError `CONFLICT` the user has one of this service already; other codes: not now. Nothing changed
   */
  makeOver(service: ServiceName, guest: UserId, user: UserId): Promise<void>
}

export interface SignInDeps {
  readonly accounts: SignInAccounts
  readonly keeping: Keeping
  readonly cookies: SessionCookies
  readonly pending: PendingSignIns
  readonly providers: readonly Provider[]
  /** The address under which providers send people back, such as `https://main.example.org`. */
  readonly origin: (client: Client) => string
  readonly clock: Clock
  readonly log: Logger
}

export interface SignInOptions {
  readonly anonymous: boolean
  readonly secure: boolean
  readonly federationName: string
}
