import { IncomingMessage, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Exchange } from './exchange.ts'
import { hrefOf } from './path.ts'
import { Refusal } from './refusal.ts'
import type { Reply } from './reply.ts'

/** nephele only ever sees this host; answers are freed of it, since proxies make the real one unknowable here. */
const HOST = 'workspace.invalid'
const FORWARDED = ['content-type', 'depth', 'if', 'timeout'] as const

/**
 * The body, in memory.
 *
 * @throws Refusal 413 for one that is too large, 415 for one that is packed
 */
export async function readBody({ request, context, response, limits }: Exchange): Promise<Buffer> {
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new Refusal(415, 'send this without Content-Encoding')
  }
  const tooLarge = new Refusal(413, `the body of this request may have ${limits.xmlBytesMax} bytes`)
  if (Number(request.headers['content-length'] ?? 0) > limits.xmlBytesMax) throw tooLarge
  if (context.expectsContinue) response.writeContinue()
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > limits.xmlBytesMax) throw tooLarge
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const LEAF = /<([A-Za-z_][\w.-]*)\s+xmlns="([^"<>&]+)"\s*(?:\/>|>([^<]*)<\/\1\s*>)/g

/**
 * nephele takes elements of one name for one property, even where their default namespaces differ: those without
 * children get a prefix for each namespace.
 */
function withPrefixes(body: Buffer): Buffer {
  const text = body.toString('latin1')
  if (text.includes('<![CDATA[')) return body
  const namespaces = new Map<string, string>()
  const told = text.replace(LEAF, (_whole, name: string, namespace: string, value = '') => {
    const prefix = namespaces.get(namespace) ?? `ns-${namespaces.size}`
    namespaces.set(namespace, prefix)
    return `<${prefix}:${name} xmlns:${prefix}="${namespace}">${value}</${prefix}:${name}>`
  })
  return Buffer.from(told, 'latin1')
}

/** nephele wants every lock to name an owner, which RFC 4918 leaves to the client: then it is the user. */
export function withOwner(body: Buffer, { context }: Exchange): Buffer {
  const text = body.toString('utf8')
  if (text === '' || /[<:]owner[\s/>]/.test(text)) return body
  const owner = `<o:owner xmlns:o="DAV:">${context.userLabel.replaceAll(/[^\w.@-]/g, '') || 'user'}</o:owner>`
  return Buffer.from(text.replace(/<\/(?:[\w.-]+:)?lockinfo\s*>\s*$/, (end) => `${owner}${end}`))
}

/** The request as nephele gets it: a canonical URL, the few headers that matter, and the body. */
export function requestFor({ request, context, target }: Exchange, body: Buffer): IncomingMessage {
  // A socket of its own that leads nowhere: a request that ends takes its socket along.
  const copy = new IncomingMessage(new Socket())
  copy.complete = true
  const url = hrefOf('', target.path, target.slash)
  copy.method = request.method ?? 'PROPFIND'
  copy.url = url
  copy.httpVersion = '1.1'
  const told = withPrefixes(body)
  copy.headers = { host: HOST, 'content-length': String(told.length) }
  for (const name of FORWARDED) {
    const value = request.headers[name]
    if (value !== undefined) copy.headers[name] = name === 'depth' ? String(value).toLowerCase() : String(value)
  }
  Object.assign(copy, { baseUrl: context.base, originalUrl: `${context.base}${url}` })
  copy.push(told)
  copy.push(null)
  return copy
}

const HREF_OF_HOST = new RegExp(
  `(<(?:[A-Za-z_][\\w.-]*:)?href(?: [^<>]*)?>\\s*)http://${HOST.replace('.', '\\.')}/`,
  'g'
)
const FRACTION = /(<(?:[A-Za-z_][\w.-]*:)?timeout(?: [^<>]*)?>Second-\d+)\.\d+/g
const KEPT_HEADERS = ['content-type', 'lock-token', 'allow', 'retry-after', 'content-security-policy'] as const

export function replyOf(response: ServerResponse, body: unknown): Reply {
  const headers: Record<string, string | number> = {}
  for (const name of KEPT_HEADERS) {
    const value = response.getHeader(name)
    if (typeof value === 'string' || typeof value === 'number') headers[name] = value
  }
  const text = Buffer.isBuffer(body) ? body.toString('utf8') : typeof body === 'string' ? body : ''
  return { status: response.statusCode, headers, body: text.replace(HREF_OF_HOST, '$1/').replace(FRACTION, '$1') }
}
