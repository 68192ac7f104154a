import type { Clock } from '../core/clock.ts'
import { open } from '../core/envelope.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { Mutex } from '../core/mutex.ts'
import { type Certificate, certificateRecord, type MemberList } from '../core/records.ts'
import type { Audit } from '../membership/audit.ts'
import type { Member } from '../membership/member.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import type { ControlStore } from '../store/control-store.ts'
import type { MainRepository } from '../store/repository.ts'
import type { Hello } from '../wire/control.ts'
import { knows } from '../wire/revision.ts'
import { type Asked, askReport, type MemberReport } from './ask-report.ts'
import { LateHeads } from './late-heads.ts'
import type { LostHeads } from './lost-heads.ts'
import type { OwnershipTable } from './ownership-table.ts'
import type { PromotionHold } from './promotion-hold.ts'
import { headsBeyond, looksNewer, proofIn, repositoryProof } from './recovery-proof.ts'
import {
  type Begun,
  decisionsOf,
  isForgotten,
  type Outcome,
  outlivesList,
  RecoveryRecord,
  withGap
} from './recovery-record.ts'
import { LEAP, noteWhereLost, settleRecovery } from './recovery-settle.ts'
import type { RegainDeps } from './regain.ts'
import { Testimony } from './testimony.ts'

const AGAIN_MS = 5000
const TOO_OLD = ' (too old to report: upgrade it)'
const ASK_AGAIN_MS = 1000
const ASK_AGAIN_MAX_MS = 30_000

/** For people: what is waited for. */
export interface RecoveryView {
  readonly reason: string
  readonly reported: readonly string[]
  readonly awaited: readonly string[]
}

/** An instance that is connected. */
export interface Present extends Asked {
  readonly hello: Hello
}

export interface RecoveryDeps extends RegainDeps {
  readonly store: ControlStore
  readonly table: OwnershipTable
  readonly registry: Pick<MemberRegistry, 'members' | 'get' | 'adopt' | 'readmit' | 'askAnew' | 'memberListNumber'>
  readonly repository: MainRepository
  readonly lost: LostHeads
  readonly hold: PromotionHold
  readonly identity: Identity
  readonly sessions: () => readonly Present[]
  /** Everybody who is connected is to be told anew what it is home and standby of, above all of these workspaces. */
  readonly onEnded: (adopted: readonly WorkspaceId[]) => void
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Logger
  readonly signal: AbortSignal
}

interface Open extends Omit<Begun, 'readmitted'> {
  readmitted: Begun['readmitted']
  readonly testimony: Testimony
  readonly reported: Set<PeerIdText>
  /** Of the newest list that was adopted, as it was when it was given out. */
  adoptedList: number
}

/**
 * A coordinator whose state is older than what it has signed: it was restored from a backup, or its state is gone. That
 * shows in its own signatures, which members hold. Until all members have reported them, or an admin says so, nothing is
 * promoted and nobody is told to serve. Then it knows again who writes what, and goes on far above every number and epoch
 * that was given out.
 *
 *   (closed) ─proof─▶ open ─all reported | confirmed─▶ settling ─▶ (closed)
 *                      ▲                                   │
 *                      └──────────── tried again ◀─────────┘
 */
export class Recovery {
  readonly #deps: RecoveryDeps
  readonly #work = new Mutex()
  readonly #record: RecoveryRecord
  readonly #late: LateHeads
  #open: Open | null = null
  #last: Outcome | null = null
  /** Whose report has begun a recovery since this process started: one is all that a state that went back takes. */
  readonly #begunBy = new Set<PeerIdText>()

