import type { Clock } from '../core/clock.ts'
import { open, seal } from '../core/envelope.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import { certificateRecord, memberListRecord } from '../core/records.ts'
import type { ControlChange, ControlStore } from '../store/control-store.ts'
import type { Member } from './member.ts'

interface Deps {
  readonly store: ControlStore
  readonly identity: Identity
  readonly clock: Clock
}

/** A signed member list and its number. */
export interface IssuedList {
  readonly number: number
  readonly bytes: Uint8Array
}

const LIST_KEY = 'member-list'

/** Signs certificates and numbered member lists. Its caller makes one change at a time. */
export class Issuer {
  readonly #deps: Deps
  #list: IssuedList

  private constructor(deps: Deps, list: IssuedList) {
    this.#deps = deps
    this.#list = list
  }

  /**
   * Reads the newest list, or makes a first one, durably.
   *
   * @throws NodeDaemonError `BAD_SIGNATURE` when the stored one is not of this coordinator
   */
  static async open(deps: Deps, members: readonly Member[]): Promise<Issuer> {
    const stored = await deps.store.get(LIST_KEY)
    if (stored !== null) {
      const { value } = await open(memberListRecord, stored.value, deps.identity.peerId)
      return new Issuer(deps, { number: value.number, bytes: stored.value })
    }
    const list = await sealList(deps, 1, members)
    await deps.store.put(LIST_KEY, list.bytes, { ifRevision: 0 })
    return new Issuer(deps, list)
  }

  /** The newest list that is durable. */
  get list(): IssuedList {
    return this.#list
  }

  /** The next list's number: above this one's, and above `above`. */
  next(above = 0): number {
    return Math.max(this.#list.number, above) + 1
  }

  /** A certificate with the number of the list that is to come. */
  async certificate(member: Member, number = this.next()): Promise<Uint8Array> {
    const { identity, clock } = this.#deps
    const certificate = {
      federation: identity.peerId,
      peer: member.peerId,
      name: member.name,
      role: member.role,
      number,
      issuedAtMs: clock.wall()
    }
    return (await seal(certificateRecord, certificate, identity)).bytes
  }

  /** Makes changes durable together with the list that follows from them. */
  async publish(members: readonly Member[], along: readonly ControlChange[], number = this.next()): Promise<void> {
    const list = await sealList(this.#deps, number, members)
    const ifRevision = await this.#revision()
    await this.#deps.store.transact([{ kind: 'put', key: LIST_KEY, value: list.bytes, ifRevision }, ...along])
    this.#list = list
  }

  /** No number is given twice, not even where an earlier write failed and it is not known how far it came. */
  async #revision(): Promise<number> {
    const stored = await this.#deps.store.get(LIST_KEY)
    if (stored !== null && Buffer.compare(stored.value, this.#list.bytes) === 0) return stored.revision
    throw new NodeDaemonError('CONFLICT', 'the stored member list is not the one that this coordinator wrote last', {
      advice: 'restart the coordinator, and run only one on this state'
    })
  }
}

async function sealList({ identity, clock }: Deps, number: number, everyone: readonly Member[]): Promise<IssuedList> {
  const members = everyone
    .filter(({ state }) => state === 'approved')
    .map(({ peerId, name, state, role }) => ({ peer: peerId, name, state, role }))
  const list = { federation: identity.peerId, number, issuedAtMs: clock.wall(), members }
  return { number, bytes: (await seal(memberListRecord, list, identity)).bytes }
}
