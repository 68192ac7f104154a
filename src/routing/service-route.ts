import { NodeDaemonError } from '../core/errors.ts'
import { parse } from '../core/parse.ts'
import type { ServiceRoute } from './neighbours.ts'

const PREFIX_CHARACTERS_MAX = 200
/** None begins with a dot: what the front door keeps for itself lies below `/.well-known`. */
const SEGMENT = /^[\w~-][\w.~-]*$/
const HOST = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/
const HOST_MARK = 'host:'

type Route = ServiceRoute['route']

/**
 * A route as a person writes it: `/`, `/photos`, `/lab/notes` or `host:photos.example.org`.
 *
 * @throws NodeDaemonError `BAD_USAGE`
 */
export function parseRoute(text: string): Route {
  const route = text.startsWith(HOST_MARK) ? hostRoute(text.slice(HOST_MARK.length)) : pathRoute(text)
  if (route !== null) return route
  throw new NodeDaemonError('BAD_USAGE', `"${parse.line(text, 100)}" is not a route`, {
    advice: 'write it like /photos or host:photos.example.org; / is the root of the front door'
  })
}

function hostRoute(host: string): Route | null {
  const lower = host.toLowerCase()
  return HOST.test(lower) ? { kind: 'host', host: lower } : null
}

function pathRoute(path: string): Route | null {
  if (!path.startsWith('/') || path.length > PREFIX_CHARACTERS_MAX) return null
  const prefix = path.endsWith('/') ? path.slice(0, -1) : path
  const segments = prefix.split('/').slice(1)
  if (prefix !== '' && !segments.every((segment) => SEGMENT.test(segment))) return null
  return { kind: 'path', prefix }
}

/** The route as `parseRoute` reads it. */
export const routeText = (route: Route): string =>
  route.kind === 'host' ? HOST_MARK + route.host : route.prefix === '' ? '/' : route.prefix
