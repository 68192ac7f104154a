import type { IncomingHttpHeaders } from 'node:http'
import type { Clock } from '../core/clock.ts'
import type { UserId } from '../core/ids.ts'
import type { Random } from '../core/random.ts'
import { isRead } from '../wire/http.ts'
import type { Client } from './client.ts'
import type { SessionCookies } from './cookie.ts'
import type { Users } from './neighbours.ts'

const MAX_TOKEN_LENGTH = 512

/**
 * With these, somebody looks around who may stay a guest. PROPFIND is not among them: WebDAV clients keep their
 * credentials to themselves until they are asked, and would show a user the empty workspace of a guest.
 */
const LOOKS_AROUND: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Whom a request is for. A newcomer has no user yet, and gets the cookie of a new guest. */
export interface Visitor {
  readonly user: UserId | null
  /** A Set-Cookie value for the answer. */
  readonly setCookie: string | null
}

export interface Refusal {
  readonly status: 401 | 403
  readonly why: 'unknown-credentials' | 'unknown-user' | 'token-needed' | 'session-ended' | 'blocked' | 'cross-site'
  /** A Set-Cookie value for the answer. */
  readonly setCookie?: string
}

/** What of a request tells who it is for. */
export interface Asking {
  readonly method: string
  readonly headers: IncomingHttpHeaders
  readonly client: Client
  /** A WebSocket may change things, whatever its method. */
  readonly upgrade: boolean
}

export interface IdentifierDeps {
  readonly users: Users
  readonly cookies: SessionCookies
  readonly clock: Clock
  readonly random: Random
}

export interface IdentifierOptions {
  readonly anonymous: boolean
  readonly secure: boolean
  /** Lower case. */
  readonly userHeader: string | null
}

/** Finds the user of a request: by token, by the header of a trusted sign-on proxy, or by cookie. */
export class Identifier {
  readonly #deps: IdentifierDeps
  readonly #options: IdentifierOptions

  constructor(deps: IdentifierDeps, options: IdentifierOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** What is looked up elsewhere takes a promise. */
  identify(asking: Asking): Visitor | Refusal | Promise<Visitor | Refusal> {
    const { authorization } = asking.headers
    if (authorization !== undefined) return this.#byToken(asking, authorization)
    return this.#bySignOn(asking) ?? this.#byCookie(asking) ?? this.#byKeptGuest(asking) ?? this.#newcomer(asking)
  }

  async #byToken(asking: Asking, authorization: string): Promise<Visitor | Refusal> {
    const credentials = tokenOf(authorization)
    if (credentials === null) return { status: 401, why: 'unknown-credentials' }
    const found = await this.#deps.users.byToken(credentials.token)
    if (found === null) return { status: 401, why: 'unknown-credentials' }
    if (found === 'blocked') return { status: 403, why: 'blocked' }
    // A browser sends a Basic password by itself, as it does with a cookie.
    return this.#known(asking, found.user, { byBrowser: credentials.scheme === 'basic', setCookie: null })
  }

  #bySignOn(asking: Asking): Visitor | Refusal | Promise<Visitor | Refusal> | null {
    const { userHeader } = this.#options
    if (userHeader === null || !asking.client.trusted) return null
    const name = asking.headers[userHeader]
    if (name === undefined || name === '') return null
    return settled(this.#deps.users.bySignOn(String(name)), (user) =>
      user === null
        ? { status: 403, why: 'unknown-user' }
        : this.#known(asking, user, { byBrowser: true, setCookie: null })
    )
  }

  #byCookie(asking: Asking): Visitor | Refusal | Promise<Visitor | Refusal> | null {
    const { cookie } = asking.headers
    if (cookie === undefined) return null
    const { cookies, users, clock } = this.#deps
    const now = clock.wall()
    const session = cookies.read(cookie, now)
    if (session === null) return null
    if ('user' in session) {
      if (!this.#options.anonymous) return null
      const setCookie = session.renew ? cookies.issue(session.user, now) : null
      return this.#known(asking, session.user, { byBrowser: true, setCookie })
    }
    const { session: id, renew } = session
    return settled(users.bySession(id), (user) => {
      if (user === null) return { status: 401, why: 'session-ended', setCookie: cookies.forget('session') }
      if (user === 'blocked') return { status: 403, why: 'blocked' }
      const setCookie = renew ? cookies.issueSession(id, now) : null
      return this.#known(asking, user, { byBrowser: true, setCookie })
    })
  }

  /** Who signed out is the guest again that they were before they signed in. */
  #byKeptGuest(asking: Asking): Visitor | Refusal | null {
    const { cookies, clock } = this.#deps
    const guest = this.#options.anonymous ? cookies.readGuest(asking.headers.cookie) : null
    if (guest === null) return null
    return this.#known(asking, guest, { byBrowser: true, setCookie: cookies.issue(guest, clock.wall()) })
  }

  #known(
    asking: Asking,
    user: UserId,
    how: { readonly byBrowser: boolean; readonly setCookie: string | null }
  ): Visitor | Refusal {
    if (this.#deps.users.isBlocked(user)) return { status: 403, why: 'blocked' }
    const mayChange = asking.upgrade || !isRead(asking.method)
    if (how.byBrowser && mayChange && isCrossSite(asking, this.#options.secure)) {
      return { status: 403, why: 'cross-site' }
    }
    return { user, setCookie: how.setCookie }
  }

  #newcomer(asking: Asking): Visitor | Refusal {
    if (!this.#options.anonymous || asking.upgrade || !LOOKS_AROUND.has(asking.method)) {
      return { status: 401, why: 'token-needed' }
    }
    const guest = Buffer.from(this.#deps.random.bytes(16)).toString('hex')
    const setCookie = this.#deps.cookies.issue(`guest:${guest}` as UserId, this.#deps.clock.wall())
    return { user: null, setCookie }
  }
}

function settled<T, Result>(value: T | Promise<T>, then: (value: T) => Result): Result | Promise<Result> {
  return value instanceof Promise ? value.then(then) : then(value)
}

/** Did a page of another site cause this? Programs that are no browsers send neither header. */
export function isCrossSite(asking: Pick<Asking, 'headers' | 'client'>, secure: boolean): boolean {
  const { origin, 'sec-fetch-site': site } = asking.headers
  if (site === 'cross-site') return true
  if (origin === undefined) return site === 'same-site'
  const own = asking.client.host.toLowerCase()
  const from = origin.toLowerCase()
  return from !== `https://${own}` && (secure || from !== `http://${own}`)
}

/** The token of an Authorization header: Bearer, or the password of Basic. */
export function tokenOf(authorization: string): { scheme: 'bearer' | 'basic'; token: string } | null {
  const [, scheme = '', rest = ''] = /^(bearer|basic) +([^ ]+)$/i.exec(authorization) ?? []
  if (scheme.toLowerCase() === 'bearer') return checkedToken('bearer', rest)
  if (scheme.toLowerCase() !== 'basic' || rest.length > 2 * MAX_TOKEN_LENGTH) return null
  const text = Buffer.from(rest, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon === -1 ? null : checkedToken('basic', text.slice(colon + 1))
}

function checkedToken(scheme: 'bearer' | 'basic', token: string): { scheme: 'bearer' | 'basic'; token: string } | null {
  return token === '' || token.length > MAX_TOKEN_LENGTH ? null : { scheme, token }
}
