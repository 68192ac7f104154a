/** A request as RFC 9112 has it, read to the letter. Of what it leaves open, the most lenient reading that is not ambiguous. */
export interface StrictRequest {
  readonly method: string
  readonly target: string
  readonly version: '1.0' | '1.1'
  /** Names in lower case, in their order. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string
  readonly trailers: readonly (readonly [name: string, value: string])[]
}

export interface StrictReading {
  readonly requests: readonly StrictRequest[]
  /** `clean`: nothing is left over. `cut`: the last request is not whole. `invalid`: what follows is no request, or an ambiguous one. */
  readonly end: 'clean' | 'cut' | 'invalid'
}

class Invalid extends Error {}
class Cut extends Error {}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const REQUEST_LINE = new RegExp(`^(${TOKEN}) +([\\x21-\\x7e]+) HTTP/1\\.([01])$`)
const FIELD = new RegExp(`^(${TOKEN}):[ \\t]*([\\t\\x20-\\x7e\\x80-\\xff]*?)[ \\t]*$`)
const CHUNK = new RegExp(
  `^(?:0*)([0-9A-Fa-f]{1,13})((?:[ \\t]*;[ \\t]*${TOKEN}(?:[ \\t]*=[ \\t]*(?:${TOKEN}|"(?:[\\t\\x20\\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t\\x20-\\xff])*"))?)*)$`
)
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::\d*)?$/

/** Reads requests that follow one another on a connection. It knows no lenience: whatever is ambiguous is invalid. */
export function readStrictly(bytes: string): StrictReading {
  const reader = new Reader(bytes)
  const requests: StrictRequest[] = []
  try {
    while (!reader.atEnd) requests.push(reader.request())
    return { requests, end: 'clean' }
  } catch (error) {
    if (error instanceof Cut) return { requests, end: 'cut' }
    if (error instanceof Invalid) return { requests, end: 'invalid' }
    throw error
  }
}

class Reader {
  readonly #bytes: string
  #at = 0

  constructor(bytes: string) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  request(): StrictRequest {
    // Empty lines before a request line are to be passed over (§2.2).
    while (this.#bytes.startsWith('\r\n', this.#at)) this.#at += 2
    if (this.atEnd) throw new Cut()
    const [, method = '', target = '', minor] = REQUEST_LINE.exec(this.#line()) ?? fail()
    const headers = this.#fields()
    const version = minor === '1' ? '1.1' : '1.0'
    checkHost(headers)
    checkTarget(method, target, headers)
    const { body, trailers } = this.#body(headers, version)
    return { method, target, version, headers, body, trailers }
  }

  #body(headers: StrictRequest['headers'], version: string): Pick<StrictRequest, 'body' | 'trailers'> {
    const encodings = valuesOf(headers, 'transfer-encoding')
    const lengths = valuesOf(headers, 'content-length')
    if (encodings.length > 0) {
      if (encodings.length > 1 || lengths.length > 0 || version === '1.0') fail()
      if (encodings[0]?.toLowerCase() !== 'chunked') fail()
      return this.#chunked()
    }
    if (lengths.length === 0) return { body: '', trailers: [] }
    const [length = ''] = lengths
    if (lengths.length > 1 || !/^\d{1,15}$/.test(length)) fail()
    return { body: this.#take(Number(length)), trailers: [] }
  }

  #chunked(): Pick<StrictRequest, 'body' | 'trailers'> {
    let body = ''
    for (;;) {
      const [, size = ''] = CHUNK.exec(this.#line()) ?? fail()
      const length = Number.parseInt(size, 16)
      if (length === 0) return { body, trailers: this.#fields() }
      body += this.#take(length)
      if (this.#line() !== '') fail()
    }
  }

  #fields(): [string, string][] {
    const fields: [string, string][] = []
    for (let line = this.#line(); line !== ''; line = this.#line()) {
      const [, name = '', value = ''] = FIELD.exec(line) ?? fail()
      fields.push([name.toLowerCase(), value])
    }
    return fields
  }

  /** Up to CRLF. A carriage return or line feed alone ends nothing and belongs nowhere. */
  #line(): string {
    const end = this.#bytes.indexOf('\r\n', this.#at)
    const line = this.#bytes.slice(this.#at, end === -1 ? undefined : end)
    if (/[\r\n\0]/.test(end === -1 && line.endsWith('\r') ? line.slice(0, -1) : line)) fail()
    if (end === -1) throw new Cut()
    this.#at = end + 2
    return line
  }

  #take(length: number): string {
    if (this.#bytes.length - this.#at < length) throw new Cut()
    const taken = this.#bytes.slice(this.#at, this.#at + length)
    this.#at += length
    return taken
  }
}

function checkHost(headers: StrictRequest['headers']): void {
  const hosts = valuesOf(headers, 'host')
  if (hosts.length !== 1 || !HOST.test(hosts[0] ?? '')) fail()
}

/** `/path`, `http://host/path` where it names the same host as the header, and `*` for OPTIONS. */
function checkTarget(method: string, target: string, headers: StrictRequest['headers']): void {
  if (target.includes('#')) fail()
  if (target.startsWith('/') || (target === '*' && method === 'OPTIONS')) return
  const [, authority] = /^https?:\/\/([^/?]+)(?:[/?]|$)/i.exec(target) ?? fail()
  if (authority?.toLowerCase() !== valuesOf(headers, 'host')[0]?.toLowerCase()) fail()
}

const valuesOf = (headers: StrictRequest['headers'], name: string): string[] =>
  headers.filter(([other]) => other === name).map(([, value]) => value)

function fail(): never {
  throw new Invalid('no request to the letter')
}
