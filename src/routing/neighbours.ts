import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../core/clock.ts'
import type { GroupName, OwnerId, PeerIdText, ServiceName, UserId, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import type { Rights } from '../membership/groups.ts'
import type { UploadTap } from '../sync/provisional.ts'
import type { RawHeaders } from '../wire/http.ts'
import type { Client } from './client.ts'
import type { Refusal, Visitor } from './identify.ts'
import type { FrontDoorLimits } from './limits.ts'
import type { Upgrade } from './proxy.ts'
import type { RateOptions } from './rates.ts'
import type { TicketOffice } from './routes/tickets.ts'

export const SCOPES = ['user', 'group', 'service'] as const
export type ServiceScope = (typeof SCOPES)[number]

/** How users reach a service. The path is not rewritten on its way: an app sees the prefix too. */
export interface ServiceRoute {
  readonly name: ServiceName
  /** `prefix` is '' for the service at `/`, else begins with `/` and has no `/` at its end. */
  readonly route: { readonly kind: 'path'; readonly prefix: string } | { readonly kind: 'host'; readonly host: string }
  /** Who owns a workspace: each user, each group (its name follows the route in the path), or the service itself. */
  readonly scope: ServiceScope
  /** Where the whole service is one workspace: the group whose members with the right to write may change it. Null: all. */
  readonly writers: GroupName | null
}

/** An instance that answers requests. */
export interface Home {
  readonly home: PeerIdText
  readonly homeName: string
}

/** Where a workspace is served now, as the front door sees it. */
export type Place =
  | ({
      readonly state: 'serving'
      readonly workspace: WorkspaceId
      readonly epoch: number
      /** How much it may hold, in bytes; not there: no bound. */
      readonly limitBytes?: number
    } & Home)
  | {
      readonly state: 'waiting'
      readonly workspace: WorkspaceId
      readonly reason: 'moving' | 'restoring' | 'starting' | 'orphaned'
    }

/** The route table, as the front door needs it. */
export interface Workspaces {
  services(): readonly ServiceRoute[]
  /** Synchronous and fast (a map look-up). Null where the owner has no workspace yet. */
  find(service: ServiceName, owner: OwnerId): Place | null
  /**
   * Places a new workspace. Idempotent per (service, owner).
   *
   * @throws NodeDaemonError `BUSY` when no instance can take it
   */
  create(service: ServiceName, owner: OwnerId): Promise<Place>
  /** Resolves as soon as find() may have changed for this workspace. Listens from the moment of the call. */
  changed(workspace: WorkspaceId, signal: AbortSignal): Promise<void>
  /** An instance that can answer for a newcomer without a workspace (reads only). Null when none serves. */
  anyInstance(service: ServiceName, owner: OwnerId | null): Home | null
  /** The front door saw a connection to this home fail. Called at most once per failed request. */
  suspect(home: PeerIdText): void
  /**
   * Called when a request is sent to the home of a workspace; the returned function when it has ended. Requests that
   * are held, and WebSockets, do not count: a held request has not begun, a WebSocket is closed when its workspace moves.
   *
   * @param breakOff has it end now: what has no answer yet is treated as if its home was lost
   */
  enter(workspace: WorkspaceId, breakOff: () => void): () => void
}

export interface Users {
  /** Null: not a token of ours. Timing-safe. */
  byToken(token: string): Promise<{ readonly user: UserId } | 'blocked' | null>
  /** Whose session this is. Null: it has ended, or never was one. */
  bySession(id: string): UserId | 'blocked' | null | Promise<UserId | 'blocked' | null>
  /** The user whom a trusted sign-on proxy names, who may come into being by that. Null: nobody can be called that. */
  bySignOn(name: string): UserId | null | Promise<UserId | null>
  /** Is this user shut out by now: blocked, or removed? */
  isBlocked(user: UserId): boolean
}

/** Who is in which group. Both are look-ups in memory. */
export interface Groups {
  /** What a user may do in the workspaces of a group; null where they are no member, or there is no such group. */
  rightsOf(group: GroupName, user: UserId): Rights | null
  /** By name. */
  of(user: UserId): readonly GroupName[]
}

export interface Tunnel {
  /**
   * A fresh byte stream to the instance's ingress, on which HTTP/1.1 is spoken.
   *
   * @throws NodeDaemonError `OUT_OF_REACH` the instance cannot be reached; nothing was sent
   */
  connect(home: PeerIdText): Promise<Duplex>
}

/** Where a browser or a program is sent with its reads. */
export interface Redirection {
  /** Scheme, host and port. */
  readonly url: string
  readonly office: Pick<TicketOffice, 'redirect'>
}

/** How instances are reached past the tunnel. Synchronous and fast (a map look-up). */
export interface HomeRoutes {
  /** Null: the requests of users are proxied. */
  redirectFor(home: PeerIdText): Redirection | null
  /** Makes the tickets for requests on this stream, from the lines that say whose they are; null where it is of the tunnel. */
  ticketOn(stream: Duplex): ((lines: RawHeaders) => string) | null
}

/** Who listens to what users upload, while it passes. */
export interface Uploads {
  /** Called when the body of a request begins to pass to the home of a workspace. */
  tap(workspace: WorkspaceId): UploadTap
}

/** A request for a page of the front door itself. */
export interface OwnRequest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Below `/.well-known/node-daemon/`, without the query: `sign-in`. Whatever the client sent. */
  readonly path: string
  readonly client: Client
  /** Who asks; looked up anew at each call. */
  identify(): Promise<Visitor | Refusal>
}

