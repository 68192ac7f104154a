import type { Clock, Instant } from '../../core/clock.ts'
import type { Budget } from './budget.ts'
import { ancestorsOf, type FilePath, isBelow, parentOf } from './path.ts'
import { Refusal } from './refusal.ts'

/** A WebDAV write lock (RFC 4918, section 6). */
export interface HeldLock {
  readonly token: string
  readonly path: FilePath
  readonly user: string
  readonly depth: '0' | 'infinity'
  readonly scope: 'exclusive' | 'shared'
  /** Still being granted: holds nobody off. */
  readonly provisional: boolean
  /** What the client said about its holder, as nephele parsed it. */
  readonly owner: unknown
  readonly expiresAt: Instant
}

/** What a change touches besides the path itself. */
export interface Reach {
  /** Adds an entry to the folder above, or takes one away. */
  readonly membership: boolean
  /** Everything below the path. */
  readonly below: boolean
}

const LOCK_BYTES = 512

/**
 * The locks of one workspace. They live in memory: they keep clients of a home from overwriting each other, and are
 * gone when the workspace moves, after which a client that submits its token is told so with 412.
 */
export class LockTable {
  readonly #clock: Clock
  readonly #budget: Budget
  readonly #byPath = new Map<FilePath, Map<string, HeldLock>>()

  constructor(clock: Clock, budget: Budget) {
    this.#clock = clock
    this.#budget = budget
  }

  get empty(): boolean {
    return this.#byPath.size === 0
  }

  /** The locks on exactly this path, provisional ones too. */
  at(path: FilePath): HeldLock[] {
    const locks = this.#byPath.get(path)
    if (locks === undefined) return []
    for (const lock of [...locks.values()]) if (lock.expiresAt <= this.#clock.now()) this.remove(lock)
    return [...locks.values()]
  }

  /**
   * Keeps a lock, or what has changed of it.
   *
   * @throws Refusal 507 where too much is remembered already
   */
  save(lock: HeldLock): void {
    const locks = this.#byPath.get(lock.path) ?? new Map<string, HeldLock>()
    const before = locks.get(lock.token)
    const growth = bytesOf(lock) - (before === undefined ? 0 : bytesOf(before))
    if (growth > 0 && !this.#budget.take(growth)) throw new Refusal(507, 'there are too many locks; release some')
    if (growth < 0) this.#budget.give(-growth)
    locks.set(lock.token, lock)
    this.#byPath.set(lock.path, locks)
  }

  remove(lock: Pick<HeldLock, 'path' | 'token'>): void {
    const locks = this.#byPath.get(lock.path)
    const held = locks?.get(lock.token)
    if (locks === undefined || held === undefined) return
    locks.delete(lock.token)
    this.#budget.give(bytesOf(held))
    if (locks.size === 0) this.#byPath.delete(lock.path)
  }

  /** Forgets the locks below a path, and with `itself` those on it: what they were on is gone. */
  drop(path: FilePath, itself: boolean): void {
    for (const [locked, locks] of [...this.#byPath]) {
      if (!isBelow(locked, path) && !(itself && locked === path)) continue
      for (const lock of [...locks.values()]) this.remove(lock)
    }
  }

  /** Forgets locks on a path that were not granted in the end. */
  dropProvisional(path: FilePath): void {
    for (const lock of this.at(path)) if (lock.provisional) this.remove(lock)
  }

  /** Forgets what has run out. */
  sweep(): void {
    for (const path of [...this.#byPath.keys()]) this.at(path)
  }

  /** The paths below this one on which there are locks. */
  below(path: FilePath): FilePath[] {
    return [...this.#byPath.keys()].filter((locked) => isBelow(locked, path))
  }

  /** The tokens of the locks in whose scope a path is. */
  tokensOn(path: FilePath): Set<string> {
    return new Set(this.#on(path).map(({ token }) => token))
  }

  /** The lock with this token, if the path is in its scope. */
  find(path: FilePath, token: string): HeldLock | null {
    return this.#on(path).find((lock) => lock.token === token) ?? null
  }

  /**
   * May this user, who submitted these tokens, change what lies at the path?
   *
   * @throws Refusal 423 where a lock is in the way
   */
  require(path: FilePath, reach: Reach, user: string, submitted: ReadonlySet<string>): void {
    if (this.empty) return
    for (const locks of this.#groups(path, reach)) {
      if (locks.some((lock) => lock.user === user && submitted.has(lock.token))) continue
      throw new Refusal(423, 'this is locked by another program, or by another window of yours')
    }
  }

  #on(path: FilePath): HeldLock[] {
    return this.#groups(path, { membership: false, below: false }).flat()
  }

  /** The granted locks that concern a change, one group for each locked path. */
  #groups(path: FilePath, reach: Reach): HeldLock[][] {
    const above = ancestorsOf(path).map((ancestor) => {
      const membership = reach.membership && ancestor === parentOf(path)
      return this.#granted(ancestor).filter((lock) => lock.depth === 'infinity' || membership)
    })
    const below = reach.below ? this.below(path) : []
    const groups = [this.#granted(path), ...above, ...below.map((locked) => this.#granted(locked))]
    return groups.filter((locks) => locks.length > 0)
  }

  #granted(path: FilePath): HeldLock[] {
    return this.at(path).filter((lock) => !lock.provisional)
  }
}

const bytesOf = (lock: HeldLock): number =>
  LOCK_BYTES + lock.path.length * 2 + (JSON.stringify(lock.owner)?.length ?? 0) * 2
