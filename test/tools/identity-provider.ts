import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import OidcProvider from 'oidc-provider'

export const CLIENT = { id: 'federation', secret: 'a-secret-of-32-characters-or-more' } as const

/** Somebody with an account at a provider. */
export interface Account {
  readonly subject: string
  readonly name: string
  readonly email?: string
  readonly verified?: boolean
}

/** A key of its own, made once for all tests of a file. */
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const SIGNING_KEY = { ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: 'test' }
const AN_HOUR_S = 3600
const LIVES = Object.fromEntries(
  ['AccessToken', 'AuthorizationCode', 'Grant', 'IdToken', 'Interaction', 'Session'].map((name) => [name, AN_HOUR_S])
)

interface Row {
  readonly uid?: string
}

/** Where a provider keeps what it gave out, of one kind. */
const rows = (): object => {
  const kept = new Map<string, Row>()
  return {
    upsert: async (id: string, row: Row) => void kept.set(id, row),
    find: async (id: string) => kept.get(id),
    findByUid: async (uid: string) => [...kept.values()].find((row) => row.uid === uid),
    findByUserCode: async () => undefined,
    consume: async (id: string) => void Object.assign(kept.get(id) ?? {}, { consumed: 1 }),
    destroy: async (id: string) => void kept.delete(id),
    revokeByGrantId: async () => undefined
  }
}

/** A real OpenID Connect provider on a free port of this machine. Whoever types an account's name is signed in. */
export class IdentityProvider implements AsyncDisposable {
  readonly accounts = new Map<string, Account>()
  readonly issuer: string
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    this.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  /** It has an address, and knows nobody who sends people to it. */
  static async start(): Promise<IdentityProvider> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new IdentityProvider(server)
  }

  /** The federation sends people from now on, who come back to this address. Called once. */
  register(redirectUri: string): void {
    const provider = new OidcProvider(this.issuer, {
      clients: [{ client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: [redirectUri] }],
      adapter: rows,
      jwks: { keys: [SIGNING_KEY] },
      ttl: LIVES,
      claims: { openid: ['sub'], profile: ['preferred_username'], email: ['email', 'email_verified'] },
      findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: async () => this.#claims(id) }),
      pkce: { required: () => true },
      features: { devInteractions: { enabled: false } },
      interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
      cookies: { keys: ['for tests alone'] }
    })
    const answer = provider.callback()
    this.#server.on('request', (request, response) => {
      if (request.url?.startsWith('/interaction/') !== true) return answer(request, response)
      interact(provider, this.accounts, request, response).catch((error: unknown) => response.destroy(error as Error))
    })
  }

  #claims(subject: string): object {
    const account = [...this.accounts.values()].find((one) => one.subject === subject)
    return {
      sub: subject,
      preferred_username: account?.name,
      ...(account?.email !== undefined && { email: account.email, email_verified: account.verified === true })
    }
  }

  get isOpen(): boolean {
    return this.#server.listening
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}

/** A form that asks for the name of an account; sent, it signs that one in, and agrees to all that is asked for. */
async function interact(
  provider: OidcProvider,
  accounts: ReadonlyMap<string, Account>,
  request: IncomingMessage,
  response: ServerResponse
): Promise<void> {
  const { uid, params } = await provider.interactionDetails(request, response)
  if (request.method !== 'POST') {
    response.setHeader('content-type', 'text/html')
    response.end(
      `<!doctype html><title>Provider</title><link rel="icon" href="data:,"><form method="post" action="/interaction/${uid}"><label>Name <input name="name"></label><button>Sign in</button></form>`
    )
    return
  }
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const account = accounts.get(new URLSearchParams(Buffer.concat(chunks).toString()).get('name') ?? '')
  if (account === undefined) {
    return provider.interactionFinished(request, response, { error: 'access_denied' })
  }
  const grant = new provider.Grant({ accountId: account.subject, clientId: params.client_id })
  grant.addOIDCScope(params.scope)
  const grantId = await grant.save()
  await provider.interactionFinished(request, response, { login: { accountId: account.subject }, consent: { grantId } })
}
