import { type Instant, sleep, type TimerHandle } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { type DrainPlan, type DrainPolicy, type PlannedHandover, planDrain } from '../placement/plan-drain.ts'
import type { DrainReport } from '../wire/control.ts'
import * as drains from './drain.ts'
import type { DrainDriverDeps } from './drain-deps.ts'
import type { DrainLedger } from './drain-ledger.ts'
import { DrainProofs } from './drain-proofs.ts'
import { DrainQueue, type DueTask } from './drain-queue.ts'
import { drainableOf, reportOf } from './drain-report.ts'

/** Handovers of one drain that are under way at once. */
const PARALLEL = 4
const RETRY_MS = 1000
const LOOK_EVERY_MS = 1000
/** How long a drain waits before it begins for instances that are away for a moment. */
const PREPARE_MS = 15_000
/** The rate that a plan assumes before one was measured: 100 Mbit/s. */
const ASSUMED_BYTES_PER_SECOND = 12_500_000
/** A drain that is done waits for its instance, to be told, until so long before its deadline. */
const LAST_WORD_MS = 1000

export interface DrainWish extends Pick<DrainPolicy, 'deadlineMs' | 'to' | 'toRepository'> {
  /** The process of the instance ends with the drain. */
  readonly exits: boolean
}

interface UnderWay {
  readonly to: PeerIdText | null
  readonly bytes: number
  readonly ended: Promise<void>
  arrivedBytes: number
}

/** Has one instance hand over everything that it is home of, and proves it. */
export class DrainDriver {
  readonly peer: PeerIdText
  readonly #deps: DrainDriverDeps
  readonly #onChange: (report: DrainReport) => void
  readonly #ledger: DrainLedger
  readonly #proofs: DrainProofs
  readonly #underWay = new Map<WorkspaceId, UnderWay>()
  readonly #queue: DrainQueue
  #drain: drains.Drain = { state: 'serving' }
  #wish: DrainWish = { deadlineMs: 0, to: null, toRepository: false, exits: false }
  #deadline: Instant = 0
  /** What kept a handover from its end last. */
  #cause = ''
  #lastWord = ''
  /** Since when no other instance is there to take anything; null while one is. */
  #aloneSince: Instant | null = null
  #stopped = new AbortController()
  #wake: () => void = () => undefined
  #timer: TimerHandle | null = null

  constructor(
    deps: DrainDriverDeps,
    peer: PeerIdText,
    ledger: DrainLedger,
    onChange: (report: DrainReport) => void = () => undefined
  ) {
    this.#deps = deps
    this.peer = peer
    this.#onChange = onChange
    this.#ledger = ledger
    this.#proofs = new DrainProofs(deps, peer, ledger)
    this.#queue = new DrainQueue(deps.clock, deps.sights)
  }

