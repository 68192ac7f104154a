import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { type Identity, pairingCode } from '../core/identity.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { Mutex } from '../core/mutex.ts'
import { parse } from '../core/parse.ts'
import type { Random } from '../core/random.ts'
import type { Certificate, MemberList } from '../core/records.ts'
import type { Gate } from '../network/host.ts'
import type { ControlChange, ControlStore } from '../store/control-store.ts'
import type { JoinRequest, Standing } from '../wire/membership.ts'
import { adopted, askedAnew, type Origin, readmitted } from './adopted.ts'
import type { Audit } from './audit.ts'
import { loadDocuments, putOwn } from './documents.ts'
import { Invites } from './invites.ts'
import { Issuer } from './issuer.ts'
import { Listeners } from './listeners.ts'
import {
  approved,
  asked,
  checkedName,
  checkNameIsFree,
  denied,
  labelled,
  left,
  type Member,
  memberDocument,
  memberKey,
  memberOf,
  memberSchema,
  REASON_MAX,
  revoked,
  roleStays
} from './member.ts'
import { checkCode } from './pairing.ts'
import { resolveMember } from './resolve.ts'
import { Waiters } from './waiters.ts'

/** Requests that wait for a decision. One more is refused; none is dropped for it. */
export const PENDING_MAX = 1000

/** What changed. `before` is null for a peer that asks for the first time. */
export interface MemberChange {
  readonly member: Member
  readonly before: Member | null
}

export interface RegistryDeps {
  readonly store: ControlStore
  readonly identity: Identity
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly log: Logger
}

/**
 * Who is a member: the coordinator's side. All of it is in memory; every change is durable before it can be seen, and
 * every decision is in the audit log before it is made. Changes happen one after the other.
 *
 * Each change of who is a member makes a new signed member list, its number one higher. A certificate carries the
 * number of the list with which it was made.
 */
export class MemberRegistry implements Gate {
  readonly invites: Invites
  readonly #deps: RegistryDeps
  readonly #writes: Mutex
  readonly #members: Map<PeerIdText, Member>
  readonly #listeners: Listeners<MemberChange>
  readonly #waiters: Waiters
  readonly #issuer: Issuer

  private constructor(
    deps: RegistryDeps,
    loaded: {
      readonly writes: Mutex
      readonly invites: Invites
      readonly members: readonly Member[]
      readonly issuer: Issuer
    }
  ) {
    this.#deps = deps
    this.#writes = loaded.writes
    this.invites = loaded.invites
    this.#members = new Map(loaded.members.map((member) => [member.peerId, member]))
    this.#issuer = loaded.issuer
    this.#listeners = new Listeners(deps.log)
    this.#waiters = new Waiters(deps.clock)
  }

  /** @throws NodeDaemonError `INTEGRITY`, `BAD_SIGNATURE` when what is stored was not written by this coordinator */
  static async open(deps: RegistryDeps): Promise<MemberRegistry> {
    const writes = new Mutex()
    const invites = await Invites.open({ ...deps, writes })
    const members = (await loadDocuments(deps.store, 'member/', memberSchema)).map(memberOf)
    return new MemberRegistry(deps, { writes, invites, members, issuer: await Issuer.open(deps, members) })
  }