  private constructor(deps: RecoveryDeps) {
    this.#deps = deps
    this.#record = new RecoveryRecord(deps.store)
    this.#late = new LateHeads(deps)
    deps.hold.onChange(() => {
      if (this.#open === null || deps.hold.holds('old-backup')) return
      // Confirmed by an admin. Nothing is promoted before what was reported is settled.
      deps.hold.hold('old-backup', 'what instances have reported is being written down')
      this.#settleSoon('confirmed')
    })
  }

  /** Goes on with a recovery that a stop broke off. `byAdmin`: begins one. */
  static async open(deps: RecoveryDeps, byAdmin: { readonly members: number | null } | null): Promise<Recovery> {
    const recovery = new Recovery(deps)
    recovery.#last = await recovery.#record.last()
    const stored = await recovery.#record.begun()
    if (stored !== null) recovery.#enter(stored)
    if (byAdmin !== null) {
      const reason = 'an admin said that the state of this coordinator is gone'
      await recovery.#begin(reason, byAdmin)
    } else {
      const proof = stored === null ? await repositoryProof(deps) : null
      if (proof !== null) await recovery.#begin(proof)
    }
    return recovery
  }

  get isOpen(): boolean {
    return this.#open !== null
  }

  view(): RecoveryView | null {
    const open = this.#open
    if (open === null) return null
    const members = this.#members()
    const old = new Set(this.#deps.sessions().flatMap(({ peer, hello }) => (knows(hello, 'report') ? [] : [peer])))
    const nameOf = (peer: PeerIdText): string => `${this.#nameOf(peer)}${old.has(peer) ? TOO_OLD : ''}`
    const names = (peers: readonly PeerIdText[]): string[] => peers.map(nameOf).sort()
    return {
      reason: open.reason,
      reported: names([...open.reported]),
      awaited: names(members.filter((peer) => !open.reported.has(peer)))
    }
  }

  /** How the last one ended; null where there was none. */
  get last(): Outcome | null {
    return this.#last
  }

  /**
   * An instance has connected. Where its report is needed and fails, it is asked again as long as it is connected.
   *
   * @returns true where it is told nothing for now: when the recovery ends, everybody is
   */
  async met(instance: Present): Promise<boolean> {
    if (this.#open === null && !(await looksNewer(this.#deps, instance.hello))) {
      if (this.#deps.lost.count > 0) void this.#fetchLost()
      return false
    }
    return this.#ask(instance, ASK_AGAIN_MS)
  }

  /** Never rejects. False where nothing has to wait for its report. */
  async #ask(instance: Present, againMs: number): Promise<boolean> {
    if (!knows(instance.hello, 'report')) return this.#cannotReport(instance.peer)
    try {
      return await this.#heard(await askReport(instance, this.#deps.identity.peerId))
    } catch (error) {
      const { peer } = instance
      this.#deps.log.warn({ peer, againMs, error: messageOf(error) }, 'an instance did not report, and is asked again')
      this.#deps.clock.after(againMs, () => {
        if (!this.#deps.signal.aborted && this.#isAwaited(instance)) {
          void this.#ask(instance, Math.min(2 * againMs, ASK_AGAIN_MAX_MS))
        }
      })
      return this.#open !== null
    }
  }

