import { type GroupName, isGroupName, type OwnerId, ownerOfGroup, ownerOfService, type UserId } from '../core/ids.ts'
import type { Rights } from '../membership/groups.ts'
import { isRead } from '../wire/http.ts'
import type { Groups, ServiceRoute } from './neighbours.ts'

/** Whose workspace a request is for, what may be done there, and the path prefix under which it lies. */
export interface Claim {
  /** Null: a newcomer, who owns nothing yet. */
  readonly owner: OwnerId | null
  readonly rights: Rights
  readonly prefix: string
}

/** Why a request gets to no workspace. `choose`: the address names no group; these are the user's. */
export type Disclaim =
  | { readonly why: 'sign-in' | 'no-member' | 'read-only' }
  | { readonly why: 'choose'; readonly prefix: string; readonly groups: readonly GroupName[] }

/** What of a request tells whose workspace it is for. */
export interface Claiming {
  readonly method: string
  /** As the client sent it: below the service's route. */
  readonly url: string
  /** A WebSocket may change things, whatever its method. */
  readonly upgrade: boolean
  /** Null: a newcomer. */
  readonly user: UserId | null
}

/**
 * By the scope of the service: the user's own workspace; the one of the group that the path names right after the
 * service's route; or the one of the whole service, which all may read and its writers may change: all, where none are
 * named.
 */
export function claimOf(service: ServiceRoute, asking: Claiming, groups: Groups): Claim | Disclaim {
  const claim = CLAIMS[service.scope](service, asking, groups)
  if ('why' in claim || claim.rights === 'write') return claim
  return isRead(asking.method) && !asking.upgrade ? claim : { why: 'read-only' }
}

type ClaimBy = (service: ServiceRoute, asking: Claiming, groups: Groups) => Claim | Disclaim

const CLAIMS: Readonly<Record<ServiceRoute['scope'], ClaimBy>> = {
  user: (service, { user }) => ({ owner: user, rights: 'write', prefix: prefixOf(service) }),
  group: byGroup,
  service: (service, { user }, groups) => ({
    owner: ownerOfService(service.name),
    rights: mayWrite(service.writers, user, groups) ? 'write' : 'read',
    prefix: prefixOf(service)
  })
}

function byGroup(service: ServiceRoute, { url, user }: Claiming, groups: Groups): Claim | Disclaim {
  // Guests are in no group.
  if (user === null || !user.startsWith('user:')) return { why: 'sign-in' }
  const prefix = prefixOf(service)
  const [, name = ''] = /^\/([^/?]*)/.exec(url.slice(prefix.length)) ?? []
  if (name === '') return { why: 'choose', prefix, groups: groups.of(user) }
  const rights = isGroupName(name) ? groups.rightsOf(name, user) : null
  // A group that is not there is told apart from one of others to nobody.
  if (rights === null || !isGroupName(name)) return { why: 'no-member' }
  return { owner: ownerOfGroup(name), rights, prefix: `${prefix}/${name}` }
}

function mayWrite(writers: GroupName | null, user: UserId | null, groups: Groups): boolean {
  return writers === null || (user !== null && groups.rightsOf(writers, user) === 'write')
}

const prefixOf = ({ route }: ServiceRoute): string => (route.kind === 'path' ? route.prefix : '')
