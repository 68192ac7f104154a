import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { OpenidProvider } from '../../../src/routing/sign-in/openid.ts'
import type { Person, Provider, ProviderConfig, SignInChecks } from '../../../src/routing/sign-in/provider.ts'
import { manualClock } from '../../tools/clock.ts'
import { CLIENT, IdentityProvider } from '../../tools/identity-provider.ts'
import { OauthServer } from '../../tools/oauth-server.ts'
import { type Arrived, Visitor } from '../../tools/visitor.ts'
import { type SignInBench, signInBench } from './sign-in-bench.ts'

const CALLBACK = '/.well-known/node-daemon/sign-in/lab/callback'
const COOKIE = 'nd_session'

const openid = (issuer: string, change: Partial<ProviderConfig> = {}): ProviderConfig => ({
  name: 'lab',
  label: 'The Lab',
  kind: 'oidc',
  issuer,
  clientId: CLIENT.id,
  clientSecret: CLIENT.secret,
  scopes: ['openid', 'profile', 'email'],
  subjectClaim: 'sub',
  usernameClaim: 'preferred_username',
  endpoints: null,
  allow: [],
  ...change
})

const oauth = (url: string, change: Partial<ProviderConfig> = {}): ProviderConfig => ({
  ...openid(url),
  name: 'hub',
  label: 'The Hub',
  kind: 'oauth2',
  scopes: [],
  subjectClaim: 'id',
  usernameClaim: 'login',
  endpoints: { authorize: `${url}/authorize`, token: `${url}/token`, userinfo: `${url}/user` },
  ...change
})

/** Providers that are configured once the port of the front door is known. */
class LateProvider implements Provider {
  readonly name: string
  readonly label: string
  inner: Provider | null = null

  constructor(name: string, label: string) {
    this.name = name
    this.label = label
  }

  begin(redirectUri: string, checks: SignInChecks): Promise<URL> {
    return this.#real.begin(redirectUri, checks)
  }

  finish(url: URL, checks: SignInChecks): Promise<Person> {
    return this.#real.finish(url, checks)
  }

  get #real(): Provider {
    if (this.inner === null) throw new Error('not configured')
    return this.inner
  }
}

interface Scene extends AsyncDisposable {
  readonly bench: SignInBench
  readonly lab: IdentityProvider
  readonly hub: OauthServer
  readonly labs: LateProvider
  readonly hubs: LateProvider
}

async function scene(change: Partial<ProviderConfig> = {}): Promise<Scene> {
  const labs = new LateProvider('lab', 'The Lab')
  const hubs = new LateProvider('hub', 'The Hub')
  const bench = await signInBench([labs, hubs])
  const lab = await IdentityProvider.start()
  lab.register(bench.address + CALLBACK)
  const hub = await OauthServer.start()
  lab.accounts.set('ada', { subject: 'subject-1', name: 'ada', email: 'ada@lab.example', verified: true })
  lab.accounts.set('bob', { subject: 'subject-2', name: 'Bob Öd', email: 'bob@lab.example' })
  labs.inner = new OpenidProvider(openid(lab.issuer, change), { clock: bench.clock })
  hubs.inner = new OpenidProvider(oauth(hub.url), { clock: bench.clock })
  return {
    bench,
    lab,
    hub,
    labs,
    hubs,
    async [Symbol.asyncDispose]() {
      await bench[Symbol.asyncDispose]()
      if (lab.isOpen) await lab[Symbol.asyncDispose]()
      await hub[Symbol.asyncDispose]()
    }
  }
}

/** Goes to the provider, types a name there, and comes back. */
async function signIn({ bench }: Scene, visitor: Visitor, name: string, to = '/'): Promise<Arrived> {
  const form = await visitor.go(bench.page(`sign-in/lab?to=${encodeURIComponent(to)}`))
  const action = /action="([^"]+)"/.exec(form.text)?.[1] ?? ''
  return visitor.submit(new URL(action, form.url), { name })
}

const userOf = (bench: SignInBench): string | null | undefined => bench.federation.alpha.seen.at(-1)?.target.user

test('somebody with an account at an OpenID Connect provider signs in, and is the same user the next time and elsewhere', async () => {
  await using all = await scene()
  const { bench } = all
  const visitor = new Visitor()
  expect((await visitor.go(bench.page('sign-in'))).text).toContain('Sign in with The Lab')
  const arrived = await signIn(all, visitor, 'ada', '/notes?a=b')
  expect(arrived.url.href).toBe(`${bench.address}/notes?a=b`)
  expect(userOf(bench)).toBe('user:ada')
  expect(visitor.cookie(bench.address, 'nd_sign_in')).toBeNull()
  await signIn(all, new Visitor(), 'ada', '/again')
  expect(userOf(bench)).toBe('user:ada')
  expect(bench.accounts.users.list()).toMatchObject([
    { name: 'ada', source: { kind: 'provider', provider: 'lab', subject: 'subject-1' } }
  ])
})

