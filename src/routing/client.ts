import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { NodeDaemonError } from '../core/errors.ts'
import { isHost } from './route.ts'

/** Who asks, and by which address: from the connection, or as a trusted proxy tells it. */
export interface Client {
  /** Is the connection from a proxy that we trust? */
  readonly trusted: boolean
  /** The addresses it came through, the client's first, for X-Forwarded-For. */
  readonly addresses: string
  readonly scheme: 'http' | 'https'
  readonly host: string
}

/** Tells trusted proxies from everybody else. */
export class Clients {
  readonly #proxies = new BlockList()
  readonly #anyProxy: boolean
  readonly #secure: boolean

  /** @throws NodeDaemonError `BAD_CONFIG` a CIDR cannot be read */
  constructor(options: { readonly trustProxy: readonly string[]; readonly secure: boolean }) {
    for (const cidr of options.trustProxy) addCidr(this.#proxies, cidr)
    this.#anyProxy = options.trustProxy.length > 0
    this.#secure = options.secure
  }

  of(request: IncomingMessage): Client {
    const address = plainAddress(request.socket.remoteAddress ?? '')
    const host = request.headers.host ?? ''
    const scheme = this.#secure ? 'https' : 'http'
    if (!this.#anyProxy || !this.#isProxy(address)) return { trusted: false, addresses: address, scheme, host }
    const before = oneLine(request.headers['x-forwarded-for'])
    const told = oneLine(request.headers['x-forwarded-proto'])
    const hostTold = firstOf(oneLine(request.headers['x-forwarded-host']))
    return {
      trusted: true,
      addresses: before === '' ? address : `${before}, ${address}`,
      scheme: told === 'http' || told === 'https' ? told : scheme,
      host: isHost(hostTold) ? hostTold : host
    }
  }

  #isProxy(address: string): boolean {
    const kind = isIP(address)
    return kind !== 0 && this.#proxies.check(address, kind === 6 ? 'ipv6' : 'ipv4')
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

/** An IPv4 address that came in through an IPv6 socket, as IPv4. */
const plainAddress = (address: string): string => (address.startsWith('::ffff:') ? address.slice(7) : address)
const oneLine = (value: string | string[] | undefined): string => (typeof value === 'string' ? value : '')
const firstOf = (list: string): string => (list.split(',', 1)[0] ?? '').trim()
