import { z } from 'zod'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { UserId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { Mutex } from '../core/mutex.ts'
import { batches } from '../core/parallel.ts'
import type { ControlChange } from '../store/control-store.ts'
import { loadDocuments, putOwn, removeOwn } from './documents.ts'
import type { AccountDeps } from './token-book.ts'
import type { Users } from './users.ts'

export const USER_SESSION_LIMITS = {
  /** A session that is not used for so long has ended. */
  lifeMs: 30 * 86_400_000,
  renewAfterMs: 86_400_000,
  /** Of one user; the one that was used least lately ends for a new one. */
  perUser: 16,
  total: 200_000
} as const

const PREFIX = 'user-session/'
const FORGET_AT_ONCE = 1000
const schema = z.object({
  id: z.string(),
  user: z.custom<UserId>((value) => typeof value === 'string'),
  /** When the account was made: a later user of the same name does not get into the sessions of a removed one. */
  accountSince: z.number(),
  /** How often the user had got a new token by then: who had the one of before must not stay. */
  renewals: z.number().default(0),
  begunAt: z.number(),
  usedAt: z.number()
})
type Kept = z.infer<typeof schema>

export interface UserSessionsDeps extends Pick<AccountDeps, 'store' | 'clock' | 'random' | 'onChange'> {
  readonly users: Users
  readonly log: Logger
}

/**
 * The sessions of named users: what a signed cookie names by its id. A session that does not stand here has ended,
 * whatever a cookie says. The id is no secret: the signature beside it in the cookie is. All in memory.
 */
export class UserSessions {
  readonly #deps: UserSessionsDeps
  readonly #byId: Map<string, Kept>
  readonly #byUser = new Map<UserId, Set<Kept>>()
  readonly #writes = new Mutex()

  private constructor(deps: UserSessionsDeps, sessions: readonly Kept[]) {
    this.#deps = deps
    this.#byId = new Map()
    for (const session of sessions) this.#put(session)
  }

  /** Forgets those that ended meanwhile. */
  static async open(deps: UserSessionsDeps): Promise<UserSessions> {
    const sessions = new UserSessions(deps, await loadDocuments(deps.store, PREFIX, schema))
    const ended = [...sessions.#byId.values()].filter((session) => !sessions.#stands(session))
    for (const part of batches(ended, FORGET_AT_ONCE)) {
      await deps.store.transact(part.map(({ id }) => removeOwn(PREFIX + id)))
    }
    for (const session of ended) sessions.#drop(session)
    return sessions
  }

  /**
   * A new session of a user; its id. Durable on return.
   *
   * @throws NodeDaemonError `FORBIDDEN` there is no such user, or they are blocked; `BUSY` with 200,000 sessions
   */
  begin(user: UserId): Promise<string> {
    return this.#writes.run(async () => {
      const { clock, random, store } = this.#deps
      const account = this.#deps.users.find(user)
      if (account === null || account.blocked) throw new NodeDaemonError('FORBIDDEN', `${user} may not sign in`)
      const own = [...(this.#byUser.get(user) ?? [])].sort((a, b) => a.usedAt - b.usedAt)
      const over = own.filter((one, index) => !this.#stands(one) || index <= own.length - USER_SESSION_LIMITS.perUser)
      if (this.#byId.size - over.length >= USER_SESSION_LIMITS.total) {
        throw new NodeDaemonError('BUSY', 'too many people are signed in')
      }
      const now = clock.wall()
      const id = Buffer.from(random.bytes(16)).toString('hex')
      const session = {
        id,
        user,
        accountSince: account.createdAt,
        renewals: account.renewals,
        begunAt: now,
        usedAt: now
      }
      const forget = over.map((old): ControlChange => removeOwn(PREFIX + old.id))
      await store.transact([putOwn(PREFIX + id, session), ...forget])
      for (const old of over) this.#drop(old)
      this.#put(session)
      return id
    })
  }

  /** Whose session this is; null once it has ended, or its user is gone. Used, it lasts anew. */
  find(id: string): UserId | 'blocked' | null {
    const session = this.#byId.get(id)
    if (session === undefined || !this.#stands(session)) return null
    if (this.#deps.users.isBlocked(session.user)) return 'blocked'
    const now = this.#deps.clock.wall()
    if (Math.abs(now - session.usedAt) > USER_SESSION_LIMITS.renewAfterMs) this.#renew(session, now)
    return session.user
  }

  /** Ends a session: its cookie is worth nothing from now on. Durable on return. */
  end(id: string): Promise<void> {
    return this.#writes.run(async () => {
      const session = this.#byId.get(id)
      if (session === undefined) return
      this.#drop(session)
      await this.#deps.store.transact([removeOwn(PREFIX + id)])
      this.#deps.onChange?.('sessions')
    })
  }

  /** Ends all sessions of everybody. Durable on return. */
  endAll(): Promise<void> {
    return this.#writes.run(async () => {
      const all = [...this.#byId.values()]
      for (const session of all) this.#drop(session)
      for (const part of batches(all, FORGET_AT_ONCE)) {
        await this.#deps.store.transact(part.map(({ id }) => removeOwn(PREFIX + id)))
      }
      this.#deps.onChange?.('sessions')
    })
  }

  /** A clock that was set back does not end sessions. */
  #stands({ user, accountSince, renewals, usedAt }: Kept): boolean {
    if (this.#deps.clock.wall() - usedAt > USER_SESSION_LIMITS.lifeMs) return false
    const account = this.#deps.users.find(user)
    return account?.createdAt === accountSince && account.renewals === renewals
  }

  /** What is lost with a crash is that it was used of late. */
  #renew(before: Kept, now: number): void {
    const next = { ...before, usedAt: now }
    this.#drop(before)
    this.#put(next)
    const work = async (): Promise<void> => {
      if (this.#byId.get(next.id) === next) await this.#deps.store.transact([putOwn(PREFIX + next.id, next)])
    }
    this.#writes.run(work).catch((error: unknown) => {
      this.#deps.log.warn({ error: messageOf(error) }, 'that a session was used could not be kept')
    })
  }

  #put(session: Kept): void {
    this.#byId.set(session.id, session)
    const own = this.#byUser.get(session.user) ?? new Set()
    this.#byUser.set(session.user, own.add(session))
  }

  #drop(session: Kept): void {
    this.#byId.delete(session.id)
    const own = this.#byUser.get(session.user)
    own?.delete(session)
    if (own?.size === 0) this.#byUser.delete(session.user)
  }
}