  /** Everyone that ever asked and is not forgotten, by the time of asking. */
  members(): readonly Member[] {
    return [...this.#members.values()].sort((a, b) => a.askedAt - b.askedAt || (a.peerId < b.peerId ? -1 : 1))
  }

  get(peer: PeerIdText): Member | null {
    return this.#members.get(peer) ?? null
  }

  /** For the gate. Who was denied or revoked may still ask how it stands, as any stranger may. */
  standing(peer: PeerIdText): 'member' | 'stranger' {
    return this.#members.get(peer)?.state === 'approved' ? 'member' : 'stranger'
  }

  /** The newest signed member list. */
  memberList(): Uint8Array {
    return this.#issuer.list.bytes
  }

  get memberListNumber(): number {
    return this.#issuer.list.number
  }

  /** What a peer is told about itself. Only a member gets the member list. */
  standingOf(peer: PeerIdText): Standing {
    const member = this.#members.get(peer)
    const isMember = member?.state === 'approved'
    return {
      state: member?.state ?? 'unknown',
      name: member?.name ?? '',
      reason: member?.reason ?? '',
      certificate: member?.certificate ?? new Uint8Array(0),
      memberList: isMember ? this.#issuer.list.bytes : new Uint8Array(0),
      clockMs: this.#deps.clock.wall()
    }
  }

  /**
   * A name, a PeerId, or the start of one that only one peer has.
   *
   * @throws NodeDaemonError `NOT_FOUND`, `AMBIGUOUS`
   */
  resolve(text: string): PeerIdText {
    return resolveMember(this.#members.values(), text)
  }

  /**
   * A peer asks to become a member. Asking again changes nothing but the texts of a request that is still pending; who
   * was decided about is just told. With an invite it is approved at once, and one use of the invite is spent in the
   * same transaction. Durable on return.
   *
   * @throws NodeDaemonError `CONFLICT` for another role than the pending request's; `NAME_TAKEN`; `BAD_REQUEST` for an impossible name; `FORBIDDEN` for an invite that is not
   *   valid; `BUSY` with 1,000 requests pending
   */
  join(peer: PeerIdText, request: JoinRequest, address: string): Promise<Standing> {
    return this.#writes.run(async () => {
      const before = this.get(peer)
      if (before === null || before.state === 'pending' || before.state === 'left') {
        await this.#ask(before, peer, request, address)
      }
      return this.standingOf(peer)
    })
  }

  async #ask(before: Member | null, peer: PeerIdText, request: JoinRequest, address: string): Promise<void> {
    const { clock, identity } = this.#deps
    const code = pairingCode(peer, identity.peerId)
    const next = asked(before, { peerId: peer, code, request, address, at: clock.wall() })
    checkNameIsFree(this.#members.values(), peer, next.name)
    if (request.invite !== '' && this.#letsIn(request.invite, next)) return this.#admit(before, next, request.invite)
    if (before?.state === 'pending' && before.role !== next.role) throw roleStays(before)
    if (before?.state !== 'pending' && pendingCount(this.#members.values()) >= PENDING_MAX) throw queueIsFull()
    if (before !== null && JSON.stringify(memberDocument(before)) === JSON.stringify(memberDocument(next))) return
    await this.#deps.store.transact([putOwn(memberKey(peer), memberDocument(next))])
    this.#show({ member: next, before })
  }

  /** A front door gets the keys of all users' cookies: an invite that is meant for a server does not let it in. */
  #letsIn(secret: string, { role }: Member): boolean {
    return this.invites.use(secret).invite.labels.role === role || role === 'instance'
  }

  async #admit(before: Member | null, next: Member, secret: string): Promise<void> {
    const { audit, clock } = this.#deps
    const use = this.invites.use(secret)
    const by = `invite ${use.invite.id}`
    const labels = labelled(next.labels, use.invite.labels)
    const member = approved({ ...next, labels }, next.name, { by, at: clock.wall() })
    const { name, role } = member
    await audit({ actor: by, action: 'peer.approve', target: member.peerId, details: { name, role, labels } })
    await this.#publish(member, before, [use.change])
    use.made()
  }

  /**
   * Makes a peer a member; binds to its key. Approving a member again does nothing, or renames it. Durable on return.
   *
   * @throws NodeDaemonError `NOT_FOUND`; `REFUSED_BY_POLICY` when the code is another; `NAME_TAKEN`; `BAD_REQUEST`;
   *   `ILLEGAL_TRANSITION` when it left
   */
  approve(
    peer: PeerIdText,
    options: { readonly code?: string; readonly name?: string; readonly by: string }
  ): Promise<Member> {
    return this.#writes.run(async () => {
      const before = this.#known(peer)
      if (options.code !== undefined) checkCode(options.code, before)
      const name = options.name === undefined ? before.name : checkedName(options.name.trim())
      if (before.state === 'approved' && before.name === name) return before
      checkNameIsFree(this.#members.values(), peer, name)
      const next = approved(before, name, { by: options.by, at: this.#deps.clock.wall() })
      return this.#decide('peer.approve', before, next, {
        name,
        role: next.role,
        labels: next.labels,
        codeCompared: options.code !== undefined
      })
    })
  }

