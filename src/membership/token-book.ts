import type { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { Mutex } from '../core/mutex.ts'
import { parse } from '../core/parse.ts'
import type { Random } from '../core/random.ts'
import type { ControlStore } from '../store/control-store.ts'
import type { Audit } from './audit.ts'
import { loadDocuments, putOwn, removeOwn } from './documents.ts'
import { newSecret, secretHash } from './secrets.ts'

export interface AccountDeps {
  readonly store: ControlStore
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  /** Called after a change that others may have looked up: who is blocked, whose token counts, whose session lasts. */
  readonly onChange?: (what: 'users' | 'sessions') => void
}

/** Somebody with a name and a token, of which only the hash is kept. */
export interface TokenHolder {
  readonly name: string
  /** Empty for one who has no token. */
  readonly hash: string
  /** Unix milliseconds. */
  readonly createdAt: number
}

interface Kind<T> {
  /** Where they stand in the control store. */
  readonly prefix: string
  readonly tokenPrefix: string
  readonly schema: z.ZodType<T>
  /** What one of them is called in messages and in the audit log. */
  readonly word: string
  readonly countMax: number
}

type OnKept<T> = (holder: T, isThere: boolean) => void

const ACCOUNT_NAME = /^[a-z0-9][a-z0-9._@-]{0,63}$/

export const isAccountName = (name: string): boolean => ACCOUNT_NAME.test(name)

/** Named holders of tokens. All in memory; every change is in the audit log, then durable, then visible, one at a time. */
export class TokenBook<T extends TokenHolder> {
  readonly #deps: AccountDeps
  readonly #kind: Kind<T>
  readonly #onKept: OnKept<T>
  readonly #writes = new Mutex()
  readonly #byName: Map<string, T>
  readonly #byHash: Map<string, T>

  private constructor(deps: AccountDeps, kind: Kind<T>, holders: readonly T[], onKept: OnKept<T>) {
    this.#deps = deps
    this.#onKept = onKept
    this.#kind = kind
    this.#byName = new Map(holders.map((holder) => [holder.name, holder]))
    this.#byHash = new Map(holders.filter(({ hash }) => hash !== '').map((holder) => [holder.hash, holder]))
  }

  /** @param onKept called with each change before others hear of it; `isThere`: not removed */
  static async open<T extends TokenHolder>(
    deps: AccountDeps,
    kind: Kind<T>,
    onKept: OnKept<T> = () => undefined
  ): Promise<TokenBook<T>> {
    return new TokenBook(deps, kind, await loadDocuments(deps.store, kind.prefix, kind.schema), onKept)
  }

  /** By name. */
  list(): readonly T[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  get count(): number {
    return this.#byName.size
  }

  get(name: string): T | null {
    return this.#byName.get(name) ?? null
  }

  byToken(token: string): T | null {
    return this.#byHash.get(secretHash(token)) ?? null
  }

  /** @throws NodeDaemonError `BAD_USAGE` for a bad name; `NAME_TAKEN`; `REFUSED_BY_POLICY` when there are too many */
  add(
    name: string,
    by: string,
    make: (holder: TokenHolder) => T,
    details: Readonly<Record<string, unknown>> = {}
  ): Promise<{ name: string; token: string }> {
    return this.#writes.run(async () => {
      const token = newSecret(this.#deps.random, this.#kind.tokenPrefix)
      await this.#add(name, secretHash(token), by, make, details)
      return { name, token }
    })
  }

  /** One who has no token. Same errors as `add`. */
  addWithoutToken(
    name: string,
    by: string,
    make: (holder: TokenHolder) => T,
    details: Readonly<Record<string, unknown>> = {}
  ): Promise<T> {
    return this.#writes.run(() => this.#add(name, '', by, make, details))
  }

  /**
   * A new token, told this once; the one of before is not known any more. `change` is kept with it.
   *
   * @throws NodeDaemonError `NOT_FOUND`
   */
  renewToken(
    name: string,
    by: string,
    change: (holder: T) => T = (holder) => holder
  ): Promise<{ name: string; token: string }> {
    return this.#writes.run(async () => {
      const before = this.#known(name)
      const token = newSecret(this.#deps.random, this.#kind.tokenPrefix)
      await this.#record(by, 'token', name, {})
      await this.#keep({ ...change(before), hash: secretHash(token) })
      return { name, token }
    })
  }

  /** `change` may throw to refuse; null leaves everything as it is. @throws NodeDaemonError `NOT_FOUND` */
  update(
    name: string,
    by: string,
    action: string,
    change: (holder: T) => T | null,
    details: Readonly<Record<string, unknown>> = {}
  ): Promise<T> {
    return this.#writes.run(async () => {
      const before = this.#known(name)
      const next = change(before)
      if (next === null) return before
      await this.#record(by, action, name, details)
      await this.#keep(next)
      return next
    })
  }

  /** `check` may throw to refuse. @throws NodeDaemonError `NOT_FOUND` */
  remove(name: string, by: string, check: (holder: T) => void = () => undefined): Promise<void> {
    return this.#writes.run(async () => {
      const holder = this.#known(name)
      check(holder)
      await this.#record(by, 'remove', name, {})
      await this.#deps.store.transact([removeOwn(this.#kind.prefix + name)])
      this.#byName.delete(name)
      this.#byHash.delete(holder.hash)
      this.#onKept(holder, false)
      this.#deps.onChange?.('users')
    })
  }

  async #add(
    name: string,
    hash: string,
    by: string,
    make: (holder: TokenHolder) => T,
    details: Readonly<Record<string, unknown>>
  ): Promise<T> {
    this.#checkNew(name)
    const holder = make({ name, hash, createdAt: this.#deps.clock.wall() })
    await this.#record(by, 'add', name, details)
    await this.#keep(holder)
    return holder
  }

  async #keep(holder: T): Promise<void> {
    await this.#deps.store.transact([putOwn(this.#kind.prefix + holder.name, holder)])
    const before = this.#byName.get(holder.name)
    if (before !== undefined && before.hash !== holder.hash) this.#byHash.delete(before.hash)
    this.#byName.set(holder.name, holder)
    if (holder.hash !== '') this.#byHash.set(holder.hash, holder)
    this.#onKept(holder, true)
    this.#deps.onChange?.('users')
  }

  async #record(by: string, action: string, name: string, details: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#deps.audit({ actor: by, action: `${this.#kind.word}.${action}`, target: name, details })
  }

  #known(name: string): T {
    const holder = this.get(name)
    if (holder === null)
      throw new NodeDaemonError('NOT_FOUND', `there is no ${this.#kind.word} "${parse.line(name, 80)}"`, {
        advice: `see: node-daemon ${this.#kind.word}s ls`
      })
    return holder
  }

  #checkNew(name: string): void {
    const { word, countMax } = this.#kind
    if (!isAccountName(name)) {
      throw new NodeDaemonError('BAD_USAGE', `"${parse.line(name, 80)}" cannot be the name of a ${word}`, {
        advice: 'use 1 to 64 of a-z 0-9 . _ @ - and begin with a letter or digit'
      })
    }
    if (this.#byName.has(name))
      throw new NodeDaemonError('NAME_TAKEN', `there is a ${word} "${name}" already`, {
        advice: `see: node-daemon ${word}s ls`
      })
    if (this.#byName.size >= countMax) {
      throw new NodeDaemonError(
        'REFUSED_BY_POLICY',
        `there are ${countMax} of the kind ${word} already, the most there may be`
      )
    }
  }
}
