import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import type { ControlServer } from '../membership/control-server.ts'
import type { Groups } from '../membership/groups.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import { ROUTE_LABEL, RouteBook, type RouteBookDeps } from '../routing/routes/book.ts'
import type { Services } from '../routing/services.ts'

export interface RouteBookParts {
  readonly registry: MemberRegistry
  readonly services: Services
  readonly groups: Groups
  readonly control: () => ControlServer
  /** See `RouteBookDeps`. */
  readonly parts: { readonly dialIngress: RouteBookDeps['dial']; readonly frontDoor: RouteBookDeps['frontDoor'] }
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** The routes of the instances that are connected, as admins and they themselves say them. */
export function openRouteBook({ registry, services, groups, control, parts, ...deps }: RouteBookParts): RouteBook {
  const book = new RouteBook({
    ...deps,
    session: (peer) => control().session(peer),
    labelOf: (peer) => registry.get(peer)?.labels[ROUTE_LABEL],
    dial: parts.dialIngress,
    frontDoor: parts.frontDoor
  })
  // What users may do is looked at where they are let in, at the front door.
  groups.onChange(() => book.endSessions())
  services.onChange(() => book.endSessions())
  return book
}
