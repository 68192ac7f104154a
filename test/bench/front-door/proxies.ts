import type { PeerName } from '../peers.ts'
import type { Scratch } from '../scratch.ts'
import { programPath } from '../system.ts'
import { startHaproxy } from './haproxy.ts'
import { startNginx } from './nginx.ts'

/** A plain reverse proxy that runs. */
export interface PlainProxy {
  readonly url: string
  readonly pid: number
}

export const PROXIES = ['nginx', 'haproxy'] as const satisfies readonly PeerName[]
export type ProxyName = (typeof PROXIES)[number]

const START = { nginx: startNginx, haproxy: startHaproxy }

/** Those that are installed, in front of the same plain server. */
export async function startProxies(
  scratch: Scratch,
  upstreamPort: number
): Promise<ReadonlyMap<ProxyName, PlainProxy>> {
  const running = new Map<ProxyName, PlainProxy>()
  for (const name of PROXIES) {
    const program = await programPath(name)
    if (program !== null) running.set(name, await START[name](scratch, program, upstreamPort))
  }
  return running
}
