import { type Clock, sleep } from '../core/clock.ts'
import { seal } from '../core/envelope.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { exitRecord, type SignedHead } from '../core/records.ts'
import {
  type DrainableWorkspace,
  type DrainPlan,
  type DrainPolicy,
  type PlannedHandover,
  planDrain
} from '../placement/plan-drain.ts'
import type { DrainReport } from '../wire/control.ts'
import { type ProvenHead, receiptProblem, writeCertificate } from './certificate.ts'
import type { Director } from './director.ts'
import { begin, cancel, type Drain, expire, figures, finish, handedOver, isUnderWay, prepare, stall } from './drain.ts'
import type { Holdings } from './holdings.ts'
import type { Moved } from './moved.ts'
import type { Instances } from './neighbours.ts'
import type { OwnershipTable } from './ownership-table.ts'
import type { RepositoryProof } from './proof.ts'

/** Handovers of one drain that are under way at once. */
const PARALLEL = 4
const RETRY_MS = 1000
/** The rate that a plan assumes before one was measured: 100 Mbit/s. */
const ASSUMED_BYTES_PER_SECOND = 12_500_000

const NOBODY_SERVES = 'the data is safe in the main repository, and nobody serves it until another instance joins'

export interface DrainDriverDeps {
  readonly director: Director
  readonly table: OwnershipTable
  readonly instances: Instances
  readonly holdings: Holdings
  readonly repository: RepositoryProof
  readonly usedBytes: (workspace: WorkspaceId) => number
  readonly idle: (workspace: WorkspaceId, signal: AbortSignal) => Promise<void>
  readonly isBusy: (workspace: WorkspaceId) => boolean
  readonly identity: Identity
  readonly clock: Clock
  readonly log: Logger
}

export type DrainWish = Omit<DrainPolicy, 'bytesPerSecond'>

/** Has one instance hand over everything that it is home of, and proves it. */
export class DrainDriver {
  readonly peer: PeerIdText
  readonly #deps: DrainDriverDeps
  readonly #onChange: (report: DrainReport) => void
  /** The newest of each workspace. */
  readonly #proven: Map<WorkspaceId, ProvenHead>
  /** All that was ever to be handed over, and what of it is done. */
  readonly #taken = new Map<WorkspaceId, PlannedHandover>()
  readonly #done = new Set<WorkspaceId>()
  readonly #recipients: Map<WorkspaceId, PeerIdText>
  #drain: Drain = { state: 'serving' }
  #plan: readonly PlannedHandover[] = []
  #reason = ''
  #stopped = new AbortController()

  /** `before`: the last drain of this instance, which may have handed over a part. Its proofs count. */
  constructor(
    deps: DrainDriverDeps,
    peer: PeerIdText,
    onChange: (report: DrainReport) => void,
    before: DrainDriver | null = null
  ) {
    this.#deps = deps
    this.peer = peer
    this.#onChange = onChange
    this.#proven = new Map(before === null ? [] : before.#proven)
    this.#recipients = new Map(before === null ? [] : before.#recipients)
  }

