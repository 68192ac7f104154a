import { createHash } from 'node:crypto'

const PATIENCE_MS = 60_000

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
  readonly text: string
  /** Name of the instance that served it; empty where the front door answered itself. */
  readonly by: string
  readonly tookMs: number
}

export interface Sent {
  readonly body?: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

/** A path of a file or folder as a URL has it. */
export const urlPath = (...parts: readonly string[]): string => `/${parts.map(encodeURIComponent).join('/')}`

/** Somebody at the front door, with a token, or with the cookie that they are given. */
export class WebUser {
  readonly name: string
  readonly #url: string
  /** By which the front door knows who it is. */
  readonly headers: Readonly<Record<string, string>>
  cookie: string | null = null

  constructor(name: string, url: string, headers: Readonly<Record<string, string>> = {}) {
    this.name = name
    this.#url = url
    this.headers = headers
  }

  /** What it says of itself with each request; empty for a guest. */
  get authorization(): string {
    return this.headers.authorization ?? ''
  }

  /** One request, sent once. Rejects where no whole answer comes within a minute. */
  async send(method: string, path: string, { body, headers }: Sent = {}): Promise<Answer> {
    const startedAt = performance.now()
    const response = await fetch(new URL(path, this.#url), {
      method,
      redirect: 'manual',
      headers: { ...this.headers, ...this.#cookieHeaders(method), ...headers },
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : new Uint8Array(body) })
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    const [cookie] = response.headers.getSetCookie()
    if (cookie !== undefined) this.cookie = cookie.split(';')[0] ?? null
    return {
      status: response.status,
      headers: response.headers,
      body: bytes,
      get text() {
        return bytes.toString()
      },
      by: response.headers.get('x-served-by') ?? '',
      tookMs: performance.now() - startedAt
    }
  }

  get(path: string, sent: Sent = {}): Promise<Answer> {
    return this.send('GET', path, sent)
  }

  put(path: string, body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.send('PUT', path, { body, headers })
  }

  /** Saves a file, or throws: only what was acknowledged counts as saved. */
  async save(path: string, body: string | Uint8Array): Promise<Answer> {
    const answer = await this.put(path, body)
    if (answer.status === 201 || answer.status === 204) return answer
    throw new Error(`PUT ${path} of ${this.name}: ${answer.status} ${answer.text.slice(0, 300)}`)
  }

  /** Reads a file, or throws. */
  async read(path: string): Promise<Buffer> {
    const answer = await this.get(path)
    if (answer.status === 200) return answer.body
    throw new Error(`GET ${path} of ${this.name}: ${answer.status} ${answer.text.slice(0, 300)}`)
  }

  #cookieHeaders(method: string): Record<string, string> {
    if (this.cookie === null) return {}
    return method === 'GET' ? { cookie: this.cookie } : { cookie: this.cookie, origin: new URL(this.#url).origin }
  }
}
