import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CLIENT } from './identity-provider.ts'

interface Code {
  readonly challenge: string
  readonly redirectUri: string
}

/** OAuth 2 as GitHub speaks it: no ID token, but an API that tells who a token is for. Whoever comes is `account`. */
export class OauthServer implements AsyncDisposable {
  account: { id: number; login: string } = { id: 1, login: 'octo' }
  readonly #codes = new Map<string, Code>()
  readonly #tokens = new Set<string>()
  readonly #server: Server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => response.destroy(error as Error))
  })
  url = ''

  static async start(): Promise<OauthServer> {
    const one = new OauthServer()
    one.#server.listen(0, '127.0.0.1')
    await once(one.#server, 'listening')
    one.url = `http://127.0.0.1:${(one.#server.address() as AddressInfo).port}`
    return one
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url)
    if (url.pathname === '/authorize') return this.#authorize(url.searchParams, response)
    if (url.pathname === '/user') return this.#user(request, response)
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    this.#token(new URLSearchParams(Buffer.concat(chunks).toString()), response)
  }

  #authorize(asked: URLSearchParams, response: ServerResponse): void {
    const code = randomBytes(8).toString('hex')
    const redirectUri = asked.get('redirect_uri') ?? ''
    this.#codes.set(code, { challenge: asked.get('code_challenge') ?? '', redirectUri })
    const back = new URL(redirectUri)
    back.searchParams.set('code', code)
    back.searchParams.set('state', asked.get('state') ?? '')
    response.writeHead(302, { location: back.href }).end()
  }

  #token(asked: URLSearchParams, response: ServerResponse): void {
    const code = this.#codes.get(asked.get('code') ?? '')
    this.#codes.delete(asked.get('code') ?? '')
    const verifier = asked.get('code_verifier') ?? ''
    const isRight =
      asked.get('client_id') === CLIENT.id &&
      asked.get('client_secret') === CLIENT.secret &&
      code?.redirectUri === asked.get('redirect_uri') &&
      code?.challenge === createHash('sha256').update(verifier).digest('base64url')
    // GitHub answers with 200 also where it refuses.
    if (!isRight) return json(response, 200, { error: 'bad_verification_code' })
    const token = randomBytes(16).toString('hex')
    this.#tokens.add(token)
    json(response, 200, { access_token: token, token_type: 'bearer', scope: '' })
  }

  #user(request: IncomingMessage, response: ServerResponse): void {
    const token = /^bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? ''
    if (!this.#tokens.has(token)) return json(response, 401, { message: 'Bad credentials' })
    json(response, 200, this.account)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}

function json(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}