test('a name that was changed at the provider changes nobody here: the subject counts', async () => {
  await using all = await scene()
  await signIn(all, new Visitor(), 'ada')
  all.lab.accounts.set('ada', { subject: 'subject-1', name: 'lovelace' })
  all.lab.accounts.set('eve', { subject: 'subject-9', name: 'ada' })
  await signIn(all, new Visitor(), 'ada')
  expect(userOf(all.bench)).toBe('user:ada')
  await signIn(all, new Visitor(), 'eve')
  expect(userOf(all.bench)).toBe('user:ada-2')
})

test('people of the same name at two providers, and a local user of that name, are three people', async () => {
  await using all = await scene()
  await all.bench.accounts.users.add('octo', 'test')
  all.lab.accounts.set('octo', { subject: '1', name: 'octo' })
  all.hub.account = { id: 1, login: 'octo' }
  await signIn(all, new Visitor(), 'octo')
  const first = userOf(all.bench)
  await new Visitor().go(all.bench.page('sign-in/hub'))
  const second = userOf(all.bench)
  expect(new Set(['user:octo', first, second]).size).toBe(3)
})

test('OAuth2 without an ID token: who it is, its API tells', async () => {
  await using all = await scene()
  const visitor = new Visitor()
  const arrived = await visitor.go(all.bench.page('sign-in/hub?to=/x'))
  expect(arrived.url.href).toBe(`${all.bench.address}/x`)
  expect(userOf(all.bench)).toBe('user:octo')
  all.hub.account = { id: 1, login: 'renamed' }
  await new Visitor().go(all.bench.page('sign-in/hub'))
  expect(userOf(all.bench)).toBe('user:octo')
})

test('names that no user can have become ones that they can', async () => {
  await using all = await scene()
  await signIn(all, new Visitor(), 'bob')
  expect(userOf(all.bench)).toBe('user:bob-od')
})

test('a blocked person is out, and stays out', async () => {
  await using all = await scene()
  const visitor = new Visitor()
  await signIn(all, visitor, 'ada')
  await all.bench.accounts.users.block('ada', 'test')
  expect((await visitor.go(all.bench.address)).status).toBe(403)
  const again = await signIn(all, new Visitor(), 'ada')
  expect(again.status).toBe(403)
  expect(again.setCookies).toEqual([])
})

test.each([
  ['by name', ['ada']],
  ['by the domain of a verified address', ['@lab.example']]
])('only those come in who are let in %s', async (_how, allow) => {
  await using all = await scene({ allow })
  expect((await signIn(all, new Visitor(), 'ada')).status).toBe(200)
  const refused = await signIn(all, new Visitor(), 'bob')
  expect(refused.status).toBe(403)
  expect(refused.text).toContain('not among those who may come in')
  expect(all.bench.accounts.users.list().map(({ name }) => name)).toEqual(['ada'])
})

/** Comes back from the provider without being let in: where the provider sends the browser. */
async function wayBack(all: Scene, visitor: Visitor): Promise<URL> {
  const begun = await visitor.ask('GET', all.bench.page('sign-in/hub'))
  const there = await visitor.ask('GET', begun.headers.location ?? '')
  return new URL(there.headers.location ?? '')
}

test('a sign-in that one browser began cannot be ended in another one, nor ended twice', async () => {
  await using all = await scene()
  const attacker = new Visitor()
  const back = await wayBack(all, attacker)
  const victim = new Visitor()
  const forced = await victim.go(back)
  expect(forced.status).toBe(400)
  expect(victim.cookie(all.bench.address, COOKIE)).toBeNull()
  const cookie = attacker.cookie(all.bench.address, 'nd_sign_in') ?? ''
  expect((await attacker.go(back)).status).toBe(200)
  attacker.setCookie(all.bench.address, 'nd_sign_in', cookie)
  expect((await attacker.go(back)).status).toBe(400)
})

