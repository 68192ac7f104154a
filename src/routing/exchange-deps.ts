import type { Clock } from '../core/clock.ts'
import type { OwnerId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Body, BodyBudget } from './body.ts'
import type { Hold } from './hold.ts'
import type { HomeRoutes, Uploads, Workspaces } from './neighbours.ts'
import type { Page } from './pages.ts'
import type { Pools } from './pool.ts'
import type { ProxyOptions, Upgrade } from './proxy.ts'
import type { SentOn } from './routes/send-on.ts'
import type { Sockets } from './sockets.ts'
import type { Turns } from './turns.ts'

/** What all exchanges share. */
export interface ExchangeDeps {
  readonly workspaces: Workspaces
  readonly hold: Hold
  readonly pools: Pools
  readonly routes: HomeRoutes
  readonly sockets: Sockets
  readonly budget: BodyBudget
  /** How many requests of a user, and of a workspace, are at the instances at once; of a shared one, also those of guests. */
  readonly turns: Readonly<Record<'ofUser' | 'ofWorkspace' | 'ofGuests' | 'ofGuestsAt', Turns>>
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
export interface Asked extends SentOn {
  readonly upgrade: Upgrade | null
  /** The address that it came from, as far as that is counted. */
  readonly client: string | null
  /** Whose workspace it is for; null for a newcomer. */
  readonly owner: OwnerId | null
  readonly body: Body
  /** Does the client wait for `100 Continue`? */
  readonly expects: boolean
  /** Asked before a workspace is begun: why none may be now, where that is so. */
  readonly mayBegin: () => Page | null
  /** Asked while it speaks another protocol, when something has changed: would it be let in again? */
  readonly mayStay: () => boolean | Promise<boolean>
  /** The connection speaks another protocol now; the response is of no more use. */
  readonly onUpgrade: () => void
}
