import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Mutex } from '../core/mutex.ts'
import type { Random } from '../core/random.ts'
import type { ControlChange, ControlStore } from '../store/control-store.ts'
import { checkedLabels } from '../wire/membership.ts'
import type { Audit } from './audit.ts'
import { loadDocuments, putOwn, removeOwn } from './documents.ts'
import { newSecret, secretHash } from './secrets.ts'

export const INVITE_LIMITS = {
  invitesMax: 1000,
  usesMax: 1000,
  expiresMsMin: 60_000,
  expiresMsMax: 366 * 24 * 3_600_000
} as const

export interface InviteRequest {
  readonly expiresMs: number
  readonly uses: number
  readonly labels: Readonly<Record<string, string>>
  readonly by: string
}

/** An approval in advance. */
export interface Invite {
  readonly id: string
  /** Unix milliseconds. */
  readonly expiresAt: number
  readonly uses: number
  readonly usesLeft: number
  readonly labels: Readonly<Record<string, string>>
  readonly createdAt: number
  readonly createdBy: string
}

interface KeptInvite extends Invite {
  readonly hash: string
}

/** One use of an invite, not yet made: `change` belongs into the transaction of the approval, `made` behind it. */
export interface InviteUse {
  readonly invite: Invite
  readonly change: ControlChange
  made(): void
}

interface Deps {
  readonly store: ControlStore
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  /** The registry's: creating, using and removing invites happen one after the other. */
  readonly writes: Mutex
}

const PREFIX = 'invite/'
const keyOf = (invite: Invite): string => PREFIX + invite.id

const inviteSchema = z.object({
  id: z.string(),
  hash: z.string(),
  expiresAt: z.number(),
  uses: z.number(),
  usesLeft: z.number(),
  labels: z.record(z.string(), z.string()),
  createdAt: z.number(),
  createdBy: z.string()
})

export class Invites {
  readonly #deps: Deps
  readonly #byHash: Map<string, KeptInvite>

  private constructor(deps: Deps, invites: readonly KeptInvite[]) {
    this.#deps = deps
    this.#byHash = new Map(invites.map((invite) => [invite.hash, invite]))
  }

  static async open(deps: Deps): Promise<Invites> {
    return new Invites(deps, await loadDocuments(deps.store, PREFIX, inviteSchema))
  }

  /**
   * Durable on return. The secret (256 bits) is told this once; its hash is kept. Forgets invites that have expired.
   *
   * @throws NodeDaemonError `BAD_REQUEST` for a duration, a number of uses or labels out of bounds; `BUSY` with 1,000
   *   invites open
   */
  create(request: InviteRequest): Promise<{ id: string; secret: string; expiresAt: number; uses: number }> {
    return this.#deps.writes.run(async () => {
      const { clock, random, audit, store } = this.#deps
      checkBounds(request)
      const expired = [...this.#byHash.values()].filter((invite) => !this.#isOpen(invite))
      if (this.#byHash.size - expired.length >= INVITE_LIMITS.invitesMax) throw tooMany()
      const secret = newSecret(random)
      const now = clock.wall()
      const invite: KeptInvite = {
        id: Buffer.from(random.bytes(8)).toString('hex'),
        hash: secretHash(secret),
        expiresAt: now + request.expiresMs,
        uses: request.uses,
        usesLeft: request.uses,
        labels: checkedLabels(new Map(Object.entries(request.labels))),
        createdAt: now,
        createdBy: request.by
      }
      const { id, expiresAt, uses, labels } = invite
      await audit({
        actor: request.by,
        action: 'invite.create',
        target: id,
        details: { expiresAt, uses, labels }
      })
      await store.transact([putOwn(keyOf(invite), invite), ...expired.map((old) => removeOwn(keyOf(old)))])
      for (const old of expired) this.#byHash.delete(old.hash)
      this.#byHash.set(invite.hash, invite)
      return { id, secret, expiresAt, uses }
    })
  }

  /** Those that can still be used, oldest first. */
  list(): readonly Invite[] {
    return [...this.#byHash.values()]
      .filter((invite) => this.#isOpen(invite))
      .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
      .map(({ hash: _, ...invite }) => invite)
  }

  /** @throws NodeDaemonError `NOT_FOUND` */
  remove(id: string, by: string): Promise<void> {
    return this.#deps.writes.run(async () => {
      const invite = [...this.#byHash.values()].find((one) => one.id === id)
      if (invite === undefined) throw new NodeDaemonError('NOT_FOUND', `there is no invite "${id.slice(0, 40)}"`)
      await this.#deps.audit({ actor: by, action: 'invite.remove', target: id, details: {} })
      await this.#deps.store.transact([removeOwn(keyOf(invite))])
      this.#byHash.delete(invite.hash)
    })
  }

  /**
   * Only to be called inside `writes`, so that no use is spent twice. An invite that is used up is forgotten.
   *
   * @throws NodeDaemonError `FORBIDDEN` when no open invite has this secret
   */
  use(secret: string): InviteUse {
    const invite = this.#byHash.get(secretHash(secret))
    if (invite === undefined || !this.#isOpen(invite)) {
      throw new NodeDaemonError('FORBIDDEN', 'this invite is not valid: it has expired, was used up or was withdrawn')
    }
    const next = { ...invite, usesLeft: invite.usesLeft - 1 }
    const spent = next.usesLeft <= 0
    return {
      invite,
      change: spent ? removeOwn(keyOf(invite)) : putOwn(keyOf(invite), next),
      made: () => {
        if (spent) this.#byHash.delete(invite.hash)
        else this.#byHash.set(invite.hash, next)
      }
    }
  }

  #isOpen(invite: KeptInvite): boolean {
    return invite.usesLeft > 0 && this.#deps.clock.wall() < invite.expiresAt
  }
}

function checkBounds({ expiresMs, uses }: InviteRequest): void {
  const { expiresMsMin, expiresMsMax, usesMax } = INVITE_LIMITS
  if (!(expiresMs >= expiresMsMin && expiresMs <= expiresMsMax)) {
    throw new NodeDaemonError('BAD_REQUEST', 'an invite is open for one minute at least, and for 366 days at most')
  }
  if (!Number.isInteger(uses) || uses < 1 || uses > usesMax) {
    throw new NodeDaemonError('BAD_REQUEST', `an invite can be used 1 to ${usesMax} times`)
  }
}

const tooMany = (): NodeDaemonError =>
  new NodeDaemonError('BUSY', `there are ${INVITE_LIMITS.invitesMax} open invites already`, {
    advice: 'remove some of them first'
  })
