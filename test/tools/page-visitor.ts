import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'

const REDIRECTS_MAX = 10

export interface Visited {
  readonly status: number
  readonly text: string
  /** Name of the instance that served it. */
  readonly by: string
  /** Where it ended up. */
  readonly url: string
}

/** Visits pages as a browser does: follows redirects, keeps the cookies of each host, and knows the page that it is on. */
export class Browser {
  readonly #start: string
  readonly #authorization: string
  readonly #cookies = new Map<string, Map<string, string>>()
  #at: URL

  /** `authorization` is sent to the host of `start` alone. */
  constructor(start: string, authorization: string) {
    this.#start = start
    this.#authorization = authorization
    this.#at = new URL(start)
  }

  /** Types an address at the front door. */
  async visit(path: string): Promise<Visited> {
    let url = new URL(path, this.#start)
    for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
      const answer = await this.#send('GET', url, PAGE)
      if (answer.location === null) {
        this.#at = url
        return answer
      }
      url = new URL(answer.location, url)
    }
    throw new Error(`${path} redirects in a circle`)
  }

  /** A script of the page saves something, at the host of the page. */
  save(path: string, body: string): Promise<Visited> {
    return this.#send('PUT', new URL(path, this.#at), { ...SCRIPT, origin: this.#at.origin }, body)
  }

  async #send(
    method: string,
    url: URL,
    headers: Readonly<Record<string, string>>,
    body?: string
  ): Promise<Visited & { readonly location: string | null }> {
    const jar = this.#cookies.get(url.host) ?? new Map<string, string>()
    this.#cookies.set(url.host, jar)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const isStart = url.origin === new URL(this.#start).origin
    const opened = request(url, {
      method,
      agent: false,
      headers: {
        ...headers,
        ...(cookie !== '' && { cookie }),
        ...(isStart && { authorization: this.#authorization }),
        ...(body !== undefined && { 'content-length': Buffer.byteLength(body) })
      }
    })
    opened.end(body)
    const [incoming] = (await once(opened, 'response')) as [IncomingMessage]
    const parts: Buffer[] = []
    for await (const part of incoming as AsyncIterable<Buffer>) parts.push(part)
    for (const line of incoming.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      jar.set(name, value)
    }
    return {
      status: incoming.statusCode ?? 0,
      text: Buffer.concat(parts).toString(),
      by: String(incoming.headers['x-served-by'] ?? ''),
      url: url.href,
      location: incoming.statusCode === 307 ? (incoming.headers.location ?? null) : null
    }
  }
}

const PAGE = { accept: 'text/html,*/*', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
const SCRIPT = { accept: '*/*', 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-origin', 'sec-fetch-dest': 'empty' }