  /** @throws NodeDaemonError `NOT_FOUND`; `ILLEGAL_TRANSITION` unless it is pending or denied. Durable on return. */
  deny(peer: PeerIdText, reason: string, by: string): Promise<Member> {
    return this.#writes.run(async () => {
      const before = this.#known(peer)
      const text = parse.line(reason, REASON_MAX)
      const next = denied(before, text, { by, at: this.#deps.clock.wall() })
      await this.#record('peer.deny', next, { reason: text })
      await this.#deps.store.transact([putOwn(memberKey(peer), memberDocument(next))])
      this.#show({ member: next, before })
      return next
    })
  }

  /**
   * Ends a membership. Durable on return; a listener then cuts the peer's connections.
   *
   * @throws NodeDaemonError `NOT_FOUND`; `ILLEGAL_TRANSITION` unless it is approved or revoked
   */
  revoke(peer: PeerIdText, reason: string, by: string): Promise<Member> {
    return this.#writes.run(async () => {
      const before = this.#known(peer)
      const text = parse.line(reason, REASON_MAX)
      const next = revoked(before, text, { by, at: this.#deps.clock.wall() })
      if (before.state === 'revoked') return before
      return this.#decide('peer.revoke', before, next, { reason: text })
    })
  }

  /** A member gives up its membership. Doing it again is no error. Durable on return. @throws `NOT_A_MEMBER` */
  resign(peer: PeerIdText): Promise<Member> {
    return this.#writes.run(async () => {
      const before = this.get(peer)
      if (before?.state === 'left') return before
      if (before?.state !== 'approved') throw new NodeDaemonError('NOT_A_MEMBER', `${peer} is not a member`)
      return this.#decide('peer.left', before, left(before, this.#deps.clock.wall()), {})
    })
  }

  /** Sets labels, or takes those away that are null. Durable on return. @throws `NOT_FOUND`, `BAD_REQUEST`, `TOO_LARGE` */
  label(peer: PeerIdText, labels: Readonly<Record<string, string | null>>, by: string): Promise<Member> {
    return this.#writes.run(async () => {
      const before = this.#known(peer)
      const next = { ...before, labels: labelled(before.labels, labels) }
      await this.#deps.audit({ actor: by, action: 'peer.label', target: peer, details: { labels } })
      await this.#deps.store.transact([putOwn(memberKey(peer), memberDocument(next))])
      this.#show({ member: next, before })
      return next
    })
  }

  /**
   * A peer of which this coordinator knows nothing, or only that it asks, and whose certificate it signed once: it is a
   * member again, under the name of before where that is free. Durable on return.
   */
  readmit(certificate: Certificate): Promise<Member> {
    return this.#writes.run(async () => {
      const before = this.get(certificate.peer)
      if (before !== null && before.state !== 'pending') return before
      const next = readmitted(this.#members.values(), certificate, this.#origin())
      await this.#record('peer.readmit', next, { name: next.name, certificate: certificate.number })
      return this.#publish(next, before, [])
    })
  }

  /**
   * A peer that shows a certificate of which it is not known whether it still counted: an admin decides, who reads the
   * reason. Does nothing where one has decided about the peer already. Durable on return.
   *
   * @throws NodeDaemonError `BUSY` with 1,000 requests pending
   */
  askAnew(certificate: Certificate, reason: string): Promise<void> {
    return this.#writes.run(async () => {
      const before = this.get(certificate.peer)
      if (before !== null && (before.state !== 'pending' || before.reason === reason)) return
      if (before === null && pendingCount(this.#members.values()) >= PENDING_MAX) throw queueIsFull()
      const next = askedAnew(this.#members, certificate, reason, this.#origin())
      await this.#deps.store.transact([putOwn(memberKey(next.peerId), memberDocument(next))])
      this.#show({ member: next, before })
    })
  }

  /**
   * The members become those of a list that this coordinator signed and does not know any more; the next list's number
   * is above `above`. Those that are approved here and not on it are revoked. Who `stays` stays as it is here. Durable on
   * return.
   *
   * @returns the members that came, and those that were revoked
   */
  adopt(
    list: MemberList,
    above: number,
    stays: (member: Member) => boolean
  ): Promise<{ readonly came: readonly Member[]; readonly gone: readonly Member[] }> {
    return this.#writes.run(async () => {
      const changes = adopted(this.#members, list, this.#origin(), stays)
      const number = this.#issuer.next(above)
      const came: Member[] = []
      for (const member of changes.came) {
        came.push({ ...member, certificate: await this.#issuer.certificate(member, number) })
      }
      const { gone } = changes
      const all = [...came, ...gone]
      for (const member of all) {
        await this.#record(member.state === 'revoked' ? 'peer.revoke' : 'peer.readmit', member, {
          memberList: list.number
        })
        await this.#deps.store.transact([putOwn(memberKey(member.peerId), memberDocument(member))])
      }
      const members = new Map(this.#members)
      for (const member of all) members.set(member.peerId, member)
      await this.#issuer.publish([...members.values()], [], number)
      for (const member of all) this.#show({ member, before: this.get(member.peerId) })
      return { came, gone }
    })
  }

  #origin(): Origin {
    return { coordinator: this.#deps.identity.peerId, at: this.#deps.clock.wall() }
  }

  /** Resolves once the peer is not pending (any more), or after `ms`; rejects with `ABORTED` by the signal. */
  async wait(peer: PeerIdText, ms: number, signal?: AbortSignal): Promise<void> {
    if (this.get(peer)?.state === 'pending') await this.#waiters.wait(peer, ms, signal)
  }

  /** Calls back after every change, once it is durable. Returns how to stop that. */
  onChange(listener: (change: MemberChange) => void): () => void {
    return this.#listeners.add(listener)
  }

  #known(peer: PeerIdText): Member {
    const member = this.get(peer)
    if (member === null) throw new NodeDaemonError('NOT_FOUND', `there is no peer ${peer}`)
    return member
  }

  async #decide(action: string, before: Member, next: Member, details: Record<string, unknown>): Promise<Member> {
    await this.#record(action, next, details)
    return this.#publish(next, before, [])
  }

  async #record(action: string, next: Member, details: Record<string, unknown>): Promise<void> {
    await this.#deps.audit({ actor: next.decidedBy ?? '', action, target: next.peerId, details })
  }

  /** Makes a change of who is a member durable, with its certificate and the next member list, then visible. */
  async #publish(next: Member, before: Member | null, along: readonly ControlChange[]): Promise<Member> {
    const certificate = next.state === 'approved' ? await this.#issuer.certificate(next) : null
    const member: Member = { ...next, certificate }
    const members = new Map(this.#members).set(member.peerId, member)
    await this.#issuer.publish(
      [...members.values()],
      [putOwn(memberKey(member.peerId), memberDocument(member)), ...along]
    )
    this.#show({ member, before })
    return member
  }

  #show(change: MemberChange): void {
    this.#members.set(change.member.peerId, change.member)
    if (change.member.state !== 'pending') this.#waiters.wake(change.member.peerId)
    this.#listeners.tell(change)
  }
}

const queueIsFull = (): NodeDaemonError =>
  new NodeDaemonError('BUSY', `${PENDING_MAX} instances wait for approval already`, {
    advice: 'try again later, or ask the admin for an invite'
  })

function pendingCount(members: Iterable<Member>): number {
  let count = 0
  for (const { state } of members) if (state === 'pending') count++
  return count
}
