import { createHmac, timingSafeEqual } from 'node:crypto'
import { NodeDaemonError } from '../core/errors.ts'
import { isUserId, type UserId } from '../core/ids.ts'
import type { CookieKeys } from './neighbours.ts'

const PLAIN_NAME = 'nd_session'
const SECURE_NAME = '__Host-nd_session'
/** The console's cookie. Cookies know no ports: a browser brings it to the front door of the same machine too. */
export const CONSOLE_COOKIE = 'nd_console'
/** The cookie of an instance's own entrance. */
export const INGRESS_COOKIES = { plain: 'nd_ingress', secure: '__Host-nd_ingress' } as const
/** None of these ever reaches an instance, nor comes from one. */
export const SESSION_COOKIES: readonly string[] = [
  PLAIN_NAME,
  SECURE_NAME,
  CONSOLE_COOKIE,
  ...Object.values(INGRESS_COOKIES)
]

const MAX_AGE_S = 30 * 24 * 60 * 60
const RENEW_AFTER_MS = 24 * 60 * 60 * 1000
const MIN_KEY_BYTES = 32
/** How many verified cookies are remembered: a signature costs as much as a fifth of a whole request. */
const MAX_REMEMBERED = 10_000
const VALUE = /^([0-9a-f]{32})\.([0-9a-z]{1,11})\.([A-Za-z0-9_-]{43})$/

export interface Session {
  readonly user: UserId
  /** The cookie should be issued again: it is a day old, or signed by a previous key. */
  readonly renew: boolean
}

interface Verified {
  readonly user: UserId
  readonly issuedAtMs: number
  /** Signed by a previous key. */
  readonly oldKey: boolean
}

/**
 * The guest's signed cookie: `GUEST.ISSUED.HMAC`. Whoever holds it is the guest for as long as its key is kept; the
 * time in it decides only about renewal, so that a clock that jumps shuts nobody out.
 */
export class SessionCookies {
  readonly #keys: readonly Uint8Array[]
  readonly #secure: boolean
  readonly #name: string
  /** What verified, by the whole value of the cookie; the oldest first. */
  readonly #verified = new Map<string, Verified>()

  /** @throws NodeDaemonError `BAD_CONFIG` a key is shorter than 32 bytes */
  constructor(keys: CookieKeys, options: { readonly secure: boolean }) {
    this.#keys = [keys.current, ...keys.previous]
    if (this.#keys.some((key) => key.length < MIN_KEY_BYTES)) {
      throw new NodeDaemonError('BAD_CONFIG', `a cookie key needs at least ${MIN_KEY_BYTES} bytes`)
    }
    this.#secure = options.secure
    this.#name = options.secure ? SECURE_NAME : PLAIN_NAME
  }

  /** The guest of a Cookie header; null where there is no cookie of ours that verifies. */
  read(header: string | undefined, nowMs: number): Session | null {
    if (header === undefined) return null
    for (const pair of header.split(';')) {
      const equals = pair.indexOf('=')
      if (equals === -1 || pair.slice(0, equals).trim() !== this.#name) continue
      const session = this.#verify(pair.slice(equals + 1).trim(), nowMs)
      if (session !== null) return session
    }
    return null
  }

  /** The value of a Set-Cookie header. */
  issue(user: UserId, nowMs: number): string {
    const payload = `${user.slice('guest:'.length)}.${Math.max(0, Math.floor(nowMs)).toString(36)}`
    const [current] = this.#keys
    const value = current === undefined ? '' : `${payload}.${sign(current, payload).toString('base64url')}`
    return `${this.#name}=${value}; Path=/; Max-Age=${MAX_AGE_S}; HttpOnly; SameSite=Lax${this.#secure ? '; Secure' : ''}`
  }

  #verify(value: string, nowMs: number): Session | null {
    const known = this.#verified.get(value) ?? this.#check(value)
    if (known === null) return null
    const { user, issuedAtMs, oldKey } = known
    return { user, renew: oldKey || Math.abs(nowMs - issuedAtMs) > RENEW_AFTER_MS }
  }

  #check(value: string): Verified | null {
    const [, guest, issued, mac] = VALUE.exec(value) ?? []
    if (guest === undefined || issued === undefined || mac === undefined) return null
    const claimed = Buffer.from(mac, 'base64url')
    const index = this.#keys.findIndex((key) => timingSafeEqual(sign(key, `${guest}.${issued}`), claimed))
    const user = `guest:${guest}`
    if (index === -1 || !isUserId(user)) return null
    const verified = { user, issuedAtMs: Number.parseInt(issued, 36), oldKey: index > 0 }
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

const sign = (key: Uint8Array, payload: string): Buffer =>
  createHmac('sha256', key).update(`node-daemon-session/1\n${payload}`).digest()

/** A Cookie header without the session cookies; null where nothing is left. */
export function withoutSession(header: string): string | null {
  if (!header.includes('nd_')) return header
  const rest = header.split(';').filter((pair) => !SESSION_COOKIES.includes((pair.split('=', 1)[0] ?? '').trim()))
  return rest.length === 0 ? null : rest.join(';').trim()
}

/** Does this Set-Cookie header set a session cookie? Browsers send a cookie without a name back as its mere value. */
export const setsSession = (header: string): boolean =>
  SESSION_COOKIES.includes((header.replace(/^[\s=]+/, '').split(/[=;]/, 1)[0] ?? '').trim())
