import type { PeerIdText } from '../core/ids.ts'
import { BY_RECOVERY } from '../membership/adopted.ts'
import type { Member } from '../membership/member.ts'
import type { ControlStore } from '../store/control-store.ts'
import type { Settled } from './recovery-settle.ts'

const KEY = 'recovery'
const LAST_KEY = 'recovery-last'
const GAPS_MAX = 16

/** How a recovery was begun. `members`: how many must have reported, where an admin said so. */
export interface Begun {
  readonly reason: string
  readonly atMs: number
  /** The state is gone, and who the members are is not known for sure: an admin ends it, or so many reports as one has said. */
  readonly byAdmin: boolean
  readonly members: number | null
  /** The highest numbers of records and member lists that this coordinator knew before. */
  readonly number: number
  readonly listNumber: number
  /** Who became a member again by a certificate, and its number. */
  readonly readmitted: Readonly<Record<PeerIdText, number>>
  /** What had been decided about each peer. */
  readonly decided: Readonly<Record<PeerIdText, string>>
}

/** Numbers of certificates that may have been given out and are not known any more: above `after`, up to `upTo`. */
export interface Gap {
  readonly after: number
  readonly upTo: number
}

/** How a recovery ended. */
export interface Outcome extends Omit<Settled, 'adopted'> {
  readonly reason: string
  /** All members had reported, or an admin did not want to wait for those that are missing. */
  readonly how: 'all' | 'confirmed'
  readonly missing: readonly string[]
  readonly adopted: number
  /** Of the last recoveries, this one among them. */
  readonly gaps: readonly Gap[]
  /** Unix milliseconds. */
  readonly atMs: number
}

/** What outlasts a restart of a recovery, and of the last one. Every change is durable on return. */
export class RecoveryRecord {
  readonly #store: ControlStore

  constructor(store: ControlStore) {
    this.#store = store
  }

  async begun(): Promise<Begun | null> {
    const stored = await this.#store.get(KEY)
    if (stored === null) return null
    const begun = JSON.parse(Buffer.from(stored.value).toString()) as Omit<Begun, 'readmitted' | 'decided'>
    return { readmitted: {}, decided: {}, ...begun }
  }

  async last(): Promise<Outcome | null> {
    const stored = await this.#store.get(LAST_KEY)
    if (stored === null) return null
    const outcome = JSON.parse(Buffer.from(stored.value).toString()) as Omit<Outcome, 'gaps' | 'setAside'>
    return { gaps: [], setAside: [], ...outcome }
  }

  async begin(begun: Begun): Promise<void> {
    await this.#store.put(KEY, Buffer.from(JSON.stringify(begun)), { ifRevision: 'any' })
  }

  async end(outcome: Outcome): Promise<void> {
    await this.#store.transact([
      { kind: 'put', key: LAST_KEY, value: Buffer.from(JSON.stringify(outcome)), ifRevision: 'any' },
      { kind: 'remove', key: KEY, ifRevision: 'any' }
    ])
  }
}

export const decisionsOf = (members: readonly Member[]): Begun['decided'] =>
  Object.fromEntries(members.map((member) => [member.peerId, decisionOf(member)]))

const decisionOf = ({ state, decidedAt }: Member): string => `${state} ${decidedAt ?? ''}`

/** Those of before, and the one that this recovery leaves. */
export const withGap = (last: Outcome | null, gap: Gap): Gap[] => [...(last?.gaps ?? []), gap].slice(-GAPS_MAX)

/** May this coordinator have given out a certificate with this number, and not know any more whether it still counts? */
export const isForgotten = (last: Outcome | null, number: number): boolean =>
  last?.gaps.some(({ after, upTo }) => number > after && number <= upTo) === true

/**
 * Does a member list with this number, which is newer than what this coordinator knew when the recovery began, say
 * nothing about this one? An admin, or the member itself, has decided since; or its certificate is newer than the list.
 */
export function outlivesList(
  { decided, readmitted }: Pick<Begun, 'decided' | 'readmitted'>,
  listNumber: number,
  member: Member
): boolean {
  const { peerId, decidedBy } = member
  const decidedSince = decidedBy !== null && decidedBy !== BY_RECOVERY && decided[peerId] !== decisionOf(member)
  return decidedSince || (readmitted[peerId] ?? 0) > listNumber
}
