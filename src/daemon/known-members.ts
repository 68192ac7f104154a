import { open, type RecordType, type Signed } from '../core/envelope.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { KeyValue } from '../core/key-value.ts'
import { certificateRecord, type MemberList, memberListRecord } from '../core/records.ts'

const LIST_KEY = 'member-list'
const CERTIFICATE_KEY = 'certificate'
/** The first version kept the number of the newest list, and not the list. */
const NUMBER_KEY = 'member-list-number'

/** All that is kept here of one federation. */
export const MEMBER_KEYS = [LIST_KEY, CERTIFICATE_KEY, NUMBER_KEY] as const

async function signedBy<T>(
  coordinator: PeerIdText,
  type: RecordType<T>,
  bytes: Uint8Array | null
): Promise<Signed<T> | null> {
  if (bytes === null) return null
  const signed = await open(type, bytes)
  return signed.signer === coordinator ? signed : null
}

const numberIn = (bytes: Uint8Array | null): number => (bytes === null ? 0 : Number(Buffer.from(bytes).toString()))

/**
 * The members, as the coordinator's newest signed list names them, and the certificate of this instance. They are kept
 * as they were signed: a coordinator that has lost its state learns from them what it knew.
 */
export class KnownMembers {
  readonly #state: KeyValue
  readonly #coordinator: PeerIdText
  #number = 0
  #list: Uint8Array | null = null
  #members: MemberList['members'] = []
  #certificate: Uint8Array | null = null

  private constructor(state: KeyValue, coordinator: PeerIdText) {
    this.#state = state
    this.#coordinator = coordinator
  }

  /**
   * What another coordinator has signed counts for nothing here.
   *
   * @throws NodeDaemonError `BAD_SIGNATURE` what is kept does not verify
   */
  static async open(state: KeyValue, coordinator: PeerIdText): Promise<KnownMembers> {
    const list = await signedBy(coordinator, memberListRecord, await state.get(LIST_KEY))
    const certificate = await signedBy(coordinator, certificateRecord, await state.get(CERTIFICATE_KEY))
    const known = new KnownMembers(state, coordinator)
    known.#certificate = certificate?.bytes ?? null
    if (list !== null) known.#take(list.bytes, list.value)
    else if ((await state.get(LIST_KEY)) === null) known.#number = numberIn(await state.get(NUMBER_KEY))
    return known
  }

  /** The highest number seen. */
  get number(): number {
    return this.#number
  }

  /** Those of the newest list; none before the first. */
  peers(): PeerIdText[] {
    return this.#members.map(({ peer }) => peer)
  }

  /** Those of them that are front doors. */
  doors(): PeerIdText[] {
    return this.#members.filter(({ role }) => role === 'front-door').map(({ peer }) => peer)
  }

  /** The newest list, signed; null before the first. */
  get list(): Uint8Array | null {
    return this.#list
  }

  /** Signed; null before the first. */
  get certificate(): Uint8Array | null {
    return this.#certificate
  }

  /**
   * Durable on return. False where a newer list was seen already: then that one stays.
   *
   * @throws NodeDaemonError `BAD_SIGNATURE`
   */
  async note(bytes: Uint8Array): Promise<boolean> {
    const { value } = await open(memberListRecord, bytes, this.#coordinator)
    if (value.number < this.#number) return false
    this.#take(bytes, value)
    await this.#state.write({ put: [[LIST_KEY, bytes]] }, { durable: true })
    return true
  }

  /** An older one than that which is kept is left aside. Durable on return. @throws NodeDaemonError `BAD_SIGNATURE` */
  async noteCertificate(bytes: Uint8Array): Promise<void> {
    const { value } = await open(certificateRecord, bytes, this.#coordinator)
    const kept = this.#certificate === null ? null : await open(certificateRecord, this.#certificate, this.#coordinator)
    if (kept !== null && kept.value.number >= value.number) return
    this.#certificate = bytes
    await this.#state.write({ put: [[CERTIFICATE_KEY, bytes]] }, { durable: true })
  }

  #take(bytes: Uint8Array, { number, members }: MemberList): void {
    this.#number = number
    this.#list = bytes
    this.#members = members
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
