import { systemClock } from '../../../src/core/clock.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { ServiceName, UserId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { type Accounts, openAccounts } from '../../../src/membership/accounts.ts'
import { Attempts } from '../../../src/membership/attempts.ts'
import { SessionCookies } from '../../../src/routing/cookie.ts'
import type { FrontDoorOptions } from '../../../src/routing/front-door.ts'
import { ownPages } from '../../../src/routing/own/own-pages.ts'
import type { SignInDeps } from '../../../src/routing/own/sign-in-deps.ts'
import { signInPages } from '../../../src/routing/own/sign-in-pages.ts'
import { PendingSignIns } from '../../../src/routing/sign-in/pending.ts'
import type { Provider } from '../../../src/routing/sign-in/provider.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import { type ManualClock, manualClock } from '../../tools/clock.ts'
import { COOKIE_KEYS, Federation, FILES, type Table } from './federation.ts'

export interface SignInBench extends AsyncDisposable {
  readonly federation: Federation
  readonly accounts: Accounts
  readonly address: string
  /** The time of day, by which cookies and sessions grow old. */
  readonly clock: ManualClock
  page(path: string): URL
}

/** A front door with the accounts of a coordinator and the pages for signing in. `providers` go to the ones that a test runs. */
export async function signInBench(
  providers: readonly Provider[] = [],
  options: Partial<FrontDoorOptions> = {}
): Promise<SignInBench> {
  const clock = manualClock()
  const times = { ...systemClock(), wall: () => clock.wall() }
  const random = systemRandom()
  const store = controlStore(memoryKeyValue())
  const accounts = await openAccounts({ store, clock, random, audit: async () => undefined, log: silent })
  const about = { anonymous: true, secure: false, federationName: 'Test', ...options }
  const cookies = new SessionCookies(COOKIE_KEYS, about)
  const table: { value: Table | null } = { value: null }
  const deps: SignInDeps = {
    accounts: accountsOf(accounts, clock),
    keeping: keepingOf(() => table.value),
    cookies,
    pending: new PendingSignIns({ keys: COOKIE_KEYS, clock, random }),
    providers,
    origin: (client) => `${client.scheme}://${client.host}`,
    clock,
    log: silent
  }
  const federation = await Federation.start({
    options,
    clock: times,
    users: {
      byToken: async (token) => accounts.users.byToken(token),
      bySession: (id) => accounts.sessions.find(id),
      bySignOn: (name) => accounts.users.bySignOn(name),
      isBlocked: (user) => accounts.users.isBlocked(user)
    },
    ownPages: ownPages(signInPages(deps, about))
  })
  table.value = federation.table
  const address = `http://127.0.0.1:${federation.port}`
  return {
    federation,
    accounts,
    address,
    clock,
    page: (path) => new URL(`/.well-known/node-daemon/${path}`, address),
    [Symbol.asyncDispose]: () => federation[Symbol.asyncDispose]()
  }
}

function accountsOf({ users, sessions }: Accounts, clock: ManualClock): SignInDeps['accounts'] {
  const attempts = new Attempts(clock)
  return {
    byToken: async (token) => users.byToken(token),
    async byProvider(provider, person) {
      const { name, blocked } = await users.byProvider(provider, person, () => true)
      return blocked ? 'blocked' : (`user:${name}` as UserId)
    },
    isBlocked: (user) => users.isBlocked(user),
    begin: (user) => sessions.begin(user),
    end: (session) => sessions.end(session),
    attempt: (address) => attempts.attempt(address)
  }
}

function keepingOf(table: () => Table | null): SignInDeps['keeping'] {
  const has = (user: UserId): boolean => table()?.places.has(`${FILES} ${user}`) === true
  return {
    services: (user): ServiceName[] => (has(user) ? [FILES] : []),
    async makeOver(service, guest, user) {
      const place = table()?.find(service, guest)
      if (has(user)) throw new NodeDaemonError('CONFLICT', 'has one already')
      if (place === null || place === undefined) return
      table()?.places.delete(`${service} ${guest}`)
      table()?.put(user, place)
    }
  }
}
