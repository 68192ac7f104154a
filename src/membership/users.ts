import { z } from 'zod'
import { NodeDaemonError } from '../core/errors.ts'
import type { OwnerId, UserId } from '../core/ids.ts'
import { Mutex } from '../core/mutex.ts'
import { BlockedGuests } from './blocked-guests.ts'
import { type AccountDeps, isAccountName, TokenBook, type TokenHolder } from './token-book.ts'
import { nameFrom, numbered } from './user-names.ts'

/** How a named user came into being: added by an admin, named by the sign-on proxy, or at a sign-in provider. */
const SOURCE = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('token') }),
  z.object({ kind: z.literal('sign-on') }),
  z.object({ kind: z.literal('provider'), provider: z.string(), subject: z.string() })
])
export type UserSource = z.infer<typeof SOURCE>

/** A named user. */
export interface User {
  readonly name: string
  readonly blocked: boolean
  /** What they may hold over all services; null: as everybody. */
  readonly quotaBytes: number | null
  /** Unix milliseconds. */
  readonly createdAt: number
  readonly source: UserSource
  /** How often they got a new token: sessions of before have ended. */
  readonly renewals: number
}

/** Somebody as a sign-in provider knows them. */
export interface ProvidedPerson {
  /** Never changes and is never given to another; 1 to 255 characters. */
  readonly subject: string
  /** What the person is called there; anything. */
  readonly name: string
}

interface KeptUser extends TokenHolder {
  readonly blocked: boolean
  readonly source: UserSource
  readonly quotaBytes: number | null
  readonly renewals: number
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
    source: SOURCE.default({ kind: 'token' }),
    quotaBytes: z.number().nullable().default(null),
    renewals: z.number().default(0)
  })
} as const

const FRESH = { blocked: false, quotaBytes: null, renewals: 0 } as const

const NAMED = 'user:'
const SUBJECT_CHARACTERS_MAX = 255
/** Of one name that several people would like to have. */
const NAMESAKES_MAX = 1000
/** So many removed users are told of as shut out. */
const REMOVED_MAX = 10_000

const idOf = (name: string): UserId => `${NAMED}${name}` as UserId
const viewOf = ({ name, blocked, quotaBytes, createdAt, source, renewals }: KeptUser): User => ({
  name,
  blocked,
  quotaBytes,
  createdAt,
  source,
  renewals
})
const personKey = (provider: string, subject: string): string => `${provider}\n${subject}`

/** The named users of a federation. Every change is durable on return. `by` is who makes it, for the audit log. */
export class Users {
  /** Guests that are shut out. They have no account. */
  readonly guests: BlockedGuests
  readonly #book: TokenBook<KeptUser>
  readonly #byPerson: Map<string, string>
  readonly #arrivals = new Mutex()
  /** By name: every front door is told of them whenever something changes about users. */
  readonly #blocked: ReadonlySet<string>
  readonly #removed = new Set<string>()

  private constructor(book: TokenBook<KeptUser>, blocked: ReadonlySet<string>, guests: BlockedGuests) {
    this.#book = book
    this.guests = guests
    this.#blocked = blocked
    this.#byPerson = new Map(book.list().flatMap(({ name, source }) => personOf(source, name)))
  }

  static async open(deps: AccountDeps): Promise<Users> {
    const blocked = new Set<string>()
    const note = (user: KeptUser, isThere: boolean): void => {
      if (isThere && user.blocked) blocked.add(user.name)
      else blocked.delete(user.name)
    }
    const book = await TokenBook.open(deps, USER, note)
    for (const user of book.list()) note(user, true)
    return new Users(book, blocked, await BlockedGuests.open(deps))
  }

  /**
   * The token is told this once.
   *
   * @throws NodeDaemonError `BAD_USAGE` for a bad name; `NAME_TAKEN`; `REFUSED_BY_POLICY` with 100,000 users
   */
  add(name: string, by: string): Promise<{ name: string; token: string }> {
    return this.#book.add(name, by, (holder) => ({ ...holder, ...FRESH, source: { kind: 'token' } }))
  }

  /**
   * A new token for one who is there, told this once; the one of before does not work any more, and all sessions have ended.
   *
   * @throws NodeDaemonError `NOT_FOUND`
   */
  renewToken(name: string, by: string): Promise<{ name: string; token: string }> {
    return this.#book.renewToken(name, by, (user) => ({ ...user, renewals: user.renewals + 1 }))
  }