test('a callback with another state, of another provider, with a forged cookie or too late is refused', async () => {
  await using all = await scene()
  const visitor = new Visitor()
  const back = await wayBack(all, visitor)
  const foreign = new URL(back)
  foreign.searchParams.set('state', 'A'.repeat(43))
  expect((await visitor.go(foreign)).status).toBe(400)
  const mixed = new URL(back.href.replace('/sign-in/hub/', '/sign-in/lab/'))
  expect((await visitor.go(mixed)).status).toBe(400)
  const good = visitor.cookie(all.bench.address, 'nd_sign_in') ?? ''
  const parts = good.split('.')
  for (const forged of [
    good.slice(0, -2),
    good.replace('hub.', 'lab.'),
    [...parts.slice(0, 3), Buffer.from('//evil').toString('base64url'), parts[4]].join('.'),
    ''
  ]) {
    visitor.setCookie(all.bench.address, 'nd_sign_in', forged)
    expect((await visitor.go(back)).status, forged).toBe(400)
  }
  visitor.setCookie(all.bench.address, 'nd_sign_in', good)
  all.bench.clock.advance(10 * 60_000 + 1)
  expect((await visitor.go(back)).status).toBe(400)
  expect(visitor.cookie(all.bench.address, COOKIE)).toBeNull()
})

test('a code of somebody else, put into the own callback, is refused: it was not asked for with the own proof', async () => {
  await using all = await scene()
  const attacker = await wayBack(all, new Visitor())
  const victim = new Visitor()
  const back = await wayBack(all, victim)
  back.searchParams.set('code', attacker.searchParams.get('code') ?? '')
  const refused = await victim.go(back)
  expect(refused.status).toBe(403)
  expect(victim.cookie(all.bench.address, COOKIE)).toBeNull()
})

test('who does not sign in at the provider is told so, and another site cannot begin it', async () => {
  await using all = await scene()
  const refused = await signIn(all, new Visitor(), 'nobody')
  expect(refused.status).toBe(403)
  expect(refused.text).toContain('You were not signed in')
  const lured = await new Visitor().ask('GET', all.bench.page('sign-in/lab'), {
    headers: { 'sec-fetch-site': 'cross-site' }
  })
  expect(lured.status).toBe(403)
})

test('where a provider is away people are told, and sign in another way', async () => {
  await using all = await scene()
  await all.lab[Symbol.asyncDispose]()
  const away = await new Visitor().go(all.bench.page('sign-in/lab'))
  expect(away.status).toBe(502)
  expect(away.text).toContain('The Lab does not answer')
  await new Visitor().go(all.bench.page('sign-in/hub'))
  expect(userOf(all.bench)).toBe('user:octo')
})

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
})

async function serve(answer: Parameters<typeof createServer>[1] & object): Promise<string> {
  const server = createServer(answer)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const CHECKS = { state: 's'.repeat(43), nonce: 'n', verifier: 'v'.repeat(43) }

test('a provider that never answers is given up after ten seconds', async () => {
  const asked = Promise.withResolvers<void>()
  const url = await serve(() => asked.resolve())
  const clock = manualClock()
  const answer = new OpenidProvider(openid(url), { clock }).begin('http://x/', CHECKS)
  const outcome = expect(answer).rejects.toMatchObject({ code: 'TIMED_OUT' })
  await asked.promise
  clock.advance(10_000)
  await outcome
})

test('a provider that answers without end is given up', async () => {
  const url = await serve((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.on('error', () => undefined)
    const write = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, 32)));
    }
    response.on('drain', write)
    write()
  })
  const answer = new OpenidProvider(openid(url), { clock: manualClock() }).begin('http://x/', CHECKS)
  await expect(answer).rejects.toMatchObject({ code: 'OUT_OF_REACH' })
})

test('a provider is asked anew after it could not be reached, and after an hour', async () => {
  let asked = 0
  let isUp = false
  const url = await serve((_request, response) => {
    asked += 1
    if (!isUp) return void response.writeHead(503).end()
    const found = { issuer: url, authorization_endpoint: `${url}/a`, token_endpoint: `${url}/t`, jwks_uri: `${url}/j` }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found))
  })
  const clock = manualClock()
  const provider = new OpenidProvider(openid(url), { clock })
  await expect(provider.begin('http://x/', CHECKS)).rejects.toMatchObject({ code: 'OUT_OF_REACH' })
  isUp = true
  const there = await provider.begin('http://x/', CHECKS)
  expect(there.searchParams.get('code_challenge_method')).toBe('S256')
  await provider.begin('http://x/', CHECKS)
  expect(asked).toBe(2)
  clock.advance(3_600_001)
  await provider.begin('http://x/', CHECKS)
  expect(asked).toBe(3)
})
