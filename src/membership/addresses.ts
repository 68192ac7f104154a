import { isIP, isIPv4, isIPv6 } from 'node:net'
import { NodeDaemonError } from '../core/errors.ts'
import { parsePeerId } from '../core/identity.ts'
import type { PeerIdText } from '../core/ids.ts'

const ADDRESS_MAX = 500
const MULTIADDR =
  /^\/(ip4|ip6|dns|dns4|dns6)\/([^/\s]+)\/tcp\/(\d{1,5})((?:\/(?:ws|wss|tls|sni\/[^/\s]+|http-path\/[^/\s]+))*)(?:\/p2p\/([^/\s]+))?$/
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i

/** The parts of a multiaddr that somebody can be reached at. */
export interface Reachable {
  readonly kind: 'ip4' | 'ip6' | 'dns' | 'dns4' | 'dns6'
  readonly host: string
  readonly port: number
  /** What stands between the port and the PeerId, such as `/ws`; often empty. */
  readonly rest: string
  readonly peer: PeerIdText | null
}

/** Null for anything but `/ip4|ip6|dns…/HOST/tcp/PORT`, with or without more behind it. */
export function parseMultiaddr(text: string): Reachable | null {
  const match = text.length > ADDRESS_MAX ? null : MULTIADDR.exec(text)
  if (match === null) return null
  const [, kind = '', host = '', portText = '', rest = '', peerText] = match
  const port = Number(portText)
  if (port < 1 || port > 65_535 || !fits(kind, host)) return null
  try {
    const peer = peerText === undefined ? null : parsePeerId(peerText)
    return { kind: kind as Reachable['kind'], host, port, rest, peer }
  } catch (error) {
    if (error instanceof NodeDaemonError) return null
    throw error
  }
}

const fits = (kind: string, host: string): boolean =>
  kind === 'ip4' ? isIPv4(host) : kind === 'ip6' ? isIPv6(host) && !host.includes('%') : HOST_NAME.test(host)

export function formatMultiaddr({ kind, host, port, rest, peer }: Reachable): string {
  return `/${kind}/${host}/tcp/${port}${rest}${peer === null ? '' : `/p2p/${peer}`}`
}

/** The host of a URL without the brackets of IPv6. */
export const bareHost = (hostname: string): string => hostname.replace(/^\[(.*)\]$/, '$1')

/** Does this name or address always mean the machine itself? */
export function isLoopbackHost(host: string): boolean {
  const name = bareHost(host).toLowerCase().replace(/\.$/, '')
  if (name === 'localhost' || name.endsWith('.localhost')) return true
  if (isIPv4(name)) return name.startsWith('127.')
  return isIPv6(name) && (plainIPv6(name) === '::1' || plainIPv6(name).startsWith('::ffff:7f'))
}

/** "All addresses": meaningful to listen on, not to dial. */
export function isUnspecifiedHost(host: string): boolean {
  const name = bareHost(host)
  return name === '0.0.0.0' || (isIPv6(name) && plainIPv6(name) === '::')
}

/** The shortest form of an IPv6 address, as the URL parser writes it. */
const plainIPv6 = (address: string): string => bareHost(new URL(`http://[${address}]/`).hostname)

/** How a host is written in a multiaddr. */
export function hostParts(host: string): Pick<Reachable, 'kind' | 'host'> {
  const name = bareHost(host)
  const version = isIP(name)
  return { kind: version === 4 ? 'ip4' : version === 6 ? 'ip6' : 'dns', host: name }
}

/**
 * The addresses under which a coordinator can be dialled from where `webHost` is what reaches it. Those that mean the
 * coordinator's own machine only are left out; where there are no others, the host that was asked takes their place.
 */
export function dialable(addresses: readonly Reachable[], webHost: string): Reachable[] {
  const isLocal = ({ host }: Reachable): boolean => isLoopbackHost(host) || isUnspecifiedHost(host)
  const here = isLoopbackHost(webHost)
  const usable = addresses.filter((address) => (here ? !isUnspecifiedHost(address.host) : !isLocal(address)))
  if (usable.length > 0) return usable
  return addresses.map((address) => ({ ...address, ...hostParts(webHost) }))
}
