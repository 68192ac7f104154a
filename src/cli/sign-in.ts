import { z } from 'zod'
import { NodeDaemonError } from '../core/errors.ts'
import type { CoordinatorOptions, SignInProviderOptions } from '../daemon/options.ts'
import { list, maybe, type ValuesOf } from './settings.ts'
import { type Parser, webUrl } from './values.ts'

const GITHUB = {
  issuer: 'https://github.com/login/oauth',
  endpoints: {
    authorize: 'https://github.com/login/oauth/authorize',
    token: 'https://github.com/login/oauth/access_token',
    userinfo: 'https://api.github.com/user'
  }
} as const
const FLAGS_NAME = 'oidc'
/** Headers that something else stands in, or that a proxy passes on as a client sent them. */
const NO_USER_HEADER =
  /^(host|cookie|authorization|connection|content-.*|transfer-encoding|forwarded|x-forwarded-.*|origin)$/

const bad = (message: string, advice: string): NodeDaemonError => new NodeDaemonError('BAD_USAGE', message, { advice })

/** An address to which secrets go: with TLS, or on this machine. */
const secureUrl = z.string().max(1000).refine(isSecure, 'must be an https:// address')
const text = z.string().min(1).max(300)
const texts = z.array(text).max(1000)

const schema = z.object({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'must be 1 to 40 of a-z 0-9 -'),
  label: z.string().min(1).max(60).optional(),
  kind: z.enum(['oidc', 'oauth2', 'github']).default('oidc'),
  issuer: secureUrl.optional(),
  'client-id': text,
  'client-secret-file': text.optional(),
  scopes: texts.optional(),
  'subject-claim': text.optional(),
  'username-claim': text.optional(),
  'authorize-url': secureUrl.optional(),
  'token-url': secureUrl.optional(),
  'userinfo-url': secureUrl.optional(),
  allow: texts.default([])
})
type Said = z.infer<typeof schema>
const KEYS: readonly string[] = Object.keys(schema.shape)

const ADVICE = 'write it like name=lab issuer=https://id.example.org client-id=… client-secret-file=…'
/** Those of which there may be several. */
const LISTS: readonly string[] = ['scopes', 'allow']
type Words = Readonly<Record<string, string | readonly string[]>>

/** A provider in words, `name=lab label=The Lab issuer=https://…`, or as a JSON object: so comes a map of the config file. */
const provider: Parser<SignInProviderOptions> = (said) => providerOf(wordsOf(said))

function providerOf(words: Words): SignInProviderOptions {
  const parsed = schema.safeParse(words)
  if (parsed.success) return parsed.data.kind === 'oidc' ? openidOf(parsed.data) : oauthOf(parsed.data)
  const [issue] = parsed.error.issues
  throw bad(`a sign-in provider's ${issue?.path.join('.') || 'setting'}: ${issue?.message ?? 'is missing'}`, ADVICE)
}

function wordsOf(said: string): Words {
  const words = new Map<string, string | readonly string[]>()
  for (const [key, value] of said.trimStart().startsWith('{') ? fromMap(said) : fromLine(said)) {
    const before = words.get(key)
    if (!KEYS.includes(key)) throw bad(`"${key.slice(0, 60)}" says nothing of a provider`, `known: ${KEYS.join(', ')}`)
    if (LISTS.includes(key)) words.set(key, [...(Array.isArray(before) ? before : []), ...value.split(/[\s,]+/)])
    else if (before === undefined) words.set(key, value)
    else throw bad(`${key} stands twice in a sign-in provider`, ADVICE)
  }
  return Object.fromEntries(words)
}

/** A value may have spaces in it: the next word begins where another `key=` stands. */
const fromLine = (said: string): [string, string][] =>
  said
    .trim()
    .split(/\s+(?=[a-z-]+=)/)
    .map((word) => [word.split('=', 1)[0] ?? '', word.slice(word.indexOf('=') + 1)])

function fromMap(said: string): [string, string][] {
  let map: unknown
  try {
    map = JSON.parse(said)
  } catch {
    throw bad(`"${said.slice(0, 100)}" is no JSON object`, ADVICE)
  }
  return Object.entries(map as object).flatMap(([key, value]): [string, string][] =>
    Array.isArray(value) ? value.map((one) => [key, String(one)]) : [[key, String(value)]]
  )
}

