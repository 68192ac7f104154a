import { readFile, stat } from 'node:fs/promises'
import type { Clock } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { ServiceName, UserId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import { makeOver } from '../handover/make-over.ts'
import { isLoopbackHost } from '../membership/addresses.ts'
import { Attempts } from '../membership/attempts.ts'
import type { Client } from '../routing/client.ts'
import { SessionCookies } from '../routing/cookie.ts'
import type { CookieKeys } from '../routing/neighbours.ts'
import type { OwnPage } from '../routing/own/own-pages.ts'
import type { Keeping, SignInAccounts, SignInOptions } from '../routing/own/sign-in-deps.ts'
import { signInPages } from '../routing/own/sign-in-pages.ts'
import { hostName } from '../routing/route.ts'
import { PendingSignIns } from '../routing/sign-in/pending.ts'
import type { Provider } from '../routing/sign-in/provider.ts'
import type { CoordinatorCore } from './coordinator-parts.ts'
import type { CoordinatorOptions, SignInProviderOptions } from './options.ts'

const SECRET_BYTES_MAX = 4096
const KEEP_DEADLINE_MS = 30_000

type Core = Pick<
  CoordinatorCore,
  | 'accounts'
  | 'routeBook'
  | 'groups'
  | 'table'
  | 'services'
  | 'director'
  | 'fleet'
  | 'hold'
  | 'doors'
  | 'expiry'
  | 'audit'
>

export interface SignInParts {
  readonly core: Core
  readonly keys: CookieKeys
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/**
 * The pages on which people say who they are.
 *
 * @throws NodeDaemonError `BAD_CONFIG` a provider's secret cannot be read, or nobody could come back from a provider
 */
export async function openSignInPages(
  options: Pick<CoordinatorOptions, 'signIn' | 'webAddress' | 'http'>,
  about: SignInOptions,
  { core, keys, clock, random, log }: SignInParts
): Promise<Readonly<Record<string, OwnPage>>> {
  checkWayBack(options)
  const providers = await openProviders(options.signIn, clock)
  const deps = {
    accounts: accountsOf(core, clock),
    keeping: keepingOf(core, log),
    cookies: new SessionCookies(keys, about),
    pending: new PendingSignIns({ keys, clock, random }),
    providers,
    origin: (client: Client) => originFor(client, options.webAddress, core),
    clock,
    log: log.child({ part: 'sign-in' })
  }
  return signInPages(deps, about)
}

/** @throws NodeDaemonError `BAD_CONFIG` */
function checkWayBack({ signIn, webAddress, http }: Pick<CoordinatorOptions, 'signIn' | 'webAddress' | 'http'>): void {
  if (signIn.length === 0 || webAddress !== null || isLoopbackHost(http.host)) return
  throw new NodeDaemonError(
    'BAD_CONFIG',
    'a sign-in provider sends people back to the public address of the front door',
    {
      advice: 'say it with --public-url, and register it at the provider'
    }
  )
}

/** The library is loaded only where it is needed. */
async function openProviders(configured: readonly SignInProviderOptions[], clock: Clock): Promise<Provider[]> {
  if (configured.length === 0) return []
  const { OpenidProvider } = await import('../routing/sign-in/openid.ts')
  return Promise.all(
    configured.map(async ({ clientSecretFile, ...config }) => {
      const clientSecret = clientSecretFile === null ? null : await secretIn(clientSecretFile)
      return new OpenidProvider({ ...config, clientSecret }, { clock })
    })
  )
}

async function secretIn(path: string): Promise<string> {
  const advice = 'put the secret that the provider gave into a file that only this user may read'
  try {
    const { size } = await stat(path)
    const secret = size > SECRET_BYTES_MAX ? '' : (await readFile(path, 'utf8')).trim()
    if (secret !== '') return secret
  } catch (error) {
    throw new NodeDaemonError('BAD_CONFIG', `the client secret in ${path} cannot be read: ${messageOf(error)}`, {
      advice
    })
  }
  throw new NodeDaemonError('BAD_CONFIG', `there is no client secret in ${path}`, { advice })
}

function accountsOf({ accounts, routeBook, groups, table, services }: Core, clock: Clock): SignInAccounts {
  const { users, sessions } = accounts
  const attempts = new Attempts(clock)
  // A removed user's workspaces stay, and a group may await somebody: a stranger of the same name must not get in.
  const isFree = (user: UserId): boolean =>
    groups.of(user).length === 0 && services.list().every(({ name }) => table.find(name, user) === null)
  return {
    byToken: async (token) => users.byToken(token),
    async byProvider(provider, person) {
      const { name, blocked } = await users.byProvider(provider, person, isFree)
      return blocked ? 'blocked' : (`user:${name}` as UserId)
    },
    isBlocked: (user) => users.isBlocked(user),
    begin: (user) => sessions.begin(user),
    async end(session) {
      const user = sessions.find(session)
      await sessions.end(session)
      if (user !== null && user !== 'blocked') routeBook.endSessionsOf(user)
    },
    attempt: (address) => attempts.attempt(address)
  }
}

/** A guest who is asked whether to keep something uses it. */
function keepingOf({ table, services, director, fleet, hold, doors, expiry, audit }: Core, log: Logger): Keeping {
  return {
    services: (user) =>
      services.list().flatMap(({ name }): ServiceName[] => {
        const workspace = table.find(name, user)
        if (workspace !== null) expiry.used(workspace)
        return workspace === null ? [] : [name]
      }),
    async makeOver(service, guest, user) {
      const workspace = table.find(service, guest)
      if (workspace === null) return
      expiry.used(workspace)
      const signal = AbortSignal.timeout(KEEP_DEADLINE_MS)
      const quieting = { idle: doors.idle.bind(doors), signal }
      await makeOver({ director, table, instances: fleet, hold, log }, workspace, user, quieting)
      await audit.append({ actor: user, action: 'workspace.keep', target: workspace, details: { guest, user } })
    }
  }
}

/** Services with a host name of their own are signed in to there; everything else at the public address. */
function originFor(client: Client, webAddress: string | null, { services }: Core): string {
  const host = hostName(client.host)
  const isOwn = services.list().some(({ route }) => route.kind === 'host' && route.host === host)
  if (webAddress === null || isOwn) return `${client.scheme}://${client.host}`
  return new URL(webAddress).origin
}
