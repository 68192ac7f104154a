import { isUserId, type UserId } from '../core/ids.ts'
import { USER_COOKIES } from '../wire/cookies.ts'
import type { CookieKeys } from './neighbours.ts'
import { Signing } from './signing.ts'

type Kind = keyof typeof USER_COOKIES

const MAX_AGE_S = 30 * 24 * 60 * 60
const RENEW_AFTER_MS = 24 * 60 * 60 * 1000
/** How many verified cookies are remembered: a signature costs as much as a fifth of a whole request. */
const MAX_REMEMBERED = 10_000
const GUEST_VALUE = /^([0-9a-f]{32})\.([0-9a-z]{1,11})\.([A-Za-z0-9_-]{43})$/
const NAMED_VALUE = /^s\.([0-9a-f]{32})\.([0-9a-z]{1,11})\.([A-Za-z0-9_-]{43})$/

/** Whom a cookie is for: a guest, or one who signed in, by the id of the session. */
export type Session = { readonly user: UserId } | { readonly session: string }

interface Verified {
  readonly session: Session
  readonly issuedAtMs: number
  /** Signed by a previous key. */
  readonly oldKey: boolean
}

/**
 * The signed cookies of users: `GUEST.ISSUED.HMAC` for a guest, `s.SESSION.ISSUED.HMAC` for one who signed in. Whoever
 * holds a guest's cookie is the guest for as long as its key is kept; the time in it decides only about renewal, so
 * that a clock that jumps shuts nobody out. A session that is named must also stand at the coordinator, which ends it.
 */
export class SessionCookies {
  readonly #signing: Signing
  readonly #secure: boolean
  /** What verified, by the whole value of the cookie; the oldest first. */
  readonly #verified = new Map<string, Verified>()
  #generation: object

  /** @throws NodeDaemonError `BAD_CONFIG` a key is shorter than 32 bytes */
  constructor(keys: CookieKeys, options: { readonly secure: boolean }) {
    this.#signing = new Signing(keys)
    this.#generation = this.#signing.generation
    this.#secure = options.secure
  }

  /** The session of a Cookie header; null where there is no cookie of ours that verifies. `renew`: issue it again. */
  read(header: string | undefined, nowMs: number): (Session & { readonly renew: boolean }) | null {
    for (const value of cookieValues(header, this.#name('session'))) {
      const found = this.#verify(value)
      if (found !== null) {
        const { session, issuedAtMs, oldKey } = found
        return { ...session, renew: oldKey || Math.abs(nowMs - issuedAtMs) > RENEW_AFTER_MS }
      }
    }
    return null
  }

  /** The guest of a Cookie header that its browser was before it signed in. */
  readGuest(header: string | undefined): UserId | null {
    for (const value of cookieValues(header, this.#name('guest'))) {
      const session = this.#verify(value)?.session
      if (session !== undefined && 'user' in session) return session.user
    }
    return null
  }

  /** The value of a Set-Cookie header that makes a browser this guest. */
  issue(guest: UserId, nowMs: number): string {
    return this.set('session', this.#guestValue(guest, nowMs), MAX_AGE_S)
  }

  /** The same for one who signed in. */
  issueSession(session: string, nowMs: number): string {
    const payload = `${session}.${timeText(nowMs)}`
    return this.set('session', `s.${payload}.${this.#signing.sign('named-session', payload)}`, MAX_AGE_S)
  }

  /** The value of a Set-Cookie header that has a browser remember a guest. */
  keepGuest(guest: UserId, nowMs: number): string {
    return this.set('guest', this.#guestValue(guest, nowMs), MAX_AGE_S)
  }

  /** The value of a Set-Cookie header. */
  set(kind: Kind, value: string, maxAgeS: number): string {
    const secure = this.#secure ? '; Secure' : ''
    return `${this.#name(kind)}=${value}; Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=Lax${secure}`
  }

  /** The value of a Set-Cookie header that has a browser forget one. */
  forget(kind: Kind): string {
    return this.set(kind, '', 0)
  }

  /** What a browser sent under the name of a cookie of ours; nothing about it is verified. */
  values(kind: Kind, header: string | undefined): readonly string[] {
    return cookieValues(header, this.#name(kind))
  }

  #name(kind: Kind): string {
    return this.#secure ? `__Host-${USER_COOKIES[kind]}` : USER_COOKIES[kind]
  }

  #guestValue(guest: UserId, nowMs: number): string {
    const payload = `${guest.slice('guest:'.length)}.${timeText(nowMs)}`
    return `${payload}.${this.#signing.sign('session', payload)}`
  }

  #verify(value: string): Verified | null {
    if (this.#generation !== this.#signing.generation) {
      this.#verified.clear()
      this.#generation = this.#signing.generation
    }
    return this.#verified.get(value) ?? this.#check(value)
  }

  #check(value: string): Verified | null {
    const named = value.startsWith('s.')
    const [, id, issued, signature] = (named ? NAMED_VALUE : GUEST_VALUE).exec(value) ?? []
    if (id === undefined || issued === undefined || signature === undefined) return null
    const key = this.#signing.signer(named ? 'named-session' : 'session', `${id}.${issued}`, signature)
    const guest = `guest:${id}`
    if (key === null || !isUserId(guest)) return null
    const session = named ? { session: id } : { user: guest }
    const verified = { session, issuedAtMs: Number.parseInt(issued, 36), oldKey: !this.#signing.isCurrent(key) }
    this.#remember(value, verified)
    return verified
  }

  #remember(value: string, verified: Verified): void {
    this.#verified.set(value, verified)
    if (this.#verified.size <= MAX_REMEMBERED) return
    const [oldest] = this.#verified.keys()
    if (oldest !== undefined) this.#verified.delete(oldest)
  }
}

const timeText = (ms: number): string => Math.max(0, Math.floor(ms)).toString(36)

function cookieValues(header: string | undefined, name: string): string[] {
  if (header === undefined) return []
  return header.split(';').flatMap((pair) => {
    const equals = pair.indexOf('=')
    return equals !== -1 && pair.slice(0, equals).trim() === name ? [pair.slice(equals + 1).trim()] : []
  })
}
