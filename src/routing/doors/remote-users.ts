import { BoundedMap } from '../../core/bounded-map.ts'
import type { Clock, Instant } from '../../core/clock.ts'
import type { UserId } from '../../core/ids.ts'
import { secretHash } from '../../membership/secrets.ts'
import type { DoorQuestion } from '../../wire/front-door.ts'
import type { Users } from '../neighbours.ts'

/** What was looked up counts for so long, unless something changes about users meanwhile. */
const KNOWN_MS = 30_000
const KNOWN_MAX = 10_000

const BLOCKED = 'blocked'
type Found = UserId | typeof BLOCKED | null

/** The users of a federation, as a front door that is a process of its own asks the coordinator for them. */
export class RemoteUsers implements Users {
  readonly #ask: (question: DoorQuestion) => Promise<Found>
  readonly #clock: Clock
  readonly #known = new BoundedMap<string, { readonly found: Found; readonly until: Instant }>(KNOWN_MAX)
  readonly #underWay = new Map<string, Promise<Found>>()
  #blocked = new Set<UserId>()
  #round = 0

  constructor(ask: (question: DoorQuestion) => Promise<Found>, clock: Clock) {
    this.#ask = ask
    this.#clock = clock
  }

  /** Who is blocked, in parts; whatever was looked up before counts no more. */
  tellBlocked(users: readonly UserId[], first: boolean): void {
    this.#blocked = new Set(first ? users : [...this.#blocked, ...users])
    this.#known.clear()
    this.#underWay.clear()
    this.#round += 1
  }

  async byToken(token: string): Promise<{ readonly user: UserId } | 'blocked' | null> {
    const found = await this.#find(`token ${secretHash(token)}`, { kind: 'token', token })
    if (found === null) return null
    return found === BLOCKED ? BLOCKED : { user: found }
  }

  bySession(session: string): Found | Promise<Found> {
    return this.#find(`session ${session}`, { kind: 'session', session })
  }

  async bySignOn(name: string): Promise<UserId | null> {
    const found = await this.#find(`sign-on ${name}`, { kind: 'sign-on', name })
    return found === BLOCKED ? null : found
  }

  isBlocked(user: UserId): boolean {
    return this.#blocked.has(user)
  }

  #find(key: string, question: DoorQuestion): Found | Promise<Found> {
    const known = this.#known.get(key)
    if (known !== undefined && this.#clock.now() < known.until) return known.found
    return this.#underWay.get(key) ?? this.#look(key, question)
  }

  async #look(key: string, question: DoorQuestion): Promise<Found> {
    const round = this.#round
    const asking = this.#ask(question)
    this.#underWay.set(key, asking)
    try {
      const found = await asking
      if (round === this.#round) this.#known.set(key, { found, until: this.#clock.now() + KNOWN_MS })
      return found
    } finally {
      if (this.#underWay.get(key) === asking) this.#underWay.delete(key)
    }
  }
}
