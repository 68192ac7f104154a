import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../core/clock.ts'
import type { OwnerId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Body, BodyBudget } from './body.ts'
import type { Hold } from './hold.ts'
import type { Visitor } from './identify.ts'
import type { HomeRoutes, ServiceRoute, Uploads, Users, Workspaces } from './neighbours.ts'
import type { Page } from './pages.ts'
import type { Pools } from './pool.ts'
import type { ProxyOptions, Upgrade } from './proxy.ts'
import type { Sockets } from './sockets.ts'
import type { Turns } from './turns.ts'

/** What all exchanges share. */
export interface ExchangeDeps {
  readonly workspaces: Workspaces
  readonly users: Pick<Users, 'isBlocked'>
  readonly hold: Hold
  readonly pools: Pools
  readonly routes: HomeRoutes
  readonly sockets: Sockets
  readonly budget: BodyBudget
  /** How many requests of a user, and of a workspace, are at the instances at once. */
  readonly turns: { readonly ofUser: Turns; readonly ofWorkspace: Turns }
  readonly uploads: Uploads
  readonly clock: Clock
  readonly log: Logger
}

export interface ExchangeOptions extends ProxyOptions {
  readonly holdMs: number
  /** How long a body may take that is kept. */
  readonly keptBodyMs: number
}

/** A request whose user and service are known. */
export interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly upgrade: Upgrade | null
  readonly service: ServiceRoute
  readonly visitor: Visitor
  /** The address that it came from, as far as that is counted. */
  readonly client: string | null
  /** Whose workspace it is for; null for a newcomer. */
  readonly owner: OwnerId | null
  readonly body: Body
  /** Does the client wait for `100 Continue`? */
  readonly expects: boolean
  /** Scheme and host by which the user came. */
  readonly from: string
  /** See `redirectAfter`. */
  readonly redirectAfter: number | null
  /** The lines for an instance that do not depend on which one it is. */
  readonly headers: readonly string[]
  /** Asked before a workspace is begun: why none may be now, where that is so. */
  readonly mayBegin: () => Page | null
  /** The connection speaks another protocol now; the response is of no more use. */
  readonly onUpgrade: () => void
}
