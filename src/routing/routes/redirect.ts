import type { IncomingMessage } from 'node:http'
import type { Body } from '../body.ts'
import type { ServiceRoute } from '../neighbours.ts'
import { backIn } from './marks.ts'
import { isNavigation } from './replies.ts'

/** In a ticket: path prefixes below that of its service which are other services'. Separated by spaces. */
export const ELSEWHERE = 'x-node-daemon-elsewhere'
const ELSEWHERE_CHARACTERS_MAX = 1_500

const elsewhere = new WeakMap<readonly ServiceRoute[], Map<ServiceRoute, string>>()

/** The prefixes of other services below that of this one; null where they are too many for a ticket. */
export function elsewhereOf(services: readonly ServiceRoute[], service: ServiceRoute): string | null {
  const known = elsewhere.get(services) ?? new Map<ServiceRoute, string>()
  elsewhere.set(services, known)
  const text = known.get(service) ?? others(services, service)
  known.set(service, text)
  return text.length > ELSEWHERE_CHARACTERS_MAX ? null : text
}

function others(services: readonly ServiceRoute[], { name, route }: ServiceRoute): string {
  const own = route.kind === 'path' ? route.prefix : ''
  const prefixes = services.flatMap((one) => (one.route.kind === 'path' && one.name !== name ? [one.route.prefix] : []))
  return prefixes.filter((prefix) => prefix.startsWith(`${own}/`)).join(' ')
}

/**
 * Takes the mark of a request that an ingress sent back off its address. Returns the epoch in which it was refused; 0: it may
 * not be sent to an ingress again; null: there is no mark.
 */
export function takeBack(request: IncomingMessage): number | null {
  const { url = '' } = request
  if (!url.includes('nd_back=')) return null
  const back = backIn(url)
  if (back === null) return null
  request.url = back.url
  return back.epoch
}

/**
 * In which epochs of its workspace may a request be sent to the home's own entrance: in later ones than this. Null: in none.
 * A service with a host name of its own stays on it: on the address of an instance it would share an origin with others.
 */
export function redirectAfter(
  request: Pick<IncomingMessage, 'method' | 'headers'>,
  about: {
    readonly service: ServiceRoute
    readonly body: Body
    readonly isUpgrade: boolean
    readonly back: number | null
  }
): number | null {
  const { service, body, isUpgrade, back } = about
  if (isUpgrade || body.kind !== 'none' || service.route.kind !== 'path' || back === 0) return null
  return isNavigation(request) ? (back ?? 0) : null
}
