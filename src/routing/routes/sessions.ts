import type { Clock, Instant } from '../../core/clock.ts'
import type { UserId } from '../../core/ids.ts'
import type { Random } from '../../core/random.ts'
import { INGRESS_COOKIES } from '../../wire/cookies.ts'
import { headerOf } from '../headers.ts'
import { ELSEWHERE } from './redirect.ts'
import type { Ticket } from './tickets.ts'

export const SESSION_LIMITS = {
  /** A session that is not used for so long ends. */
  idleMs: 30 * 60_000,
  /** No session is older than this: then the front door looks again who it is. */
  ageMs: 8 * 60 * 60_000,
  /** The one that was not used for the longest goes first. */
  sessions: 20_000,
  /** Path prefixes of services in one session. */
  prefixes: 16
} as const

interface Session {
  readonly user: string
  readonly startedAt: Instant
  usedAt: Instant
  /** What the front door said, by the path prefix under which users reach the service. */
  readonly said: Map<string, Said>
}

/** What the front door said of a user's requests, when it sent the user here. */
export interface Said {
  /** Where to send the user back. */
  readonly from: string
  readonly lines: readonly string[]
}

/** The users whom the front door has sent here, by the cookie of this ingress. They are forgotten with the process. */
export class IngressSessions {
  readonly #deps: { readonly clock: Clock; readonly random: Random }
  readonly #secure: boolean
  readonly #name: string
  /** Those used last at the end. */
  readonly #sessions = new Map<string, Session>()

  /** `secure`: users come over https. */
  constructor(deps: { readonly clock: Clock; readonly random: Random }, options: { readonly secure: boolean }) {
    this.#deps = deps
    this.#secure = options.secure
    this.#name = options.secure ? INGRESS_COOKIES.secure : INGRESS_COOKIES.plain
  }

  /**
   * Lets a user in whose ticket counts. Returns the value of a Set-Cookie header; null where the session of another user is
   * there, which a link of somebody's must not replace.
   */
  begin(cookie: string | undefined, { from, lines }: Ticket): string | null {
    const now = this.#deps.clock.now()
    const user = headerOf(lines, 'x-remote-user') ?? ''
    const known = this.#known(cookie)
    if (known !== null && known.session.user !== user) return null
    const isSame = known !== null && known.session.said.size < SESSION_LIMITS.prefixes
    const id = isSame ? known.id : Buffer.from(this.#deps.random.bytes(32)).toString('base64url')
    const session = isSame ? known.session : { user, startedAt: now, usedAt: now, said: new Map<string, Said>() }
    session.said.set(headerOf(lines, 'x-forwarded-prefix') ?? '', { from, lines })
    this.#keep(id, session)
    return `${this.#name}=${id}; Path=/; HttpOnly; SameSite=Lax${this.#secure ? '; Secure' : ''}`
  }

  /** What was said of requests to this path; null where this is no user whom the front door has sent here for it. */
  find(cookie: string | undefined, path: string): Said | null {
    const known = this.#known(cookie)
    if (known === null) return null
    known.session.usedAt = this.#deps.clock.now()
    this.#keep(known.id, known.session)
    let best: { readonly prefix: string; readonly said: Said } | null = null
    for (const [prefix, said] of known.session.said) {
      if (isUnder(path, prefix) && (best === null || prefix.length > best.prefix.length)) best = { prefix, said }
    }
    if (best === null) return null
    const { said } = best
    const others = headerOf(said.lines, ELSEWHERE)?.split(' ') ?? []
    return others.some((prefix) => isUnder(path, prefix)) ? null : said
  }

  /** Ends what began with this: the workspace is not served here any more. */
  end(said: Said): void {
    for (const [id, session] of this.#sessions) {
      for (const [prefix, one] of session.said) if (one === said) session.said.delete(prefix)
      if (session.said.size === 0) this.#sessions.delete(id)
    }
  }

  endOf(user: UserId): void {
    for (const [id, session] of this.#sessions) if (session.user === user) this.#sessions.delete(id)
  }

  endAll(): void {
    this.#sessions.clear()
  }

  #known(cookie: string | undefined): { readonly id: string; readonly session: Session } | null {
    const id = cookie === undefined ? null : cookieOf(cookie, this.#name)
    const session = id === null ? undefined : this.#sessions.get(id)
    if (id === null || session === undefined) return null
    const now = this.#deps.clock.now()
    if (now - session.usedAt < SESSION_LIMITS.idleMs && now - session.startedAt < SESSION_LIMITS.ageMs) {
      return { id, session }
    }
    this.#sessions.delete(id)
    return null
  }

  #keep(id: string, session: Session): void {
    this.#sessions.delete(id)
    this.#sessions.set(id, session)
    if (this.#sessions.size <= SESSION_LIMITS.sessions) return
    const [oldest] = this.#sessions.keys()
    if (oldest !== undefined) this.#sessions.delete(oldest)
  }
}

function cookieOf(header: string, name: string): string | null {
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=')
    if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
  }
  return null
}

function isUnder(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false
  const next = path.charAt(prefix.length)
  return prefix === '' || next === '' || next === '/' || next === '?'
}
