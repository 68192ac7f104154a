import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WorkspaceId } from '../../core/ids.ts'
import type { Visitor } from '../identify.ts'
import type { HomeRoutes, Place, ServiceRoute, Workspaces } from '../neighbours.ts'
import { FRONT_DOOR } from '../pages.ts'
import { partLines } from './dress.ts'
import { withTicket } from './marks.ts'
import { ELSEWHERE, elsewhereOf } from './redirect.ts'
import { answerRedirect } from './replies.ts'
import { TICKET_HEADER } from './tickets.ts'

/** What of a place an instance is told. */
interface Told {
  readonly workspace: WorkspaceId | null
  readonly epoch: number
  readonly limitBytes?: number
}

/** All lines for an instance; `headers` are those that do not depend on which one it is. */
export function targetLines(headers: readonly string[], { workspace, epoch, limitBytes }: Told): string[] {
  const lines = [...headers]
  if (workspace !== null) {
    lines.push('x-workspace-id', workspace, 'x-node-daemon-epoch', String(epoch))
    if (limitBytes !== undefined) lines.push('x-node-daemon-limit', String(limitBytes))
  }
  return lines
}

/** Through the tunnel, the stream says that they are the front door's; elsewhere a ticket does. */
export function linesOn(routes: HomeRoutes, stream: Duplex, lines: string[]): string[] {
  const ticketOf = routes.ticketOn(stream)
  if (ticketOf === null) return lines
  const { bound, others } = partLines(lines)
  others.push(TICKET_HEADER, ticketOf(bound))
  return others
}

/** A request that may be sent on to the entrance of an instance. */
export interface SentOn {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly service: ServiceRoute
  readonly visitor: Visitor
  /** The lines for an instance that do not depend on which one it is. */
  readonly headers: readonly string[]
  /** Scheme and host by which the user came. */
  readonly from: string
  /** See `redirectAfter`. */
  readonly redirectAfter: number | null
}

/** Sends the user on to the home itself, where that is its route. False: the request is to be proxied. */
export function sendOn(
  deps: { readonly routes: HomeRoutes; readonly workspaces: Pick<Workspaces, 'services' | 'enter'> },
  asked: SentOn,
  place: Extract<Place, { state: 'serving' }>
): boolean {
  const { request, response, service, visitor, from, headers, redirectAfter } = asked
  if (redirectAfter === null || place.epoch <= redirectAfter) return false
  const redirection = deps.routes.redirectFor(place.home)
  const elsewhere = redirection === null ? null : elsewhereOf(deps.workspaces.services(), service)
  if (redirection === null || elsewhere === null) return false
  // It counts as used, though what follows is not seen here.
  deps.workspaces.enter(place.workspace, () => undefined)()
  const { bound } = partLines(targetLines(headers, place))
  if (elsewhere !== '') bound.push(ELSEWHERE, elsewhere)
  const location = redirection.url + withTicket(request.url ?? '/', redirection.office.redirect(from, bound))
  answerRedirect(response, location, { setCookie: visitor.setCookie, servedBy: FRONT_DOOR, saysWhence: true })
  return true
}
