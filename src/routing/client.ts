import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { NodeDaemonError } from '../core/errors.ts'
import { type Hop, parseForwarded, parseForwardedFor, plainAddress } from './forwarded.ts'
import { isHost } from './route.ts'

/** Who asks, and by which address: from the connection, or as a trusted proxy tells it. */
export interface Client {
  /** Is the connection from a proxy that we trust? */
  readonly trusted: boolean
  /**
   * The nearest address that is not a trusted proxy's: what a proxy was told itself, further away, proves nothing. The
   * proxy's own where it does not tell; '' where the connection is gone.
   */
  readonly address: string
  /** The same and the trusted proxies after it, for X-Forwarded-For. */
  readonly addresses: string
  readonly scheme: 'http' | 'https'
  readonly host: string
}

/** Tells trusted proxies from everybody else. */
export class Clients {
  readonly #proxies = new BlockList()
  readonly #anyProxy: boolean
  readonly #secure: boolean
  /** Connections that another front door of the federation passes on: what it tells of its client is known. */
  readonly #passedOn = new WeakSet<object>()

  /** @throws NodeDaemonError `BAD_CONFIG` a CIDR cannot be read */
  constructor(options: { readonly trustProxy: readonly string[]; readonly secure: boolean }) {
    for (const cidr of options.trustProxy) addCidr(this.#proxies, cidr)
    this.#anyProxy = options.trustProxy.length > 0
    this.#secure = options.secure
  }

  /** Believes everything that is told on this connection. */
  trust(connection: object): void {
    this.#passedOn.add(connection)
  }

  isTrusted(connection: object): boolean {
    return this.#passedOn.has(connection)
  }

  of(
    request: Pick<IncomingMessage, 'headers'> & { readonly socket: { readonly remoteAddress?: string | undefined } }
  ): Client {
    const { headers, socket } = request
    const nearest = plainAddress(socket.remoteAddress ?? '')
    const scheme = this.#secure ? 'https' : 'http'
    const host = headers.host ?? ''
    if (this.#passedOn.has(socket)) return asTold(headers, scheme)
    if (!this.#anyProxy || !this.isProxy(nearest)) {
      return { trusted: false, address: nearest, addresses: nearest, scheme, host }
    }
    const told = this.#told(nearest, hopsOf(request))
    const [address = nearest] = told.addresses
    return {
      trusted: true,
      address,
      addresses: told.addresses.join(', '),
      scheme: told.scheme === 'http' || told.scheme === 'https' ? told.scheme : scheme,
      host: told.host !== null && isHost(told.host) ? told.host : host
    }
  }

  /** Goes back from the nearest proxy for as long as the next address is a trusted one's. */
  #told(nearest: string, hops: readonly Hop[]): Omit<Hop, 'from'> & { readonly addresses: readonly string[] } {
    const addresses = [nearest]
    let scheme: string | null = null
    let host: string | null = null
    for (const hop of hops.toReversed()) {
      scheme = hop.scheme ?? scheme
      host = hop.host ?? host
      if (hop.from === null) break
      addresses.push(hop.from)
      if (!this.isProxy(hop.from)) break
    }
    return { addresses: addresses.reverse(), scheme, host }
  }

  /** Is this the address of a proxy that we trust? */
  isProxy(address: string): boolean {
    const kind = isIP(address)
    return kind !== 0 && this.#proxies.check(address, kind === 6 ? 'ipv6' : 'ipv4')
  }
}

/**
 * What the proxies say. Those that set X-Forwarded-* may pass a client's own Forwarded on, so that this counts only where
 * there are none of the others.
 */
function hopsOf({ headers }: Pick<IncomingMessage, 'headers'>): readonly Hop[] {
  const addresses = oneLine(headers['x-forwarded-for'])
  const scheme = lastOf(oneLine(headers['x-forwarded-proto']))
  const host = lastOf(oneLine(headers['x-forwarded-host']))
  if (addresses === '' && scheme === '' && host === '') return parseForwarded(oneLine(headers.forwarded)) ?? []
  const hops = addresses === '' ? [] : parseForwardedFor(addresses)
  const last = hops.pop() ?? { from: null }
  return [
    ...hops,
    { from: last.from, scheme: scheme === '' ? null : scheme.toLowerCase(), host: host === '' ? null : host }
  ]
}

/** As another front door has found out who asks. */
function asTold(headers: IncomingMessage['headers'], scheme: Client['scheme']): Client {
  const addresses = oneLine(headers['x-forwarded-for'])
  const host = oneLine(headers['x-forwarded-host'])
  const told = oneLine(headers['x-forwarded-proto'])
  return {
    trusted: true,
    address: plainAddress(addresses.split(',', 1)[0] ?? ''),
    addresses,
    scheme: told === 'http' || told === 'https' ? told : scheme,
    host: isHost(host) ? host : (headers.host ?? '')
  }
}

function addCidr(list: BlockList, cidr: string): void {
  const [address = '', bits] = cidr.split('/')
  const kind = isIP(address)
  const most = kind === 6 ? 128 : 32
  const prefix = bits === undefined ? most : Number(bits)
  if (kind === 0 || bits === '' || !Number.isInteger(prefix) || prefix < 0 || prefix > most) {
    throw new NodeDaemonError('BAD_CONFIG', `"${cidr}" is no CIDR such as 10.0.0.0/8`)
  }
  list.addSubnet(address, prefix, kind === 6 ? 'ipv6' : 'ipv4')
}

const oneLine = (value: string | string[] | undefined): string => (typeof value === 'string' ? value : '')
/** A proxy that adds to a list adds at its end; what stands before may be the client's own. */
const lastOf = (list: string): string => list.slice(list.lastIndexOf(',') + 1).trim()
