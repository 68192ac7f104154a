import type { Clock } from '../core/clock.ts'
import { open } from '../core/envelope.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { Mutex } from '../core/mutex.ts'
import { certificateRecord, type MemberList } from '../core/records.ts'
import type { Audit } from '../membership/audit.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import type { ControlStore } from '../store/control-store.ts'
import type { MainRepository } from '../store/repository.ts'
import type { Hello } from '../wire/control.ts'
import { knows } from '../wire/revision.ts'
import { type Asked, askReport, type MemberReport } from './ask-report.ts'
import type { LostHeads } from './lost-heads.ts'
import type { OwnershipTable } from './ownership-table.ts'
import type { PromotionHold } from './promotion-hold.ts'
import { looksNewer, proofIn, repositoryProof } from './recovery-proof.ts'
import { LEAP, type Settled, settleRecovery } from './recovery-settle.ts'
import { type RegainDeps, regainHead } from './regain.ts'
import { Testimony } from './testimony.ts'

const KEY = 'recovery'
const LAST_KEY = 'recovery-last'
const AGAIN_MS = 5000
const TOO_OLD = ' (too old to report: upgrade it)'

/** How a recovery was begun. `members`: how many must have reported, where an admin said so. */
interface Begun {
  readonly reason: string
  readonly atMs: number
  /** Begun by an admin: the state is gone, and who the members are is not known for sure. */
  readonly byAdmin: boolean
  readonly members: number | null
  /** The highest numbers of records and member lists that this coordinator knew before. */
  readonly number: number
  readonly listNumber: number
}

/** How a recovery ended. */
export interface Outcome extends Omit<Settled, 'adopted'> {
  readonly reason: string
  /** All members had reported, or an admin did not want to wait for those that are missing. */
  readonly how: 'all' | 'confirmed'
  readonly missing: readonly string[]
  readonly adopted: number
  /** Unix milliseconds. */
  readonly atMs: number
}

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
  readonly registry: Pick<MemberRegistry, 'members' | 'get' | 'adopt' | 'readmit' | 'memberListNumber'>
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

interface Open extends Begun {
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
  #open: Open | null = null
  #last: Outcome | null = null