  #isAwaited(instance: Present): boolean {
    return this.#deps.sessions().includes(instance) && this.#open?.reported.has(instance.peer) !== true
  }

  async #heard(report: MemberReport): Promise<boolean> {
    const isAwaited = await this.#work.run(async () => {
      if (this.#open === null) {
        const mayBegin = !this.#begunBy.has(report.peer)
        const reason = mayBegin ? await proofIn(this.#deps, report, this.#nameOf(report.peer)) : null
        if (reason === null) {
          for (const held of await headsBeyond(this.#deps, report)) await noteWhereLost(this.#deps, held)
          return false
        }
        this.#begunBy.add(report.peer)
        await this.#begin(reason, null, report.peer)
      }
      await this.#note(report)
      return true
    })
    if (!isAwaited) {
      if (this.#deps.lost.count > 0) void this.#fetchLost()
      void this.#late.keep(report)
    }
    return isAwaited
  }

  /** A version that does not know the order would end its connection over it. It is awaited until it is upgraded. */
  #cannotReport(peer: PeerIdText): boolean {
    this.#deps.log.warn({ peer }, 'an instance is too old to report what this coordinator has signed: upgrade it')
    this.#tell()
    return this.#open !== null
  }

  /**
   * A peer that is unknown here shows a certificate. It is a member again where that proves that this coordinator has
   * forgotten something. After a recovery that did not learn of it, an admin decides.
   *
   * @throws NodeDaemonError `BAD_SIGNATURE` it is not this coordinator's, or not for this peer
   */
  async presented(peer: PeerIdText, bytes: Uint8Array): Promise<void> {
    const { identity, registry } = this.#deps
    const { value } = await open(certificateRecord, bytes, identity.peerId)
    if (value.peer !== peer || value.federation !== identity.peerId) {
      throw new NodeDaemonError('BAD_SIGNATURE', 'this certificate is for somebody else')
    }
    await this.#work.run(async () => {
      const known = registry.get(peer)
      if (known !== null && known.state !== 'pending') return
      const isProof = value.number > registry.memberListNumber
      if (this.#open === null && !isProof) return this.#cameLate(value)
      const list = this.#open?.testimony.memberList?.value ?? null
      if (list !== null && list.number >= value.number && !list.members.some((member) => member.peer === peer)) return
      if (this.#open === null) {
        const reason = `${value.name} holds a certificate that this coordinator signed and does not know`
        await this.#begin(reason)
      }
      await this.#readmit(value)
      this.#tell()
    })
  }

  async #cameLate(certificate: Certificate): Promise<void> {
    if (!isForgotten(this.#last, certificate.number)) return
    const reason = 'its certificate is of a time that this coordinator has forgotten, and may not have counted any more'
    await this.#deps.registry.askAnew(certificate, reason)
  }

  async #readmit(certificate: Certificate): Promise<void> {
    const open = this.#open
    if (open === null) return
    const { testimony, reported, adoptedList, ...begun } = open
    const readmitted = { ...begun.readmitted, [certificate.peer]: certificate.number }
    await this.#record.begin({ ...begun, readmitted })
    open.readmitted = readmitted
    await this.#deps.registry.readmit(certificate)
  }

  /** `told`: an instance whose report is here already. */
  async #begin(
    reason: string,
    byAdmin: { readonly members: number | null } | null = null,
    told: PeerIdText | null = null
  ): Promise<void> {
    if (this.#open !== null) return
    const { table, registry, audit, clock, log } = this.#deps
    const begun: Begun = {
      reason,
      atMs: clock.wall(),
      byAdmin: byAdmin !== null || this.#members().length === 0,
      members: byAdmin?.members ?? null,
      number: table.number,
      listNumber: registry.memberListNumber,
      readmitted: {},
      decided: decisionsOf(registry.members())
    }
    await this.#record.begin(begun)
    log.error({ reason }, "this coordinator's state is older than what it has signed; nothing is promoted")
    this.#enter(begun)
    await audit({ actor: 'coordinator', action: 'recovery.begin', target: '', details: { reason } })
    for (const session of this.#deps.sessions()) if (session.peer !== told) void this.#ask(session, ASK_AGAIN_MS)
  }

  #enter(begun: Begun): void {
    this.#open = { ...begun, testimony: new Testimony(), reported: new Set(), adoptedList: begun.listNumber }
    this.#tell()
  }

  async #note(report: MemberReport): Promise<void> {
    const open = this.#open
    if (open === null) return
    const { registry, log } = this.#deps
    open.testimony.note(report)
    open.reported.add(report.peer)
    const list = open.testimony.memberList
    if (list !== null && list.value.number > open.adoptedList) {
      const { number } = list.value
      const stays = (member: Member): boolean => outlivesList(open, number, member)
      const { came, gone } = await registry.adopt(list.value, number + LEAP, stays)
      open.adoptedList = number
      log.warn({ came: came.length, gone: gone.length, number }, 'a newer member list was adopted')
    }
    this.#tell()
    if (this.#isComplete(open)) this.#settleSoon('all')
  }

  #needsAdmin(): boolean {
    return this.#open?.byAdmin === true && this.#open.members === null
  }

  #isComplete({ members, reported }: Open): boolean {
    if (this.#needsAdmin()) return false
    return reported.size >= Math.max(1, members ?? 0) && this.#members().every((peer) => reported.has(peer))
  }

  #members(): PeerIdText[] {
    return this.#deps.registry
      .members()
      .filter(({ state }) => state === 'approved')
      .map(({ peerId }) => peerId)
  }

  #tell(): void {
    const view = this.view()
    if (view === null) return
    const all = view.reported.length + view.awaited.length
    const awaited = view.awaited.length === 0 ? '' : `, awaited: ${view.awaited.slice(0, 10).join(', ')}`
    const unsure = this.#needsAdmin() ? '; whether there are other members an admin must say' : ''
    this.#deps.hold.hold(
      'old-backup',
      `${view.reason}; ${view.reported.length} of ${all} members have reported${awaited}${unsure}`
    )
  }

  #settleSoon(how: Outcome['how']): void {
    void this.#work
      .run(() => this.#settle(how))
      .catch((error: unknown) => {
        this.#deps.log.error({ error: messageOf(error) }, 'the recovery could not be ended, and is tried again')
        this.#deps.clock.after(AGAIN_MS, () => this.#settleSoon(how))
      })
  }

  async #settle(how: Outcome['how']): Promise<void> {
    const open = this.#open
    if (open === null) return
    const { registry, audit, hold, lost, log, onEnded, clock } = this.#deps
    const missing = how === 'all' ? [] : this.#members().filter((peer) => !open.reported.has(peer))
    const { adopted, ...settled } = await settleRecovery(this.#deps, open.testimony, open.number)
    if (open.adoptedList === open.listNumber) {
      await registry.adopt(this.#ownList(), open.listNumber + LEAP, () => true)
    }
    const outcome: Outcome = {
      ...settled,
      adopted: adopted.length,
      how,
      reason: open.reason,
      atMs: clock.wall(),
      missing: missing.map((peer) => this.#nameOf(peer)),
      gaps: withGap(this.#last, { after: open.adoptedList, upTo: open.adoptedList + LEAP })
    }
    await audit({ actor: 'coordinator', action: 'recovery.end', target: '', details: { ...outcome } })
    await this.#record.end(outcome)
    log.warn({ ...outcome }, 'this coordinator knows again what it had signed')
    this.#last = outcome
    this.#open = null
    hold.release('old-backup')
    onEnded(adopted)
    if (lost.count > 0) void this.#fetchLost()
  }

  /** Receipts for a head that was lost were refused: those who hold it are asked for them again. */
  async #fetchLost(): Promise<void> {
    const { lost, onEnded } = this.#deps
    await lost.fetchAll()
    if (lost.takeFetched() > 0) onEnded([])
  }

  /** The members as they stand here. */
  #ownList(): MemberList {
    const { registry, identity, clock } = this.#deps
    const members = registry.members().filter(({ state }) => state === 'approved')
    return {
      federation: identity.peerId,
      number: registry.memberListNumber,
      issuedAtMs: clock.wall(),
      members: members.map(({ peerId, name, state, role }) => ({ peer: peerId, name, state, role }))
    }
  }

  #nameOf(peer: PeerIdText): string {
    return this.#deps.registry.get(peer)?.name ?? peer
  }
}
