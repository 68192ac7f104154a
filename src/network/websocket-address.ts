import type { Multiaddr } from '@multiformats/multiaddr'

/** Where a web server takes members in. */
export const CONNECT_PATH = '/.well-known/node-daemon/connect'

const HOSTS: ReadonlySet<string> = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])
const ENDS: Readonly<Record<string, 'ws:' | 'wss:'>> = { ws: 'ws:', wss: 'wss:', 'tls/ws': 'wss:' }

/** `/dns/main.example.org/tcp/443/tls/ws` as a URL; null for an address of another kind. */
export function webSocketUrl(address: Multiaddr): URL | null {
  const [host, port, ...rest] = address.getComponents().filter(({ name }) => name !== 'p2p')
  if (host?.value === undefined || !HOSTS.has(host.name) || port?.name !== 'tcp') return null
  const protocol = ENDS[rest.map(({ name }) => name).join('/')]
  if (protocol === undefined) return null
  const name = host.name === 'ip6' ? `[${host.value}]` : host.value
  return new URL(CONNECT_PATH, `${protocol}//${name}:${port.value}`)
}

/** Does this multiaddr lead to a WebSocket? */
export const isWebSocket = (address: string): boolean => /\/wss?(\/|$)/.test(address)
