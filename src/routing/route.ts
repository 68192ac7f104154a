import type { ServiceRoute } from './neighbours.ts'

/** Where the federation describes itself, and below which its own pages lie. Nothing else is reserved. */
export const WELL_KNOWN = '/.well-known/node-daemon'
/** Below it: where members come in by WebSocket. */
export const CONNECT = 'connect'

export type Destination =
  | { readonly kind: 'service'; readonly service: ServiceRoute }
  | { readonly kind: 'well-known' }
  /** `path` is what follows `/.well-known/node-daemon/`, without the query. */
  | { readonly kind: 'own'; readonly path: string }
  | { readonly kind: 'nothing' }

const NOTHING: Destination = { kind: 'nothing' }
const DESCRIPTION: Destination = { kind: 'well-known' }

/** Chooses by host name first, then by the longest path prefix. */
export interface Router {
  /** `host` as the client sent it; `path` begins with `/` and may carry a query. */
  find(host: string, path: string): Destination
}

export function compileRoutes(services: readonly ServiceRoute[]): Router {
  const byHost = new Map<string, Destination>()
  const byPath: { prefix: string; destination: Destination }[] = []
  for (const service of services) {
    const destination: Destination = { kind: 'service', service }
    if (service.route.kind === 'host') byHost.set(service.route.host.toLowerCase(), destination)
    else byPath.push({ prefix: service.route.prefix, destination })
  }
  byPath.sort((a, b) => b.prefix.length - a.prefix.length)
  return {
    find(host, path) {
      if (path.startsWith(WELL_KNOWN) && isUnder(path, WELL_KNOWN)) {
        return path.charAt(WELL_KNOWN.length) === '/' ? { kind: 'own', path: ownPath(path) } : DESCRIPTION
      }
      if (byHost.size > 0) {
        const found = byHost.get(hostName(host))
        if (found !== undefined) return found
      }
      for (const { prefix, destination } of byPath) if (isUnder(path, prefix)) return destination
      return NOTHING
    }
  }
}

const ownPath = (path: string): string => path.slice(WELL_KNOWN.length + 1).split('?', 1)[0] ?? ''

function isUnder(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false
  const next = path.charAt(prefix.length)
  return next === '' || next === '/' || next === '?'
}

const HOST = /^(?:[\w.-]{1,253}|\[[\da-f:.]{2,45}\])(?::\d{0,5})?$/i

/** Is this a Host header that apps can safely repeat in links? */
export const isHost = (host: string | undefined): boolean => host !== undefined && HOST.test(host)

/** A Host header without its port and final dot, in lower case. */
export function hostName(host: string): string {
  const lower = host.toLowerCase()
  const end = lower.startsWith('[') ? lower.indexOf(']') + 1 : lower.indexOf(':')
  const name = end > 0 ? lower.slice(0, end) : lower
  return name.endsWith('.') ? name.slice(0, -1) : name
}
