import { open } from '../core/envelope.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { KeyValue } from '../core/key-value.ts'
import { type MemberList, memberListRecord } from '../core/records.ts'

const KEY = 'member-list-number'

/** The members, as the coordinator's newest signed list names them. An older list than one already seen is refused. */
export class KnownMembers {
  readonly #state: KeyValue
  readonly #coordinator: PeerIdText
  #number: number
  #members: MemberList['members'] = []

  private constructor(state: KeyValue, coordinator: PeerIdText, number: number) {
    this.#state = state
    this.#coordinator = coordinator
    this.#number = number
  }

  static async open(state: KeyValue, coordinator: PeerIdText): Promise<KnownMembers> {
    const stored = await state.get(KEY)
    return new KnownMembers(state, coordinator, stored === null ? 0 : Number(Buffer.from(stored).toString()))
  }

  /** The highest number seen. */
  get number(): number {
    return this.#number
  }

  /** Those of the newest list; none before the first that this process has seen. */
  peers(): PeerIdText[] {
    return this.#members.map(({ peer }) => peer)
  }

  /** Durable on return. @throws NodeDaemonError `BAD_SIGNATURE`, `ROLLBACK` */
  async note(bytes: Uint8Array): Promise<void> {
    const { value } = await open(memberListRecord, bytes, this.#coordinator)
    if (value.number < this.#number) {
      throw new NodeDaemonError('ROLLBACK', `member list ${value.number} is older than ${this.#number}, already seen`, {
        advice: 'the coordinator may have been restored from an old backup: tell its admin'
      })
    }
    this.#number = value.number
    this.#members = value.members
    await this.#state.write({ put: [[KEY, Buffer.from(String(value.number))]] }, { durable: true })
  }

  /** By name, PeerId or the start of one. @throws NodeDaemonError `NOT_FOUND`, `AMBIGUOUS` */
  resolve(text: string): PeerIdText {
    const named = this.#members.find(({ name, peer }) => peer === text || name.toLowerCase() === text.toLowerCase())
    if (named !== undefined) return named.peer
    const [first, ...others] = this.#members.filter(({ peer }) => text !== '' && peer.startsWith(text))
    if (first === undefined) throw new NodeDaemonError('NOT_FOUND', `there is no member "${text}"`)
    if (others.length > 0) throw new NodeDaemonError('AMBIGUOUS', `several members begin with "${text}"`)
    return first.peer
  }
}
