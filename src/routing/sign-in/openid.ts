import * as openid from 'openid-client'
import { type Clock, type Instant, withTimeout } from '../../core/clock.ts'
import { messageOf, NodeDaemonError } from '../../core/errors.ts'
import { boundedFetch } from './bounded-fetch.ts'
import { isAllowed, type Person, type Provider, type ProviderConfig, type SignInChecks } from './provider.ts'

const PATIENCE_MS = 10_000
/** What a provider says about itself is asked for again after so long. */
const METADATA_MS = 3_600_000
/** Between its clock and ours. */
const CLOCK_TOLERANCE_S = 60

/** What the library throws where a provider answered, and did not sign the person in. */
const REFUSALS = [openid.AuthorizationResponseError, openid.ResponseBodyError, openid.WWWAuthenticateChallengeError]

interface Found {
  readonly configuration: openid.Configuration
  readonly at: Instant
}

/** A provider that speaks OpenID Connect, or OAuth 2 with an API that tells who a token is for. Nothing is asked before it is used. */
export class OpenidProvider implements Provider {
  readonly name: string
  readonly label: string
  readonly #config: ProviderConfig
  readonly #clock: Clock
  #found: Found | null = null
  #finding: Promise<Found> | null = null

  constructor(config: ProviderConfig, deps: { readonly clock: Clock }) {
    this.name = config.name
    this.label = config.label
    this.#config = config
    this.#clock = deps.clock
  }

