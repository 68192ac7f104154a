import { setsSession, withoutSession } from '../wire/cookies.ts'
import { connectionNames, HOP_BY_HOP, type RawHeaders } from '../wire/http.ts'

/** Read by the front door itself, or written anew by it. */
const REQUEST_ONLY_OURS: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'expect',
  'forwarded',
  'http2-settings'
])

/** Names by which apps are told who asks, from where, and for what, by a proxy in front of them. */
const TOLD_BY_PROXIES: ReadonlySet<string> = new Set([
  'cf-connecting-ip',
  'client-ip',
  'proxy',
  'remote-user',
  'true-client-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-original-host',
  'x-original-url',
  'x-real-ip',
  'x-rewrite-url',
  'x-scheme'
])

const OUR_PREFIXES: readonly string[] = [
  'x-workspace-',
  'x-node-daemon-',
  'x-forwarded-',
  'x-remote-',
  'x-auth-request-'
]

/**
 * May an instance believe that this name was set by the daemon? Apps may map `_` to `-`, so both count; and what means
 * something only with `-` has no business with `_`.
 */
export function isOurs(name: string): boolean {
  const isMapped = name.includes('_')
  const dashed = isMapped ? name.replaceAll('_', '-') : name
  if (isMapped && (HOP_BY_HOP.has(dashed) || dashed === 'host' || dashed === 'cookie')) return true
  if (dashed.charCodeAt(0) === 120 && OUR_PREFIXES.some((prefix) => dashed.startsWith(prefix))) return true
  return REQUEST_ONLY_OURS.has(dashed) || TOLD_BY_PROXIES.has(dashed)
}

export interface RequestHeaderOptions {
  /** The Connection header, if any. */
  readonly connection: string | undefined
  /** One more name to drop, in lower case: the header of the sign-on proxy. */
  readonly userHeader: string | null
}

/** What of a client's header lines goes on to an instance. Null where the Host is missing or given twice. */
export function requestHeaders(raw: RawHeaders, options: RequestHeaderOptions): string[] | null {
  const named = connectionNames(options.connection)
  const kept: string[] = []
  let hosts = 0
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? ''
    const value = raw[index + 1] ?? ''
    const lower = name.toLowerCase()
    if (lower === 'host') {
      hosts += 1
      kept.push(name, value)
    } else if (lower === 'cookie') {
      const rest = withoutSession(value)
      if (rest !== null) kept.push(name, rest)
    } else if (!HOP_BY_HOP.has(lower) && !isOurs(lower) && !named?.has(lower) && !sameName(lower, options.userHeader)) {
      kept.push(name, value)
    }
  }
  return hosts === 1 ? kept : null
}

const sameName = (name: string, other: string | null): boolean =>
  other !== null && name.replaceAll('_', '-') === other.replaceAll('_', '-')

/** What of an instance's header lines goes on to the client. */
export function responseHeaders(raw: RawHeaders, options: { readonly newCookie: boolean }): string[] {
  const named = connectionNames(headerOf(raw, 'connection'))
  const kept: string[] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? ''
    const value = raw[index + 1] ?? ''
    const lower = name.toLowerCase()
    if (HOP_BY_HOP.has(lower) || lower === 'x-served-by' || lower.startsWith('x-node-daemon-')) continue
    if (lower === 'set-cookie' && setsSession(value)) continue
    if (options.newCookie && (lower === 'cache-control' || lower === 'expires')) continue
    if (named?.has(lower)) continue
    kept.push(name, value)
  }
  // A shared cache must not hand one guest's cookie to another.
  if (options.newCookie) kept.push('cache-control', 'private, no-store')
  return kept
}

/** What of a trailer section goes on: the same names as of a header section, without cookies and framing. */
export function trailers(raw: RawHeaders): [string, string][] {
  const kept: [string, string][] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? ''
    const lower = name.toLowerCase()
    if (HOP_BY_HOP.has(lower) || isOurs(lower) || NEVER_IN_TRAILERS.has(lower)) continue
    kept.push([name, raw[index + 1] ?? ''])
  }
  return kept
}

const NEVER_IN_TRAILERS: ReadonlySet<string> = new Set(['host', 'cookie', 'set-cookie', 'x-served-by', 'trailer'])

/** The value of the only line of this name (lower case); undefined where there is none. */
export function headerOf(raw: RawHeaders, name: string): string | undefined {
  for (let index = 0; index + 1 < raw.length; index += 2) {
    if (raw[index]?.toLowerCase() === name) return raw[index + 1]
  }
  return undefined
}
