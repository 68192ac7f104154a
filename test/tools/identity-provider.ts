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

/** A real OpenID Connect provider on a free port of this machine. Whoever types an account's name is signed in. */
export class IdentityProvider implements AsyncDisposable {
  readonly accounts = new Map<string, Account>()
  readonly #server: Server
  issuer = ''

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(redirectUris: readonly string[]): Promise<IdentityProvider> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const one = new IdentityProvider(server)
    one.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const provider = new OidcProvider(one.issuer, {
      clients: [{ client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: redirectUris }],
      claims: { openid: ['sub'], profile: ['preferred_username'], email: ['email', 'email_verified'] },
      findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: async () => one.#claims(id) }),
      pkce: { required: () => true },
      features: { devInteractions: { enabled: false } },
      interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
      cookies: { keys: ['for tests alone'] }
    })
    const answer = provider.callback()
    server.on('request', (request, response) => {
      if (request.url?.startsWith('/interaction/') !== true) return answer(request, response)
      interact(provider, one.accounts, request, response).catch((error: unknown) => response.destroy(error as Error))
    })
    return one
  }

  #claims(subject: string): object {
    const account = [...this.accounts.values()].find((one) => one.subject === subject)
    return {
      sub: subject,
      preferred_username: account?.name,
      ...(account?.email !== undefined && { email: account.email, email_verified: account.verified === true })
    }
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
      `<!doctype html><title>Provider</title><form method="post" action="/interaction/${uid}"><label>Name <input name="name"></label><button>Sign in</button></form>`
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
