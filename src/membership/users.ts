import { z } from 'zod'
import type { OwnerId, UserId } from '../core/ids.ts'
import { type AccountDeps, TokenBook, type TokenHolder } from './token-book.ts'

/** A named user. */
export interface User {
  readonly name: string
  readonly blocked: boolean
  /** What they may hold over all services; null: as everybody. */
  readonly quotaBytes: number | null
  /** Unix milliseconds. */
  readonly createdAt: number
}

interface KeptUser extends TokenHolder {
  readonly blocked: boolean
  readonly quotaBytes: number | null
}

const USER = {
  prefix: 'user/',
  tokenPrefix: 'ndu_',
  word: 'user',
  countMax: 100_000,
  schema: z.object({
    name: z.string(),
    hash: z.string(),
    createdAt: z.number(),
    blocked: z.boolean(),
    quotaBytes: z.number().nullable().default(null)
  })
} as const

const NAMED = 'user:'
const idOf = (name: string): UserId => `${NAMED}${name}` as UserId
const viewOf = ({ name, blocked, quotaBytes, createdAt }: KeptUser): User => ({
  name,
  blocked,
  quotaBytes,
  createdAt
})

/** The named users of a federation. Every change is durable on return. `by` is who makes it, for the audit log. */
export class Users {
  readonly #book: TokenBook<KeptUser>

  private constructor(book: TokenBook<KeptUser>) {
    this.#book = book
  }

  static async open(deps: AccountDeps): Promise<Users> {
    return new Users(await TokenBook.open(deps, USER))
  }

  /**
   * The token is told this once.
   *
   * @throws NodeDaemonError `BAD_USAGE` for a bad name; `NAME_TAKEN`; `REFUSED_BY_POLICY` with 100,000 users
   */
  add(name: string, by: string): Promise<{ name: string; token: string }> {
    return this.#book.add(name, by, (holder) => ({ ...holder, blocked: false, quotaBytes: null }))
  }

  list(): readonly User[] {
    return this.#book.list().map(viewOf)
  }

  get count(): number {
    return this.#book.count
  }

  /** Takes the token away; workspaces stay. @throws NodeDaemonError `NOT_FOUND` */
  remove(name: string, by: string): Promise<void> {
    return this.#book.remove(name, by)
  }

  /** @throws NodeDaemonError `NOT_FOUND` */
  async block(name: string, by: string): Promise<User> {
    return viewOf(await this.#setBlocked(name, by, true))
  }

  /** @throws NodeDaemonError `NOT_FOUND` */
  async unblock(name: string, by: string): Promise<User> {
    return viewOf(await this.#setBlocked(name, by, false))
  }

  /** @param bytes what the user may hold over all services; null: as everybody. @throws NodeDaemonError `NOT_FOUND` */
  async setQuota(name: string, bytes: number | null, by: string): Promise<User> {
    const change = (user: KeptUser): KeptUser | null =>
      user.quotaBytes === bytes ? null : { ...user, quotaBytes: bytes }
    return viewOf(await this.#book.update(name, by, 'quota', change, { bytes }))
  }

  /** What an admin said that the user may hold, in bytes; null: nothing. */
  quotaOf(user: OwnerId): number | null {
    return user.startsWith(NAMED) ? (this.#book.get(user.slice(NAMED.length))?.quotaBytes ?? null) : null
  }

  /** Whose token this is; null where it is nobody's. */
  byToken(token: string): { readonly user: UserId } | 'blocked' | null {
    const user = this.#book.byToken(token)
    if (user === null) return null
    return user.blocked ? 'blocked' : { user: idOf(user.name) }
  }

  isBlocked(user: UserId): boolean {
    return user.startsWith(NAMED) && this.#book.get(user.slice(NAMED.length))?.blocked === true
  }

  #setBlocked(name: string, by: string, blocked: boolean): Promise<KeptUser> {
    return this.#book.update(name, by, blocked ? 'block' : 'unblock', (user) =>
      user.blocked === blocked ? null : { ...user, blocked }
    )
  }
}
