import { z } from 'zod'
import { NodeDaemonError } from '../core/errors.ts'
import { isUserId, type UserId } from '../core/ids.ts'
import { Mutex } from '../core/mutex.ts'
import { loadDocuments, putOwn, removeOwn } from './documents.ts'
import type { AccountDeps } from './token-book.ts'

const PREFIX = 'blocked-guest/'
const GUEST = 'guest:'
const COUNT_MAX = 100_000

const schema = z.object({
  guest: z.custom<UserId>((value) => typeof value === 'string' && isUserId(value) && value.startsWith(GUEST)),
  blockedAt: z.number()
})

/** A guest that is shut out. */
export interface BlockedGuest {
  readonly guest: UserId
  /** Unix milliseconds. */
  readonly blockedAt: number
}

/** The guests that are shut out. Each change is in the audit log, then durable, then visible, one at a time. */
export class BlockedGuests {
  readonly #deps: AccountDeps
  readonly #writes = new Mutex()
  readonly #blocked: Map<UserId, BlockedGuest>

  private constructor(deps: AccountDeps, blocked: readonly BlockedGuest[]) {
    this.#deps = deps
    this.#blocked = new Map(blocked.map((one) => [one.guest, one]))
  }

  static async open(deps: AccountDeps): Promise<BlockedGuests> {
    return new BlockedGuests(deps, await loadDocuments(deps.store, PREFIX, schema))
  }

  has(guest: UserId): boolean {
    return this.#blocked.has(guest)
  }

  list(): readonly BlockedGuest[] {
    return [...this.#blocked.values()]
  }

  /** @throws NodeDaemonError `REFUSED_BY_POLICY` with 100,000 of them */
  block(guest: UserId, by: string): Promise<BlockedGuest> {
    return this.#writes.run(async () => {
      const known = this.#blocked.get(guest)
      if (known !== undefined) return known
      if (this.#blocked.size >= COUNT_MAX) {
        throw new NodeDaemonError('REFUSED_BY_POLICY', `${COUNT_MAX} guests are blocked already, the most there may be`)
      }
      const { audit, store, clock } = this.#deps
      const blocked = { guest, blockedAt: clock.wall() }
      await audit({ actor: by, action: 'guest.block', target: guest, details: {} })
      await store.transact([putOwn(PREFIX + guest, blocked)])
      this.#blocked.set(guest, blocked)
      this.#deps.onChange?.('users')
      return blocked
    })
  }

  /** Does nothing for one that is not blocked. */
  unblock(guest: UserId, by: string): Promise<void> {
    return this.#writes.run(async () => {
      if (!this.#blocked.has(guest)) return
      await this.#deps.audit({ actor: by, action: 'guest.unblock', target: guest, details: {} })
      await this.#deps.store.transact([removeOwn(PREFIX + guest)])
      this.#blocked.delete(guest)
      this.#deps.onChange?.('users')
    })
  }
}
