import { z } from 'zod'
import { aborted, type Clock, withTimeout } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import { isPeerIdText, type PeerIdText } from '../core/ids.ts'
import { parse } from '../core/parse.ts'
import { CONNECT_PATH } from '../network/websocket-address.ts'
import { dialable, formatMultiaddr, hostParts, parseMultiaddr, type Reachable } from './addresses.ts'
import { type JoinTarget, WELL_KNOWN_PATH, type WebTarget } from './target.ts'

/** What a coordinator's web address tells about it. */
export interface WellKnown {
  readonly federation: string
  readonly peerId: PeerIdText
  /** Multiaddrs; the PeerId at their end may be left out. */
  readonly addresses: readonly string[]
  readonly services: readonly string[]
  /** An address to read, empty where there are no terms. */
  readonly terms: string
  readonly version: string
  /** Where on the same web server members come in by WebSocket; empty where they do not. */
  readonly connect: string
}

/** A coordinator that was found. */
export interface Found {
  readonly peerId: PeerIdText
  /** To dial, one after the other, with the PeerId at the end. Never empty. */
  readonly addresses: readonly string[]
  /** Null where only asking the coordinator tells: the target was a multiaddr. */
  readonly federation: string | null
  readonly terms: string | null
}

export type Fetch = (
  url: URL,
  init: { readonly redirect: 'manual'; readonly signal: AbortSignal; readonly headers: Record<string, string> }
) => Promise<Response>

const DISCOVER_MS = 15_000
const BODY_BYTES_MAX = 64 * 1024
const REDIRECTS_MAX = 3

const wellKnownSchema = z.object({
  federation: z.string().max(200),
  peerId: z.custom<PeerIdText>((value) => typeof value === 'string' && isPeerIdText(value)),
  addresses: z.array(z.string().max(500)).max(32),
  services: z.array(z.string().max(100)).max(64),
  terms: z.string().max(500),
  version: z.string().max(40),
  connect: z.string().max(500).default('')
})

/**
 * Finds the coordinator that a target means: asks its web address, where the target is one.
 *
 * @throws NodeDaemonError `OUT_OF_REACH`, `TIMED_OUT`, `ABORTED`; `BAD_USAGE` when something else than a coordinator
 *   answers; `WRONG_COORDINATOR` when it is another one than the pinned one
 */
export async function discover(
  deps: { readonly fetch: Fetch; readonly clock: Clock },
  target: JoinTarget,
  signal?: AbortSignal
): Promise<Found> {
  if (target.kind === 'multiaddr') {
    return { peerId: target.peer, addresses: [target.address], federation: null, terms: null }
  }
  const told = await withTimeout(
    deps.clock,
    DISCOVER_MS,
    `asking ${target.url.host}`,
    (limit) => ask(deps.fetch, target.url, limit),
    signal
  )
  return found(target, told)
}

function found(target: WebTarget, told: WellKnown): Found {
  const { peerId } = told
  if (target.peer !== null && peerId !== target.peer) {
    throw new NodeDaemonError('WRONG_COORDINATOR', `${target.url.host} is coordinator ${peerId}, not ${target.peer}`, {
      advice: 'somebody else may be at that address: ask the admin for a new invite or address'
    })
  }
  const addresses = told.addresses.map((text) => addressOf(target.url, text, peerId))
  const byWeb = told.connect === CONNECT_PATH ? [webSocketOf(target.url, peerId)] : []
  if (addresses.length + byWeb.length === 0) {
    throw new NodeDaemonError('OUT_OF_REACH', `the coordinator at ${target.url.host} says no address to connect to`, {
      advice: 'ask the admin to start it with --listen and --announce'
    })
  }
  return {
    peerId,
    addresses: [...new Set([...dialable(addresses, target.url.hostname), ...byWeb].map(formatMultiaddr))],
    federation: parse.line(told.federation, 100),
    terms: parse.line(told.terms, 500)
  }
}

/** Where a firewall lets nothing else out, members come in where this answer came from. */
function webSocketOf({ hostname, port, protocol }: URL, peer: PeerIdText): Reachable {
  const secure = protocol === 'https:'
  const usual = secure ? 443 : 80
  return { ...hostParts(hostname), port: port === '' ? usual : Number(port), rest: secure ? '/tls/ws' : '/ws', peer }
}

function addressOf(url: URL, text: string, peer: PeerIdText): Reachable {
  const address = parseMultiaddr(text)
  if (address === null || (address.peer !== null && address.peer !== peer)) {
    throw notACoordinator(url, `it names "${parse.line(text, 200)}" as its address`)
  }
  return { ...address, peer }
}