  get isUnderWay(): boolean {
    return isUnderWay(this.#drain)
  }

  get state(): Drain['state'] {
    return this.#drain.state
  }

  /** What would be done, without doing it. */
  preview(wish: DrainWish): DrainReport {
    const plan = this.#makePlan(wish)
    if (plan.kind === 'refused') return { ...this.report(), state: 'failed', reason: plan.reasons.join('; ') }
    const total = plan.moves.length
    return {
      ...this.report(),
      workspaces: { done: 0, total },
      bytes: { done: 0, total: plan.bytes },
      etaMs: plan.etaMs,
      plan: wirePlan(plan.moves)
    }
  }

  report(): DrainReport {
    const drain = this.#drain
    const unproven = drain.state === 'expired' || drain.state === 'cancelled' ? drain.unproven : []
    return {
      state: drain.state,
      ...figures(drain, this.#deps.clock.now()),
      reason: this.#reason,
      certificate: drain.state === 'drained' ? drain.certificate : new Uint8Array(0),
      plan: wirePlan(this.#plan),
      unproven
    }
  }

  /** Goes back to what it was: workspaces that were handed over stay where they are. */
  cancel(): void {
    if (!this.isUnderWay) return
    this.#become(cancel(this.#drain), 'cancelled')
    this.#stopped.abort(new NodeDaemonError('ABORTED', 'the drain was cancelled'))
  }

  /** Resolves when the drain has ended, however it ended. */
  async run(wish: DrainWish): Promise<DrainReport> {
    const { clock } = this.#deps
    this.#stopped = new AbortController()
    const deadline = clock.now() + wish.deadlineMs
    this.#become(prepare(this.#drain, deadline), '')
    const plan = this.#makePlan(wish)
    this.#plan = plan.kind === 'planned' ? plan.moves : []
    this.#become(begin(this.#drain, plan, clock.now()), plan.kind === 'refused' ? plan.reasons.join('; ') : '')
    if (plan.kind === 'refused') return this.report()
    const timer = clock.after(wish.deadlineMs, () => this.#expire())
    try {
      const certificate = await this.#handOverAll(wish)
      if (this.isUnderWay) this.#become(finish(this.#drain, certificate), this.#lastWord())
    } catch (error) {
      if (this.isUnderWay) throw error
      this.#deps.log.info({ peer: this.peer, error: messageOf(error) }, 'a drain ended early')
    } finally {
      timer.cancel()
    }
    return this.report()
  }

  #expire(): void {
    if (!this.isUnderWay) return
    const reason = this.#reason === '' ? 'the deadline is over' : `the deadline is over; last: ${this.#reason}`
    this.#become(expire(this.#drain), reason)
    this.#stopped.abort(new NodeDaemonError('TIMED_OUT', 'the deadline of the drain is over'))
  }

  /** Resolves with the certificate, at a moment at which nothing is left that it does not prove. */
  async #handOverAll(wish: DrainWish): Promise<Uint8Array> {
    const { signal } = this.#stopped
    for (let queue = [...this.#plan]; ; queue = this.#remaining(wish)) {
      const failed = await this.#handOverEach(queue)
      signal.throwIfAborted()
      if (failed > 0 || (queue.length === 0 && !this.#isDone)) await sleep(this.#deps.clock, RETRY_MS, signal)
      if (!this.#isDone) continue
      const certificate = await this.#certify()
      if (this.#isDone) return certificate
    }
  }

  /** How many of them failed. */
  async #handOverEach(moves: readonly PlannedHandover[]): Promise<number> {
    const { signal } = this.#stopped
    const queue = [...moves]
    let failed = 0
    for (const move of moves) this.#taken.set(move.workspace.workspace, move)
    const workers = Array.from({ length: PARALLEL }, async () => {
      for (let next = queue.shift(); next !== undefined && !signal.aborted; next = queue.shift()) {
        if (!(await this.#handOver(next))) failed++
      }
    })
    await Promise.all(workers)
    return failed
  }

  get #isDone(): boolean {
    return this.#elsewhere.length === 0 && this.#deps.table.homesOf(this.peer).length === 0
  }

  /** What was to be handed over and went elsewhere by itself. */
  get #elsewhere(): PlannedHandover[] {
    const { table } = this.#deps
    return [...this.#taken.values()].filter(({ workspace: { workspace } }) => {
      return !this.#done.has(workspace) && table.get(workspace)?.signed.value.home !== this.peer
    })
  }

  /** Plans what is left once more: a target may have gone, and a workspace may have come at the last moment. */
  #remaining(wish: DrainWish): PlannedHandover[] {
    const plan = this.#makePlan(wish)
    if (plan.kind === 'planned') return [...plan.moves, ...this.#elsewhere]
    this.#become(stall(this.#drain, plan.reasons.join('; '), this.#deps.clock.now()), plan.reasons.join('; '))
    const homes = new Set(this.#deps.table.homesOf(this.peer).map(({ signed }) => signed.value.workspace))
    return [...this.#plan.filter(({ workspace }) => homes.has(workspace.workspace)), ...this.#elsewhere]
  }

  async #handOver({ workspace, to }: PlannedHandover): Promise<boolean> {
    const { director, table, clock, log } = this.#deps
    const id = workspace.workspace
    this.#done.delete(id)
    try {
      const { signal } = this.#stopped
      if (table.get(id)?.signed.value.home === this.peer) {
        await this.#prove(await director.move(id, to, { idle: this.#deps.idle, signal, keepAsStandby: false }))
      } else {
        await this.#proveElsewhere(id)
      }
      this.#done.add(id)
      if (this.isUnderWay) this.#become(handedOver(this.#drain, id, clock.now()), '')
      return true
    } catch (error) {
      log.warn({ workspace: id, to, error: messageOf(error) }, 'a handover failed, to be tried again')
      if (this.isUnderWay && this.#drain.state !== 'preparing') {
        const reason = `workspace ${id.slice(0, 8)}: ${messageOf(error)}`
        this.#become(stall(this.#drain, reason, clock.now()), reason)
      }
      return false
    }
  }

  /** The workspace went to another home than planned: the base of its epoch is what this instance left. */
  async #proveElsewhere(workspace: WorkspaceId): Promise<void> {
    const { table, holdings, repository } = this.#deps
    const value = table.get(workspace)?.signed.value
    if (value === undefined || value.base === null) return
    const base = await repository.head(value.base)
    if (base === null) throw new NodeDaemonError('INTEGRITY', `the base of workspace ${workspace} is missing`)
    const receipt = value.home === null ? null : holdings.receipt(workspace, value.home, base.cid)
    await this.#prove({ workspace, base, receipt, to: value.home })
  }

  async #prove({ workspace, base, receipt, to }: Pick<Moved, 'workspace' | 'base' | 'receipt' | 'to'>): Promise<void> {
    if (base === null) return
    const { peerId } = this.#deps.identity
    const own = await this.#deps.repository.receiptFor(base)
    const statement = { instance: this.peer, federation: peerId }
    // What an instance says it holds must not spoil the proof of another.
    const counts = receipt !== null && receiptProblem(receipt, base, statement) === null
    this.#proven.set(workspace, { head: base, receipts: counts ? [receipt, own] : [own] })
    this.#recipients.set(workspace, counts && to !== null ? to : peerId)
  }

  /** Whom the users may miss now. */
  #lastWord(): string {
    const orphaned = [...this.#proven.values()].filter(
      ({ head }) => this.#deps.table.get(head.value.workspace)?.signed.value.home === null
    )
    return orphaned.length === 0 ? '' : NOBODY_SERVES
  }

  async #certify(): Promise<Uint8Array> {
    const { identity, clock } = this.#deps
    const statement = await seal(
      exitRecord,
      {
        federation: identity.peerId,
        instance: this.peer,
        issuedAtMs: clock.wall(),
        heads: [...this.#proven.values()].map(({ head }) => ({
          workspace: head.value.workspace,
          epoch: head.value.epoch,
          sequence: head.value.sequence,
          head: head.cid,
          recipient: this.#recipientOf(head)
        }))
      },
      identity
    )
    return writeCertificate(statement, [...this.#proven.values()])
  }

  #recipientOf(head: SignedHead): PeerIdText {
    return this.#recipients.get(head.value.workspace) ?? this.#deps.identity.peerId
  }

  #makePlan(wish: DrainWish): DrainPlan {
    const { table, instances } = this.#deps
    const workspaces = table.homesOf(this.peer).map(({ signed }) => this.#drainable(signed.value))
    const candidates = instances.candidates().filter(({ peer }) => peer !== this.peer)
    return planDrain(workspaces, candidates, { ...wish, bytesPerSecond: ASSUMED_BYTES_PER_SECOND })
  }

  #drainable(value: {
    workspace: WorkspaceId
    service: DrainableWorkspace['service']
    standbys: readonly PeerIdText[]
  }): DrainableWorkspace {
    const { usedBytes, holdings, isBusy } = this.#deps
    const { workspace, service } = value
    const bytes = usedBytes(workspace)
    const standbys = value.standbys.map((peer) => ({
      peer,
      lackingBytes: holdings.sequence(workspace, peer) > 0 ? 0 : bytes
    }))
    return { workspace, service, bytes, standbys, busy: isBusy(workspace) }
  }

  #become(drain: Drain, reason: string): void {
    this.#drain = drain
    this.#reason = reason
    this.#onChange(this.report())
  }
}

const wirePlan = (moves: readonly PlannedHandover[]): DrainReport['plan'] =>
  moves.map(({ workspace, to, toName, bytes, etaMs }) => ({ workspace: workspace.workspace, to, toName, bytes, etaMs }))
