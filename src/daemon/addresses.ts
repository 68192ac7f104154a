import { networkInterfaces } from 'node:os'
import type { PeerIdText } from '../core/ids.ts'
import { formatMultiaddr, hostParts, isLoopbackHost, parseMultiaddr } from '../membership/addresses.ts'

const PRIVATE_HOST = /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|f[cd]|fe80)/i

/** The addresses that others are told: those that it listens on, or the same ports under the announced name. */
export function announced(listening: readonly string[], announce: string | null, peer: PeerIdText): string[] {
  if (announce === null) return [...listening]
  const reachable = listening.flatMap((text) => parseMultiaddr(text) ?? [])
  return [...new Set(reachable.map((address) => formatMultiaddr({ ...address, ...hostParts(announce), peer })))]
}

export interface Reachability {
  readonly othersCanReach: boolean
  readonly advice: string | null
}

/** Can another machine connect to one of these? And if not, or not for sure: what to do. */
export function reachability(addresses: readonly string[]): Reachability {
  const hosts = addresses.flatMap((text) => parseMultiaddr(text)?.host ?? [])
  const outside = hosts.filter((host) => !isLoopbackHost(host))
  if (outside.length === 0) {
    const advice = hasOutsideInterface()
      ? 'to let others in, start with --listen /ip4/0.0.0.0/tcp/9470 and --announce with the name or address that they use'
      : 'this machine has no network but its own: others cannot reach it'
    return { othersCanReach: false, advice }
  }
  if (outside.some((host) => !PRIVATE_HOST.test(host))) return { othersCanReach: true, advice: null }
  return {
    othersCanReach: true,
    advice:
      'these are private addresses: for volunteers elsewhere, forward the port and say --announce with the public name'
  }
}

const hasOutsideInterface = (): boolean =>
  Object.values(networkInterfaces()).some((list) => list?.some(({ internal }) => !internal) === true)

/** The order in which a stranger should try them: those that reach furthest first. */
export function byReach(addresses: readonly string[]): string[] {
  const score = (text: string): number => {
    const host = parseMultiaddr(text)?.host ?? ''
    return isLoopbackHost(host) ? 2 : PRIVATE_HOST.test(host) ? 1 : 0
  }
  return [...addresses].sort((a, b) => score(a) - score(b))
}