/** The pages for users below `/.well-known/node-daemon/`. */
export interface OwnPages {
  /** Answers the request. @throws NodeDaemonError answered with the status of its code, while no answer has begun */
  answer(asked: OwnRequest): Promise<void>
}

/**
 * The keys that sign session cookies, at least 32 bytes each. Cookies of a previous key are accepted and renewed. They may
 * change at any time: `current` is another object then.
 */
export interface CookieKeys {
  readonly current: Uint8Array
  readonly previous: readonly Uint8Array[]
}

export interface FrontDoorDeps {
  readonly workspaces: Workspaces
  readonly users: Users
  readonly groups: Groups
  readonly tunnel: Tunnel
  readonly routes: HomeRoutes
  readonly cookieKeys: CookieKeys
  readonly uploads: Uploads
  /** What `/.well-known/node-daemon` answers, as JSON. */
  readonly wellKnown: (request: IncomingMessage) => object
  readonly ownPages: OwnPages
  /** Takes over a connection on which a member wants to come in, at `/.well-known/node-daemon/connect`. */
  readonly connect: (request: IncomingMessage, upgrade: Upgrade, client: Client) => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** A certificate chain and its key, in PEM. */
export interface Certificate {
  readonly cert: string | Uint8Array
  readonly key: string | Uint8Array
}

export interface FrontDoorOptions {
  /** May people use services without an account? */
  readonly anonymous: boolean
  /** How long a request waits while its workspace moves or its home is out of reach. */
  readonly holdMs: number
  /** TLS in front: the cookie is `__Host-nd_session` and `Secure`, and only pages over https may change anything. */
  readonly secure: boolean
  /** CIDRs of proxies whose `X-Forwarded-*` or `Forwarded` (and `trustUserHeader`) are believed. */
  readonly trustProxy: readonly string[]
  /** The name in which people are asked for a token. */
  readonly federationName: string
  /** The header in which a trusted sign-on proxy names the user. */
  readonly trustUserHeader?: string
  /** Where the front door itself speaks TLS; `useCertificate` changes it later. */
  readonly tls?: Certificate
  /** Other bounds than those of the house. */
  readonly limits?: Partial<FrontDoorLimits>
  /** The largest request body. */
  readonly maxBodyBytes?: number
  /** How often one client may come; where it is not said, as `RATES`. */
  readonly rates?: RateOptions
  /** Streams to one home at once; requests beyond it queue. */
  readonly maxStreamsPerHome?: number
}