  /** Everybody who is shut out, guests too, and who was removed since the start: the last of them, where those are many. */
  blocked(): readonly UserId[] {
    const removed = [...this.#removed].filter((name) => this.#book.get(name) === null)
    const named = [...this.#blocked, ...removed]
    return [...named.map(idOf), ...this.guests.list().map(({ guest }) => guest)]
  }

  list(): readonly User[] {
    return this.#book.list().map(viewOf)
  }

  get count(): number {
    return this.#book.count
  }

  /** Null for a guest, and where there is no such user. */
  find(user: UserId): User | null {
    const kept = user.startsWith(NAMED) ? this.#book.get(user.slice(NAMED.length)) : null
    return kept === null ? null : viewOf(kept)
  }

  /** Takes the token away and ends the sessions; workspaces stay. @throws NodeDaemonError `NOT_FOUND` */
  async remove(name: string, by: string): Promise<void> {
    const source = this.#book.get(name)?.source
    if (source !== undefined) this.#noteRemoved(name)
    await this.#book.remove(name, by)
    if (source?.kind === 'provider') this.#byPerson.delete(personKey(source.provider, source.subject))
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

  /**
   * The user that a trusted sign-on proxy names: one whom an admin added under this name is the same person. Who is not
   * there yet comes into being, and is durable on return; only then it takes a promise. Null: no name for a user, or the
   * name of one who signs in at a provider, and is somebody else.
   *
   * @throws NodeDaemonError `REFUSED_BY_POLICY` with 100,000 users
   */
  bySignOn(name: string): UserId | null | Promise<UserId | null> {
    const lower = name.toLowerCase()
    const known = this.#book.get(lower)
    if (known !== null) return known.source.kind === 'provider' ? null : idOf(lower)
    return isAccountName(lower) ? this.#arrive(lower) : null
  }

  /**
   * The user who is this person at a provider, for ever: told by the subject alone. One who was not here before comes into
   * being, under the name of there, with a number behind it where that name is taken.
   *
   * @param isFree may a new user have this name, as far as others know? Of a removed user the workspaces stay.
   * @throws NodeDaemonError `BAD_REQUEST` the subject is none; `REFUSED_BY_POLICY` with 100,000 users, or no name is free
   */
  async byProvider(provider: string, person: ProvidedPerson, isFree: (user: UserId) => boolean): Promise<User> {
    const { subject } = person
    if (!isSubject(subject)) {
      throw new NodeDaemonError('BAD_REQUEST', `${provider} tells no usable subject of this person`)
    }
    return this.#arrivals.run(async () => {
      const known = this.#book.get(this.#byPerson.get(personKey(provider, subject)) ?? '')
      if (known !== null) return viewOf(known)
      const name = this.#freeName(nameFrom(person.name), isFree)
      return this.#addPerson(name, provider, subject, `sign-in ${provider}`)
    })
  }

  /**
   * A user who is this person at a provider, under a name that an admin says: whose workspaces of before are theirs again.
   *
   * @throws NodeDaemonError `BAD_USAGE` for a bad name or subject; `NAME_TAKEN` the name is taken, or the person is another
   *   user already; `REFUSED_BY_POLICY` with 100,000 users
   */
  addProvided(name: string, provider: string, subject: string, by: string): Promise<User> {
    return this.#arrivals.run(async () => {
      if (!isSubject(subject)) throw new NodeDaemonError('BAD_USAGE', 'a subject has 1 to 255 characters')
      const other = this.#byPerson.get(personKey(provider, subject))
      if (other !== undefined) {
        throw new NodeDaemonError('NAME_TAKEN', `this person of ${provider} is the user ${other}`, {
          advice: `remove that user first: node-daemon users rm ${other}`
        })
      }
      return this.#addPerson(name, provider, subject, by)
    })
  }

  /** Is this user shut out? Who was removed is too. */
  isBlocked(user: UserId): boolean {
    if (!user.startsWith(NAMED)) return this.guests.has(user)
    return this.#book.get(user.slice(NAMED.length))?.blocked !== false
  }

  async #addPerson(name: string, provider: string, subject: string, by: string): Promise<User> {
    const source: UserSource = { kind: 'provider', provider, subject }
    const make = (holder: TokenHolder): KeptUser => ({ ...holder, ...FRESH, source })
    const added = await this.#book.addWithoutToken(name, by, make, { provider, subject })
    this.#byPerson.set(personKey(provider, subject), name)
    return viewOf(added)
  }

  #noteRemoved(name: string): void {
    this.#removed.add(name)
    for (const oldest of this.#removed) {
      if (this.#removed.size <= REMOVED_MAX) return
      this.#removed.delete(oldest)
    }
  }

  #arrive(name: string): Promise<UserId> {
    return this.#arrivals.run(async () => {
      if (this.#book.get(name) === null) {
        const make = (holder: TokenHolder): KeptUser => ({ ...holder, ...FRESH, source: { kind: 'sign-on' } })
        await this.#book.addWithoutToken(name, 'sign-on', make)
      }
      return idOf(name)
    })
  }

  #freeName(wanted: string, isFree: (user: UserId) => boolean): string {
    for (let count = 1; count <= NAMESAKES_MAX; count++) {
      const name = numbered(wanted, count)
      if (this.#book.get(name) === null && isFree(idOf(name))) return name
    }
    throw new NodeDaemonError('REFUSED_BY_POLICY', `${NAMESAKES_MAX} users are called ${wanted} already`)
  }

  #setBlocked(name: string, by: string, blocked: boolean): Promise<KeptUser> {
    return this.#book.update(name, by, blocked ? 'block' : 'unblock', (user) =>
      user.blocked === blocked ? null : { ...user, blocked }
    )
  }
}

const isSubject = (subject: string): boolean => subject !== '' && subject.length <= SUBJECT_CHARACTERS_MAX

const personOf = (source: UserSource, name: string): [string, string][] =>
  source.kind === 'provider' ? [[personKey(source.provider, source.subject), name]] : []