  private constructor(deps: RecoveryDeps) {
    this.#deps = deps
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
    const last = await deps.store.get(LAST_KEY)
    if (last !== null) recovery.#last = JSON.parse(Buffer.from(last.value).toString()) as Outcome
    const stored = await deps.store.get(KEY)
    if (stored !== null) recovery.#enter(JSON.parse(Buffer.from(stored.value).toString()) as Begun)
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
   * An instance has connected.
   *
   * @returns true where it is told nothing for now: when the recovery ends, everybody is
   */
  async met(instance: Present): Promise<boolean> {
    if (this.#open === null && !(await looksNewer(this.#deps, instance.hello))) {
      if (this.#deps.lost.count > 0) void this.#fetchLost()
      return false
    }
    if (!knows(instance.hello, 'report')) return this.#cannotReport(instance.peer)
    const report = await askReport(instance, this.#deps.identity.peerId)
    return this.#work.run(async () => {
      if (this.#open === null) {
        const reason = await proofIn(this.#deps, report, this.#nameOf(report.peer))
        if (reason === null) {
          await this.#keepBeside(report)
          return false
        }
        await this.#begin(reason, null, instance.peer)
      }
      await this.#note(report)
      return true
    })
  }

  /** A version that does not know the order would end its connection over it. It is awaited until it is upgraded. */
  #cannotReport(peer: PeerIdText): boolean {
    this.#deps.log.warn({ peer }, 'an instance is too old to report what this coordinator has signed: upgrade it')
    this.#tell()
    return this.#open !== null
  }

  /**
   * A peer that is unknown here shows a certificate. It is a member again where that proves that this coordinator has
   * forgotten something.
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
      if (this.#open === null && !isProof) return
      const list = this.#open?.testimony.memberList?.value ?? null
      if (list !== null && list.number >= value.number && !list.members.some((member) => member.peer === peer)) return
      if (this.#open === null) {
        const reason = `${value.name} holds a certificate that this coordinator signed and does not know`
        await this.#begin(reason)
      }
      await registry.readmit(value)
      this.#tell()
    })
  }

  /** `told`: an instance whose report is here already. */
  async #begin(
    reason: string,
    byAdmin: { readonly members: number | null } | null = null,
    told: PeerIdText | null = null
  ): Promise<void> {
    if (this.#open !== null) return
    const { store, table, registry, audit, clock, log } = this.#deps
    const begun: Begun = {
      reason,
      atMs: clock.wall(),
      byAdmin: byAdmin !== null,
      members: byAdmin?.members ?? null,
      number: table.number,
      listNumber: registry.memberListNumber
    }
    await store.put(KEY, Buffer.from(JSON.stringify(begun)), { ifRevision: 'any' })
    log.error({ reason }, "this coordinator's state is older than what it has signed; nothing is promoted")
    this.#enter(begun)
    await audit({ actor: 'coordinator', action: 'recovery.begin', target: '', details: { reason } })
    for (const session of this.#deps.sessions()) if (session.peer !== told) void this.#ask(session)
  }

  #enter(begun: Begun): void {
    this.#open = { ...begun, testimony: new Testimony(), reported: new Set(), adoptedList: begun.listNumber }
    this.#tell()
  }

  async #ask(session: Present): Promise<void> {
    if (!knows(session.hello, 'report')) return void this.#cannotReport(session.peer)
    try {
      const report = await askReport(session, this.#deps.identity.peerId)
      await this.#work.run(() => this.#note(report))
    } catch (error) {
      this.#deps.log.warn({ peer: session.peer, error: messageOf(error) }, 'an instance did not report')
    }
  }

  async #note(report: MemberReport): Promise<void> {
    const open = this.#open
    if (open === null) return
    const { registry, log } = this.#deps
    open.testimony.note(report)
    open.reported.add(report.peer)
    const list = open.testimony.memberList
    if (list !== null && list.value.number > open.adoptedList) {
      const { came, gone } = await registry.adopt(list.value, list.value.number + LEAP)
      open.adoptedList = list.value.number
      log.warn({ came: came.length, gone: gone.length, number: list.value.number }, 'a newer member list was adopted')
    }
    this.#tell()
    if (this.#isComplete(open)) this.#settleSoon('all')
  }

  #isComplete({ byAdmin, members, reported }: Open): boolean {
    if (byAdmin && members === null) return false
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
    this.#deps.hold.hold(
      'old-backup',
      `${view.reason}; ${view.reported.length} of ${all} members have reported${awaited}`
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
    const { store, registry, audit, hold, lost, log, onEnded, clock } = this.#deps
    const missing = how === 'all' ? [] : this.#members().filter((peer) => !open.reported.has(peer))
    const { adopted, ...settled } = await settleRecovery(this.#deps, open.testimony, open.number)
    if (open.adoptedList === open.listNumber) await registry.adopt(this.#ownList(), open.listNumber + LEAP)
    const outcome: Outcome = {
      ...settled,
      adopted: adopted.length,
      how,
      reason: open.reason,
      atMs: clock.wall(),
      missing: missing.map((peer) => this.#nameOf(peer))
    }
    await audit({ actor: 'coordinator', action: 'recovery.end', target: '', details: { ...outcome } })
    await store.put(LAST_KEY, Buffer.from(JSON.stringify(outcome)), { ifRevision: 'any' })
    await store.remove(KEY, { ifRevision: 'any' })
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
      members: members.map(({ peerId, name, state }) => ({ peer: peerId, name, state }))
    }
  }

  /** One that comes late holds heads that the repository does not know: they are kept as diverged ones. */
  async #keepBeside({ peer, workspaces }: MemberReport): Promise<void> {
    const { repository, signal, log } = this.#deps
    for (const { head } of workspaces) {
      if (head === null || (await repository.head(head.cid)) !== null) continue
      const { workspace } = head.value
      if (this.#deps.lost.get(workspace)?.equals(head.cid) === true) continue
      const kept = await regainHead(this.#deps, { head, holders: [peer] }, 'diverged', signal).catch(
        (error: unknown) => {
          log.warn({ workspace, peer, error: messageOf(error) }, 'a head that only one instance holds was not kept')
          return false
        }
      )
      if (kept)
        log.warn({ workspace, peer, head: head.cid.toString() }, 'a head that the repository lost is kept as diverged')
    }
  }

  #nameOf(peer: PeerIdText): string {
    return this.#deps.registry.get(peer)?.name ?? peer
  }
}
