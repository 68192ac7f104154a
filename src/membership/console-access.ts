import type { Clock, Instant } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { parse } from '../core/parse.ts'
import type { Random } from '../core/random.ts'
import type { Admin, Admins } from './admins.ts'
import { Attempts } from './attempts.ts'
import { newSecret, secretHash } from './secrets.ts'

export const CONSOLE_LIMITS = {
  sessionMs: 12 * 3_600_000,
  linkMs: 15 * 60_000,
  /** The link that the first start prints. */
  firstLinkMs: 24 * 3_600_000,
  /** Of one admin; the oldest ends for a new one. */
  sessionsMax: 32,
  linksMax: 32
} as const

/** `id` is the secret of the cookie; `csrf` is told to the page that signed in, and to nobody else. */
export interface ConsoleSession extends Admin {
  readonly id: string
  readonly csrf: string
}

interface Grant {
  readonly admin: string
  /** A removed admin's grants do not pass to a later one of the same name. */
  readonly mark: string
  readonly until: Instant
}

interface KeptSession extends Grant {
  readonly csrf: string
}

/** Sign-in to the console: one-use links and sessions. In memory: a restart ends them all. Only hashes are kept. */
export class ConsoleAccess {
  readonly #admins: Admins
  readonly #clock: Clock
  readonly #random: Random
  readonly #attempts: Attempts
  readonly #links = new Map<string, Grant>()
  readonly #sessions = new Map<string, KeptSession>()

  constructor(deps: { readonly admins: Admins; readonly clock: Clock; readonly random: Random }) {
    this.#admins = deps.admins
    this.#clock = deps.clock
    this.#random = deps.random
    this.#attempts = new Attempts(deps.clock)
  }

  byToken(token: string): Admin | null {
    return this.#admins.byToken(token)
  }

  /** A link that signs this admin in once. @throws NodeDaemonError `NOT_FOUND` */
  createLink(admin: string, ttlMs: number = CONSOLE_LIMITS.linkMs): { secret: string; expiresAt: number } {
    const secret = newSecret(this.#random)
    const grant = this.#grant(admin, Math.min(ttlMs, CONSOLE_LIMITS.firstLinkMs))
    this.#keep(this.#links, secretHash(secret), grant, CONSOLE_LIMITS.linksMax)
    return { secret, expiresAt: this.#clock.wall() + (grant.until - this.#clock.now()) }
  }

  /** The session of a one-use link; null where it was used, has expired, or never was one. */
  redeemLink(secret: string): ConsoleSession | null {
    const hash = secretHash(secret)
    const link = this.#links.get(hash)
    this.#links.delete(hash)
    const admin = link === undefined ? null : this.#holder(link)
    return admin === null ? null : this.createSession(admin)
  }

  /** @throws NodeDaemonError `NOT_FOUND` when the admin is gone */
  createSession({ name }: { readonly name: string }): ConsoleSession {
    const admin = this.#admins.get(name)
    if (admin === null) throw noAdmin(name)
    const id = newSecret(this.#random)
    const csrf = newSecret(this.#random)
    const grant = { ...this.#grant(name, CONSOLE_LIMITS.sessionMs), csrf }
    this.#keep(this.#sessions, secretHash(id), grant, CONSOLE_LIMITS.sessionsMax)
    return { ...admin, id, csrf }
  }

  /** With the admin's role of now; null once it has ended or its admin is gone. */
  session(id: string): ConsoleSession | null {
    const hash = secretHash(id)
    const kept = this.#sessions.get(hash)
    const admin = kept === undefined ? null : this.#holder(kept)
    if (kept !== undefined && admin !== null) return { ...admin, id, csrf: kept.csrf }
    this.#sessions.delete(hash)
    return null
  }

  endSession(id: string): void {
    this.#sessions.delete(secretHash(id))
  }

  /** Counts one wrong secret from this address; false once there were too many of late. */
  attempt(address: string): boolean {
    return this.#attempts.attempt(address)
  }

  #grant(admin: string, ttlMs: number): Grant {
    const mark = this.#admins.mark(admin)
    if (mark === null) throw noAdmin(admin)
    return { admin, mark, until: this.#clock.now() + ttlMs }
  }

  /** Who a grant is for, where it still stands. */
  #holder({ admin, mark, until }: Grant): Admin | null {
    return this.#clock.now() < until && this.#admins.mark(admin) === mark ? this.#admins.get(admin) : null
  }

  /** Keeps a grant, forgets those that ended, and the oldest ones of this admin beyond `max`. */
  #keep<T extends Grant>(grants: Map<string, T>, hash: string, grant: T, max: number): void {
    for (const [old, other] of grants) if (this.#holder(other) === null) grants.delete(old)
    const own = [...grants].filter(([, other]) => other.admin === grant.admin)
    for (const [old] of own.slice(0, Math.max(0, own.length - max + 1))) grants.delete(old)
    grants.set(hash, grant)
  }
}

const noAdmin = (name: string): NodeDaemonError =>
  new NodeDaemonError('NOT_FOUND', `there is no admin "${parse.line(name, 80)}"`)