  begin(redirectUri: string, { state, nonce, verifier }: SignInChecks): Promise<URL> {
    return this.#ask(async () => {
      const configuration = await this.#configuration()
      return openid.buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        scope: this.#config.scopes.join(' '),
        state,
        code_challenge: await openid.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        ...(this.#config.kind === 'oidc' && { nonce })
      })
    })
  }

  async finish(url: URL, { state, nonce, verifier }: SignInChecks): Promise<Person> {
    const claims = await this.#ask(async () => {
      const configuration = await this.#configuration()
      const checks = { expectedState: state, pkceCodeVerifier: verifier }
      if (this.#config.kind === 'oauth2') {
        const tokens = await openid.authorizationCodeGrant(configuration, url, checks)
        return this.#whoHas(configuration, tokens.access_token)
      }
      const tokens = await openid.authorizationCodeGrant(configuration, url, { ...checks, expectedNonce: nonce })
      return this.#claimsOf(configuration, tokens)
    })
    const person = this.#personOf(claims)
    if (isAllowed(this.#config, person)) return person
    throw new NodeDaemonError('FORBIDDEN', `${person.name} of ${this.label} is not among those who may come in`)
  }

  async #claimsOf(configuration: openid.Configuration, tokens: Tokens): Promise<Claims> {
    const claims: Claims = { ...tokens.claims() }
    const { subjectClaim, usernameClaim } = this.#config
    const isWhole = subjectClaim in claims && usernameClaim in claims
    if (isWhole || configuration.serverMetadata().userinfo_endpoint === undefined) return claims
    // The library checks that both are about the same subject.
    const more = await openid.fetchUserInfo(configuration, tokens.access_token, String(claims.sub))
    return { ...more, ...claims }
  }

  async #whoHas(configuration: openid.Configuration, accessToken: string): Promise<Claims> {
    const url = new URL(this.#config.endpoints?.userinfo ?? '')
    const headers = new Headers({ accept: 'application/json' })
    const response = await openid.fetchProtectedResource(configuration, accessToken, url, 'GET', null, headers)
    const told: unknown = response.ok ? await response.json() : null
    if (typeof told === 'object' && told !== null) return told as Claims
    throw new NodeDaemonError('FORBIDDEN', `${this.label} does not tell who signed in (${response.status})`)
  }

  #personOf(claims: Claims): Person {
    const { subjectClaim, usernameClaim, kind } = this.#config
    const subject = textOf(claims[subjectClaim])
    if (subject === null)
      throw new NodeDaemonError('FORBIDDEN', `${this.label} does not tell the claim ${subjectClaim}`)
    const verified = kind === 'oidc' && claims.email_verified === true
    return { subject, name: textOf(claims[usernameClaim]) ?? subject, email: verified ? textOf(claims.email) : null }
  }

  async #configuration(): Promise<openid.Configuration> {
    const found = this.#found
    if (found !== null && this.#clock.now() - found.at < METADATA_MS) return found.configuration
    this.#finding ??= this.#find().finally(() => {
      this.#finding = null
    })
    this.#found = await this.#finding
    return this.#found.configuration
  }

  async #find(): Promise<Found> {
    const configuration = this.#config.endpoints === null ? await this.#discover() : this.#asConfigured()
    configuration.timeout = PATIENCE_MS / 1000
    return { configuration, at: this.#clock.now() }
  }

  async #discover(): Promise<openid.Configuration> {
    const { issuer, clientId } = this.#config
    const found = await openid.discovery(new URL(issuer), clientId, undefined, undefined, {
      execute: mayBePlain(issuer) ? [openid.allowInsecureRequests] : [],
      [openid.customFetch]: boundedFetch,
      timeout: PATIENCE_MS / 1000
    })
    const methods = found.serverMetadata().token_endpoint_auth_methods_supported
    return this.#build(found.serverMetadata(), methods === undefined || methods.includes('client_secret_basic'))
  }

  #asConfigured(): openid.Configuration {
    const { issuer, endpoints } = this.#config
    const server = {
      issuer,
      authorization_endpoint: endpoints?.authorize ?? '',
      token_endpoint: endpoints?.token ?? ''
    }
    return this.#build(server, false)
  }

  #build(server: openid.ServerMetadata, basic: boolean): openid.Configuration {
    const { issuer, clientId, clientSecret } = this.#config
    const secret = clientSecret === null ? null : basic ? openid.ClientSecretBasic : openid.ClientSecretPost
    const metadata = { [openid.clockTolerance]: CLOCK_TOLERANCE_S }
    const authentication = secret === null ? openid.None() : secret(clientSecret ?? '')
    const configuration = new openid.Configuration(server, clientId, metadata, authentication)
    configuration[openid.customFetch] = boundedFetch
    if (mayBePlain(issuer)) openid.allowInsecureRequests(configuration)
    return configuration
  }

  /** Errors of the library in words of ours. */
  async #ask<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await withTimeout(this.#clock, PATIENCE_MS, `the answer of ${this.label}`, work)
    } catch (error) {
      if (error instanceof NodeDaemonError) throw error
      const refused = REFUSALS.some((kind) => error instanceof kind) || isUnbelievable(error)
      const what = refused ? `${this.label} did not sign you in` : `${this.label} is out of reach`
      throw new NodeDaemonError(refused ? 'FORBIDDEN' : 'OUT_OF_REACH', `${what}: ${causeOf(error)}`, { cause: error })
    }
  }
}

type Claims = Record<string, unknown>
type Tokens = Awaited<ReturnType<typeof openid.authorizationCodeGrant>>

/** Without TLS only to this machine: for tests, and for a provider beside the coordinator. */
export const mayBePlain = (address: string): boolean => {
  const { protocol, hostname } = new URL(address)
  return protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(hostname)
}

/** What was answered does not verify: another state, nonce, signature, issuer or audience. */
const isUnbelievable = (error: unknown): boolean =>
  error instanceof openid.ClientError && error.code !== undefined && UNBELIEVABLE.includes(error.code)

const UNBELIEVABLE: readonly string[] = [
  'OAUTH_INVALID_RESPONSE',
  'OAUTH_KEY_SELECTION_FAILED',
  'OAUTH_JWT_CLAIM_COMPARISON_FAILED',
  'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED',
  'OAUTH_JWT_TIMESTAMP_CHECK_FAILED'
]

function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${messageOf(error.cause)}` : ''
  return `${messageOf(error)}${cause}`.slice(0, 300)
}

/** A claim that is a text or a number, such as GitHub's ids. */
function textOf(value: unknown): string | null {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  return typeof value === 'string' && value !== '' ? value : null
}
