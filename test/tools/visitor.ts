import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'

const REDIRECTS_MAX = 12
const FORM = 'application/x-www-form-urlencoded'

interface Sent {
  readonly method: string
  readonly body: string | null
}

/** Where a visitor has arrived. */
export interface Arrived {
  readonly status: number
  readonly url: URL
  readonly text: string
  readonly headers: IncomingHttpHeaders
  readonly setCookies: readonly string[]
}

/** Goes from page to page as a browser does: with its cookies, where redirects lead, telling where forms come from. */
export class Visitor {
  /** By host and port, then by name: a browser would not even tell ports apart. */
  readonly cookies = new Map<string, Map<string, string>>()

  go(address: string | URL): Promise<Arrived> {
    return this.#follow(
      new URL(address),
      { method: 'GET', body: null },
      { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' }
    )
  }

  /** Sends a form of a page of the same address. */
  submit(address: string | URL, fields: Readonly<Record<string, string>>): Promise<Arrived> {
    const url = new URL(address)
    const headers = {
      origin: url.origin,
      'sec-fetch-site': 'same-origin',
      'sec-fetch-mode': 'navigate',
      'content-type': FORM
    }
    return this.#follow(url, { method: 'POST', body: new URLSearchParams(fields).toString() }, headers)
  }

  /** A request of a program or a script: redirects are not followed. */
  async ask(method: string, address: string | URL, options: { body?: string; headers?: Record<string, string> } = {}) {
    return this.#once(new URL(address), { method, body: options.body ?? null }, options.headers ?? {})
  }

  /** The value of a cookie that this address has set. */
  cookie(address: string | URL, name: string): string | null {
    return this.cookies.get(new URL(address).host)?.get(name) ?? null
  }

  setCookie(address: string | URL, name: string, value: string): void {
    this.#jar(new URL(address)).set(name, value)
  }

  async #follow(url: URL, sent: Sent, headers: Record<string, string>): Promise<Arrived> {
    let arrived = await this.#once(url, sent, headers)
    for (let count = 0; arrived.status >= 300 && arrived.status < 400; count++) {
      if (count >= REDIRECTS_MAX) throw new Error(`${url.href} leads round and round`)
      const next = new URL(arrived.headers.location ?? '', arrived.url)
      const site = next.host === arrived.url.host ? 'same-origin' : 'cross-site'
      arrived = await this.#once(
        next,
        { method: 'GET', body: null },
        { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate' }
      )
    }
    return arrived
  }

  async #once(url: URL, { method, body }: Sent, headers: Record<string, string>): Promise<Arrived> {
    const cookie = [...this.#jar(url)].map(([name, value]) => `${name}=${value}`).join('; ')
    const length = body === null ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const sent = { accept: 'text/html,*/*', ...headers, ...length, ...(cookie !== '' && { cookie }) }
    const opened = request(url, { method, headers: sent, agent: false })
    opened.end(body ?? undefined)
    const [incoming] = (await once(opened, 'response')) as [IncomingMessage]
    const chunks: Buffer[] = []
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk)
    const lines = incoming.headers['set-cookie'] ?? []
    for (const line of lines) this.#keep(url, line)
    return {
      status: incoming.statusCode ?? 0,
      url,
      text: Buffer.concat(chunks).toString(),
      headers: incoming.headers,
      setCookies: lines
    }
  }

  #keep(url: URL, line: string): void {
    const [pair = '', ...attributes] = line.split(';')
    const name = pair.slice(0, pair.indexOf('=')).trim()
    const isGone = attributes.some(
      (one) => /^max-age=0$/i.test(one.trim()) || /^expires=thu, 01 jan 1970/i.test(one.trim())
    )
    if (isGone) this.#jar(url).delete(name)
    else this.#jar(url).set(name, pair.slice(pair.indexOf('=') + 1).trim())
  }

  #jar(url: URL): Map<string, string> {
    const jar = this.cookies.get(url.host) ?? new Map()
    this.cookies.set(url.host, jar)
    return jar
  }
}