async function ask(fetch: Fetch, base: URL, signal: AbortSignal): Promise<WellKnown> {
  const response = await getFollowing(fetch, new URL(WELL_KNOWN_PATH, base), signal)
  const body = await boundedText(response, base, signal)
  if (response.status >= 500 || response.status === 429) {
    throw new NodeDaemonError('OUT_OF_REACH', `${base.host} answers with status ${response.status}`, {
      advice: 'the coordinator behind that address may be down: try again later, or tell the admin'
    })
  }
  if (response.status !== 200) throw notACoordinator(base, `status ${response.status}`)
  return wellKnownOf(body, base)
}

function wellKnownOf(body: string, base: URL): WellKnown {
  try {
    return wellKnownSchema.parse(JSON.parse(body))
  } catch {
    throw notACoordinator(base, 'what it answers is not the description of one')
  }
}

/** Follows redirects, but only to the same host, and never from https to http. */
async function getFollowing(fetch: Fetch, start: URL, signal: AbortSignal): Promise<Response> {
  let url = start
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
    const response = await get(fetch, url, signal)
    const location = response.headers.get('location')
    if (response.status < 300 || response.status > 399 || location === null) return response
    await response.body?.cancel()
    const next = URL.canParse(location, url.href) ? new URL(location, url) : null
    const allowed = next?.hostname === url.hostname && (next.protocol === 'https:' || next.protocol === url.protocol)
    if (next === null || !allowed) throw redirected(start, parse.line(location, 200))
    url = next
  }
  throw notACoordinator(start, 'it redirects again and again')
}

async function get(fetch: Fetch, url: URL, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(url, { redirect: 'manual', signal, headers: { accept: 'application/json' } })
  } catch (error) {
    if (signal.aborted) throw aborted(signal)
    throw outOfReach(url, error)
  }
}

async function boundedText(response: Response, base: URL, signal: AbortSignal): Promise<string> {
  const parts: Uint8Array[] = []
  let size = 0
  try {
    for await (const part of response.body ?? []) {
      size += part.byteLength
      if (size > BODY_BYTES_MAX) break
      parts.push(part)
    }
  } catch (error) {
    if (signal.aborted) throw aborted(signal)
    throw outOfReach(base, error)
  }
  if (size > BODY_BYTES_MAX) throw notACoordinator(base, `its answer is longer than ${BODY_BYTES_MAX} bytes`)
  return Buffer.concat(parts).toString('utf8')
}

function notACoordinator(url: URL, why: string): NodeDaemonError {
  return new NodeDaemonError('BAD_USAGE', `${url.origin} is not a node-daemon coordinator (${why})`, {
    advice: 'check the address with the admin: it is the address of the front door, not of the admin’s console'
  })
}

function redirected(url: URL, location: string): NodeDaemonError {
  return new NodeDaemonError('BAD_USAGE', `${url.host} sends on to ${location}, which is not followed`, {
    advice: 'give that address instead, if it is where you want to join'
  })
}

const NO_HOST = ['ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA', 'EAI_NONAME']
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ISSUER/
const NO_TLS = /^ERR_SSL|^EPROTO$/

function outOfReach(url: URL, error: unknown): NodeDaemonError {
  const { code, text } = causeOf(error)
  const build = (message: string, advice: string): NodeDaemonError =>
    new NodeDaemonError('OUT_OF_REACH', message, { advice, cause: error })
  if (NO_HOST.includes(code)) {
    return build(`there is no host called ${url.hostname}`, 'check the spelling, and that this machine has a network')
  }
  if (code === 'ECONNREFUSED') {
    return build(`nothing listens at ${url.host}`, 'check the port, and with the admin that the coordinator runs')
  }
  if (NO_TLS.test(code)) return build(`${url.host} does not speak https (${text})`, `try http://${url.host}`)
  if (CERTIFICATE.test(code)) {
    return build(
      `the certificate of ${url.host} is not valid (${text})`,
      'ask the admin; for one of your own authority, name its file in NODE_EXTRA_CA_CERTS'
    )
  }
  return build(`${url.host} is out of reach (${text})`, 'check the address and the network')
}

/** What lies below fetch's "fetch failed". */
function causeOf(error: unknown): { readonly code: string; readonly text: string } {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const first: unknown = cause instanceof AggregateError ? (cause.errors[0] ?? cause) : cause
  const code = first instanceof Error && 'code' in first ? String(first.code) : ''
  return { code, text: messageOf(first) }
}