  get isUnderWay(): boolean {
    return drains.isUnderWay(this.#drain)
  }

  get state(): drains.Drain['state'] {
    return this.#drain.state
  }

  /** What is wished now: the time that is left, not all of it. */
  get wish(): DrainWish {
    return { ...this.#wish, deadlineMs: Math.max(0, Math.round(this.#deadline - this.#deps.clock.now())) }
  }

  /** What would be done, without doing it. */
  preview(wish: DrainWish): DrainReport {
    const plan = this.#makePlan(wish)
    const report = { ...this.report(), exits: wish.exits }
    if (plan.kind === 'refused') return { ...report, state: 'failed', reason: plan.reasons.join('; ') }
    const total = plan.moves.length
    const bytes = { done: 0, total: plan.bytes }
    const planned = reportOf(this.#drain, plan.moves, this.#deps.clock.now()).plan
    return { ...report, workspaces: { done: 0, total }, bytes, etaMs: plan.etaMs, plan: planned }
  }

  report(): DrainReport {
    const drain = this.#drain
    const moves = 'moves' in drain ? drain.moves.filter((move) => drain.pending.has(move.workspace.workspace)) : []
    return this.#told(moves)
  }

  #told(moves: readonly PlannedHandover[]): DrainReport {
    const { exits } = this.#wish
    return { ...reportOf(this.#drain, moves, this.#deps.clock.now()), exits, reason: this.#reason() }
  }

  /** Bytes of a workspace have reached an instance. */
  arrived(to: PeerIdText, workspace: WorkspaceId, bytes: number): void {
    const move = this.#underWay.get(workspace)
    if (move?.to === to) move.arrivedBytes = Math.min(move.bytes, move.arrivedBytes + bytes)
  }

  /** Somebody else wants the same: the earlier deadline holds, and the process ends if anyone wants that. */
  join({ deadlineMs, exits }: DrainWish): void {
    if (!drains.isUnderWay(this.#drain)) return
    const now = this.#deps.clock.now()
    this.#drain = drains.hasten(this.#drain, now + deadlineMs)
    this.#deadline = Math.min(this.#deadline, now + deadlineMs)
    this.#wish = { ...this.#wish, exits: this.#wish.exits || exits }
    if (this.#drain.state !== 'preparing') this.#armDeadline()
    this.#onChange(this.#told([]))
  }

  /** Goes back to what it was: workspaces that were handed over stay where they are. */
  cancel(why = 'cancelled'): void {
    if (!this.isUnderWay) return
    this.#end(drains.cancel(this.#drain), why, new NodeDaemonError('ABORTED', 'the drain was cancelled'))
  }

  /**
   * Resolves when the drain has ended, however it ended. Under way at once.
   *
   * @param options.resumed it had begun before the coordinator was started anew: it is not refused any more
   */
  async run(wish: DrainWish, options: { readonly resumed: boolean } = { resumed: false }): Promise<DrainReport> {
    const { clock, log } = this.#deps
    this.#wish = wish
    this.#deadline = clock.now() + wish.deadlineMs
    this.#stopped = new AbortController()
    this.#cause = ''
    this.#lastWord = ''
    this.#queue.begin()
    this.#become(drains.prepare(this.#drain, this.#deadline))
    try {
      await this.#begin(options.resumed)
      if (this.isUnderWay) await this.#carryOut()
    } catch (error) {
      if (this.isUnderWay) throw error
      log.info({ peer: this.peer, error: messageOf(error) }, 'a drain ended early')
    } finally {
      this.#timer?.cancel()
      this.#stopped.abort(new NodeDaemonError('ABORTED', 'the drain has ended'))
      await Promise.all([...this.#underWay.values()].map(({ ended }) => ended))
    }
    return this.report()
  }

  async #begin(resumed: boolean): Promise<void> {
    const planned = await this.#prepared()
    const plan: DrainPlan =
      resumed && planned.kind === 'refused' ? { kind: 'planned', moves: [], bytes: 0, etaMs: 0 } : planned
    if (plan.kind === 'refused') this.#lastWord = plan.reasons.join('; ')
    else await this.#ledger.take(plan.moves.map(({ workspace }) => workspace.workspace))
    this.#stopped.signal.throwIfAborted()
    if (plan.kind === 'planned') this.#queue.fill(plan.moves, [])
    this.#drain = drains.begin(this.#drain, plan, this.#deps.clock.now())
    if (resumed) await this.#planAnew()
    this.#onChange(this.report())
  }

  /** A plan, once all are there that should be, or were waited for in vain. */
  async #prepared(): Promise<DrainPlan> {
    const { clock, instances, sights } = this.#deps
    const until = clock.now() + PREPARE_MS
    for (;;) {
      const plan = this.#makePlan(this.#wish)
      const away = plan.kind === 'refused' && sights.awaitsOthers(this.peer)
      const isTime = clock.now() >= Math.min(until, this.#deadline)
      if ((!away && instances.isConnected(this.peer)) || isTime) return plan
      await sleep(clock, RETRY_MS, this.#stopped.signal)
    }
  }

  async #carryOut(): Promise<void> {
    this.#armDeadline()
    const watch = this.#watch()
    try {
      const certificate = await this.#handOverAll()
      if (!this.isUnderWay) return
      this.#lastWord = this.#proofs.lastWord
      this.#become(drains.finish(this.#drain, certificate))
    } finally {
      watch.stop()
    }
  }

  /** Resolves with the certificate, at a moment at which nothing is left that it does not prove. */
  async #handOverAll(): Promise<Uint8Array> {
    const { clock } = this.#deps
    for (let plannedAt = clock.now(); ; ) {
      this.#stopped.signal.throwIfAborted()
      const task = this.#underWay.size < PARALLEL ? this.#queue.next(this.#deadline) : null
      if (task !== null) this.#start(task)
      else if (this.#mayEnd) {
        const certificate = await this.#proofs.certificate()
        if (this.#mayEnd) return certificate
      } else {
        await this.#pause()
        if (this.#underWay.size === PARALLEL || clock.now() - plannedAt < RETRY_MS) continue
        await this.#planAnew()
        plannedAt = clock.now()
      }
    }
  }

  get #mayEnd(): boolean {
    if (this.#underWay.size > 0 || !this.#proofs.isComplete) return false
    const { instances, clock } = this.#deps
    const isTold = !this.#wish.exits || instances.isConnected(this.peer)
    return isTold || clock.now() >= this.#deadline - LAST_WORD_MS
  }

  /** Until a handover has ended, or a moment. */
  async #pause(): Promise<void> {
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    const signal = AbortSignal.any([woken.signal, this.#stopped.signal])
    await sleep(this.#deps.clock, RETRY_MS, signal).catch(() => undefined)
  }

  /** A target may have gone, and a workspace may have come at the last moment. */
  async #planAnew(): Promise<void> {
    const { table } = this.#deps
    const plan = this.#makePlan({ ...this.#wish, deadlineMs: Number.POSITIVE_INFINITY })
    const homes = table.homesOf(this.peer).map(({ signed }) => signed.value.workspace)
    await this.#ledger.take(homes.filter((workspace) => !this.#underWay.has(workspace)))
    if (!drains.isUnderWay(this.#drain)) return
    const { elsewhere } = this.#proofs
    const moves = plan.kind === 'planned' ? plan.moves : []
    if (plan.kind === 'refused') this.#cause = plan.reasons.join('; ')
    this.#drain = drains.replan(this.#drain, moves, new Set([...homes, ...elsewhere]))
    const isFree = (workspace: WorkspaceId): boolean => !this.#underWay.has(workspace)
    const free = plan.kind === 'planned' ? moves : this.#oldMoves(homes)
    this.#queue.fill(
      free.filter(({ workspace }) => isFree(workspace.workspace)),
      elsewhere.filter(isFree)
    )
  }

  /** Where there is no plan for all of them, those go on whose target is still there. */
  #oldMoves(homes: readonly WorkspaceId[]): PlannedHandover[] {
    const still = new Set(homes)
    const moves = 'moves' in this.#drain ? this.#drain.moves : []
    return moves.filter(({ workspace, to }) => still.has(workspace.workspace) && this.#takes(to))
  }

  #takes(to: PeerIdText | null): boolean {
    return to === null || this.#deps.instances.candidates().some(({ peer }) => peer === to)
  }

  #start(task: DueTask): void {
    const { workspace } = task
    const ended = this.#handOver(task).finally(() => {
      this.#underWay.delete(workspace)
      this.#wake()
    })
    const { to, bytes } = task.move ?? { to: null, bytes: 0 }
    this.#underWay.set(workspace, { to, bytes, ended, arrivedBytes: 0 })
  }

  /** Never rejects: what fails is tried again. */
  async #handOver({ workspace, move, isLate }: DueTask): Promise<void> {
    const { table, log } = this.#deps
    try {
      if (move !== null && table.get(workspace)?.signed.value.home === this.peer)
        await this.#move(workspace, move, isLate)
      else await this.#proofs.proveElsewhere(workspace)
      this.#queue.succeeded(workspace)
      this.#cause = ''
      if (this.isUnderWay) this.#handedOver(workspace)
    } catch (error) {
      log.warn({ workspace, to: move?.to, error: messageOf(error) }, 'a handover failed, to be tried again')
      this.#queue.failed(workspace)
      this.#cause = `workspace ${workspace.slice(0, 8)}: ${messageOf(error)}`
    }
  }

  /** Told at once where it changes the state; else the next look tells. */
  #handedOver(workspace: WorkspaceId): void {
    const { state } = this.#drain
    const drain = drains.handedOver(this.#drain, workspace, this.#deps.clock.now())
    if (state === drain.state) this.#drain = drain
    else this.#become(drain)
  }

  async #move(workspace: WorkspaceId, { to, toName }: PlannedHandover, isLate: boolean): Promise<void> {
    if (!this.#takes(to)) throw new NodeDaemonError('OUT_OF_REACH', `${toName} takes nothing any more`)
    const { signal } = this.#stopped
    const { idle, breakOff } = this.#deps
    const options = { idle, signal, keepAsStandby: false, ...(isLate && { breakOff }) }
    await this.#proofs.prove(await this.#deps.director.move(workspace, to, options))
  }

  /** Looks regularly at what arrives and who is waited for, and tells. */
  #watch(): { stop(): void } {
    const { clock } = this.#deps
    const again = (): void => {
      this.#look()
      timer = clock.after(LOOK_EVERY_MS, again)
    }
    let timer = clock.after(LOOK_EVERY_MS, again)
    return { stop: () => timer.cancel() }
  }

  #look(): void {
    if (!this.isUnderWay) return
    const now = this.#deps.clock.now()
    let bytes = 0
    for (const { arrivedBytes } of this.#underWay.values()) bytes += arrivedBytes
    const waited = drains.waitFor(this.#drain, this.#queue.waiting(this.#deadline), now)
    const moved = drains.arrived(waited, bytes, now)
    this.#become(drains.stall(moved, this.#cause === '' ? this.#silence() : this.#cause, now))
  }

  /** What to say where nothing goes on, and nothing has failed either. */
  #silence(): string {
    const names = [...this.#underWay.values()].map(({ to }) =>
      to === null ? 'the main repository' : this.#deps.instances.nameOf(to)
    )
    return names.length === 0 ? 'nothing can be moved now' : `nothing arrives at ${[...new Set(names)].join(', ')}`
  }

  #reason(): string {
    const drain = this.#drain
    if (drain.state === 'stalled') return drain.reason
    if (drain.state !== 'draining') return this.#lastWord
    if (this.#proofs.isComplete && !this.#deps.instances.isConnected(this.peer)) {
      return `all is handed over; ${this.#deps.instances.nameOf(this.peer)} is away, and is waited for to be told`
    }
    return drain.waiting.workspaces.size === 0 ? '' : `users are at work in ${drain.waiting.workspaces.size} workspaces`
  }

  #armDeadline(): void {
    const { clock } = this.#deps
    this.#timer?.cancel()
    this.#timer = clock.after(Math.max(0, this.#deadline - clock.now()), () => this.#expire())
  }

  #expire(): void {
    if (!drains.isUnderWay(this.#drain) || this.#drain.state === 'preparing') return
    const why = this.#cause === '' ? 'the deadline is over' : `the deadline is over; last: ${this.#cause}`
    this.#end(drains.expire(this.#drain), why, new NodeDaemonError('TIMED_OUT', 'the deadline of the drain is over'))
  }

  #end(drain: drains.Drain, lastWord: string, error: NodeDaemonError): void {
    this.#lastWord = lastWord
    this.#become(drain)
    this.#stopped.abort(error)
  }

  #makePlan(wish: DrainWish): DrainPlan {
    const { table, instances, sights, holdings } = this.#deps
    const workspaces = table.homesOf(this.peer).map(({ signed }) => drainableOf(signed.value, sights, holdings))
    const candidates = instances.candidates().filter(({ peer }) => peer !== this.peer)
    const measured = candidates.flatMap(({ peer }) => {
      const rate = sights.bytesPerSecond(peer)
      return rate === null ? [] : [[peer, rate] as const]
    })
    return planDrain(workspaces, candidates, {
      ...wish,
      othersAwaited: this.#awaitsOthers(candidates.length === 0),
      measured: new Map(measured),
      assumed: ASSUMED_BYTES_PER_SECOND,
      uploadLimit: sights.uploadLimit(this.peer)
    })
  }

  /** That nobody is there to take over is believed only after a while, where somebody may come back. */
  #awaitsOthers(isAlone: boolean): boolean {
    const now = this.#deps.clock.now()
    this.#aloneSince = isAlone ? (this.#aloneSince ?? now) : null
    return isAlone && now - (this.#aloneSince ?? now) < PREPARE_MS && this.#deps.sights.awaitsOthers(this.peer)
  }

  /** Tells it without the plan, which may be long: that was told when the drain began. */
  #become(drain: drains.Drain): void {
    this.#drain = drain
    this.#onChange(this.#told([]))
  }
}