function openidOf(said: Said): SignInProviderOptions {
  const { issuer, allow } = said
  if (issuer === undefined) throw bad(`the sign-in provider ${said.name} needs its issuer`, 'say issuer: https://…')
  const withEmail = allow.some((one) => one.startsWith('@'))
  return {
    ...common(said),
    kind: 'oidc',
    issuer,
    endpoints: null,
    label: said.label ?? new URL(issuer).hostname,
    scopes: said.scopes ?? ['openid', 'profile', ...(withEmail ? ['email'] : [])],
    subjectClaim: said['subject-claim'] ?? 'sub',
    usernameClaim: said['username-claim'] ?? 'preferred_username'
  }
}

function oauthOf(said: Said): SignInProviderOptions {
  const isGithub = said.kind === 'github'
  const authorize = said['authorize-url'] ?? (isGithub ? GITHUB.endpoints.authorize : undefined)
  const token = said['token-url'] ?? (isGithub ? GITHUB.endpoints.token : undefined)
  const userinfo = said['userinfo-url'] ?? (isGithub ? GITHUB.endpoints.userinfo : undefined)
  if (authorize === undefined || token === undefined || userinfo === undefined) {
    throw bad(`the sign-in provider ${said.name} needs more`, 'say authorize-url, token-url and userinfo-url')
  }
  if (said.allow.some((one) => one.startsWith('@'))) {
    throw bad(`${said.name}: OAuth2 verifies no addresses`, 'name the users under allow, or use OpenID Connect')
  }
  return {
    ...common(said),
    kind: 'oauth2',
    issuer: said.issuer ?? (isGithub ? GITHUB.issuer : new URL(authorize).origin),
    endpoints: { authorize, token, userinfo },
    label: said.label ?? (isGithub ? 'GitHub' : new URL(authorize).hostname),
    scopes: said.scopes ?? [],
    subjectClaim: said['subject-claim'] ?? 'id',
    usernameClaim: said['username-claim'] ?? 'login'
  }
}

const common = (said: Said): Pick<SignInProviderOptions, 'name' | 'clientId' | 'clientSecretFile' | 'allow'> => ({
  name: said.name,
  clientId: said['client-id'],
  clientSecretFile: said['client-secret-file'] ?? null,
  allow: said.allow
})

function isSecure(address: string): boolean {
  if (!URL.canParse(address)) return false
  const { protocol, hostname } = new URL(address)
  return protocol === 'https:' || (protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(hostname))
}

function headerName(name: string): string {
  const lower = name.toLowerCase()
  if (/^[a-z0-9-]{1,100}$/.test(lower) && !NO_USER_HEADER.test(lower)) return lower
  throw bad(`"${name.slice(0, 100)}" cannot be the header that names the user`, 'take one like X-Remote-User')
}

export const SIGN_IN_SETTINGS = {
  'trust-user-header': maybe('<name>', 'the header in which a --trust-proxy names the user who signed on', headerName),
  'oidc-issuer': maybe('<url>', 'people sign in at this OpenID Connect provider', webUrl),
  'oidc-client-id': maybe('<id>', 'under which this federation is registered there', (id) => id),
  'oidc-client-secret-file': maybe('<file>', 'where the secret stands that belongs to it', (path) => path),
  'sign-in': list('<words>', 'a sign-in provider, like name=hub kind=github client-id=… client-secret-file=…', provider)
} as const

/** @throws NodeDaemonError `BAD_USAGE` what was said does not go together */
export function signInOptions(
  values: ValuesOf<typeof SIGN_IN_SETTINGS> & { readonly 'trust-proxy': readonly string[] }
): Pick<CoordinatorOptions, 'signIn' | 'trustUserHeader'> {
  const trustUserHeader = values['trust-user-header']
  if (trustUserHeader !== null && values['trust-proxy'].length === 0) {
    throw bad(
      `anybody could name any user in ${trustUserHeader}`,
      'say with --trust-proxy which address the sign-on proxy has'
    )
  }
  const signIn = [...flagsProvider(values), ...values['sign-in']]
  const names = signIn.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw bad(`two sign-in providers are called ${twice}`, 'give each a name of its own')
  return { signIn, trustUserHeader }
}

function flagsProvider(values: ValuesOf<typeof SIGN_IN_SETTINGS>): readonly SignInProviderOptions[] {
  const issuer = values['oidc-issuer']
  const clientId = values['oidc-client-id']
  const secret = values['oidc-client-secret-file']
  if (issuer === null && clientId === null && secret === null) return []
  if (issuer === null || clientId === null) {
    throw bad('a sign-in provider needs its issuer and a client id', 'say --oidc-issuer and --oidc-client-id')
  }
  const file = secret === null ? {} : { 'client-secret-file': secret }
  return [providerOf({ name: FLAGS_NAME, issuer, 'client-id': clientId, ...file })]
}
