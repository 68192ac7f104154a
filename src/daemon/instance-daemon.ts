import type { InstanceStatusView } from '../console/views.ts'
import { type Instant, withTimeout } from '../core/clock.ts'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import { pairingCode } from '../core/identity.ts'
import type { PeerIdText } from '../core/ids.ts'
import { MembershipClient, type OwnStanding } from '../membership/membership-client.ts'
import type { DrainReport, DrainRequest } from '../wire/control.ts'
import { coordinatorLink } from './coordinator-link.ts'
import { isOver, isUnderWay, lastWord, NOTHING_TO_DRAIN } from './drain-end.ts'
import { keepCertificate, keepUnproven } from './exit-certificate.ts'
import { type InstanceFigures, NO_FIGURES, unsafeReason } from './figures.ts'
import type { InstanceDaemonDeps } from './instance-deps.ts'
import { type LifeState, next } from './instance-life.ts'
import type { InstanceSettings } from './instance-settings.ts'
import type { InstanceEvent, RunningInstance } from './options.ts'
import { type Pin, removePin } from './pin.ts'
import { ServingInstance } from './serving-instance.ts'
import { VERSION } from './version.ts'

interface Outcome {
  readonly exitCode: number
  readonly message: string
}

/** How much longer than its deadline a drain is waited for, for the coordinator to say how it ended. */
const LAST_WORD_MS = 5000

/** How an instance's drain goes on: one report for each change. */
type DrainListener = (report: DrainReport) => void

/** How the process of an instance goes through its life, and how it ends. */
export class InstanceDaemon implements RunningInstance {
  readonly finished: Promise<Outcome>
  readonly startedAtMs: number
  readonly #startedAt: Instant
  readonly #deps: InstanceDaemonDeps
  readonly #stopped = new AbortController()
  readonly #outcome = Promise.withResolvers<Outcome>()
  readonly #drainListeners = new Set<DrainListener>()
  #state: LifeState = 'joining'
  #reason: string | null = null
  #name: string
  #pin: Pin | null = null
  #serving: ServingInstance | null = null
  #drain: DrainReport | null = null
  #certificate: string | null = null
  #leaving = false
  #code = ''
  /** The drain that this process waits for. */
  #asked: { readonly request: DrainRequest; readonly until: Instant } | null = null

  constructor(deps: InstanceDaemonDeps) {
    this.#deps = deps
    this.#name = deps.name
    this.startedAtMs = deps.clock.wall()
    this.#startedAt = deps.clock.now()
    this.finished = this.#outcome.promise
    this.finished.catch(() => undefined)
  }

  /** Aborted when the instance stops. */
  get signal(): AbortSignal {
    return this.#stopped.signal
  }

  get ended(): boolean {
    return this.#stopped.signal.aborted
  }

  get settings(): InstanceSettings {
    return this.#deps.settings
  }

  /** The drain that runs or was the last one. */
  get drainReport(): DrainReport | null {
    return this.#drain
  }

  /** Where the exit certificate of the last drain lies. */
  get certificatePath(): string | null {
    return this.#certificate
  }

  noteJoining(event: InstanceEvent): void {
    if (event.event === 'pending') {
      this.#code = event.code
      this.#become('pending', 'the admin has not approved this instance yet')
    }
    if (event.event === 'unreachable') this.#become('unreachable', event.reason)
  }

  approved(pin: Pin, standing: OwnStanding): void {
    this.#pin = pin
    this.#name = standing.name
    this.#become('approved', null)
    this.#deps.report({ event: 'approved', name: standing.name })
  }

  /** Serves until the instance stops. Rejects when the coordinator decides that it is no member any more. */
  async serve(pin: Pin): Promise<void> {
    const { report, shutdown } = this.#deps
    const serving = await ServingInstance.start(this.#deps, pin, {
      connected: ({ name, homes }) => {
        this.#name = name
        this.#drainAgain(serving)
        if (this.#state !== 'draining') this.#become('serving', null)
        report({ event: 'serving', name, workspaces: homes })
      },
      disconnected: (reason) => {
        if (this.#state !== 'serving') return
        this.#become('unreachable', reason)
        report({ event: 'unreachable', reason })
      },
      drain: (drain) => this.#drained(drain),
      warn: (text) => report({ event: 'warning', text })
    })
    this.#serving = serving
    shutdown.later('the workspaces', () => serving.close())
    try {
      await serving.run(this.#stopped.signal)
    } catch (error) {
      if (this.ended || this.#leaving) return
      if (hasCode(error, 'REVOKED', 'NOT_A_MEMBER')) this.#become('revoked', error.message)
      throw error
    }
  }

  async drain(deadlineMs: number): Promise<void> {
    const { clock } = this.#deps
    if (this.#serving === null && !this.#holdsHomes) return this.#finish({ exitCode: 130, message: '' })
    const until = clock.now() + deadlineMs
    try {
      const request = { deadlineMs, to: null, toRepository: false, planOnly: false, leave: false, atMs: null }
      await this.finishDrain(await this.drainAway(request))
    } catch (error) {
      if (!hasCode(error, 'OUT_OF_REACH', 'TIMED_OUT')) throw error
      // Without a coordinator nothing can be handed over: what is left to do is to save all, should it come back.
      await this.flush(Math.max(0, Math.round(until - clock.now())))
    }
  }

  /** A drain that this process waits for is asked for again, should the coordinator not know of it any more. */
  #drainAgain(serving: ServingInstance): void {
    const { clock, log } = this.#deps
    const asked = this.#asked
    if (asked === null) return
    const request = { ...asked.request, deadlineMs: Math.round(Math.max(0, asked.until - clock.now())) }
    serving.requestDrain(request, this.#stopped.signal).catch((error: unknown) => {
      log.warn({ error: messageOf(error) }, 'the coordinator was not asked again to go on with the drain')
    })
  }

  /** How long the files of users stay on this disk after the next handovers. */
  keepFor(ms: number): void {
    this.#deps.keep.ms = ms
  }

  resolvePeer(text: string): PeerIdText {
    return this.#needServing().resolvePeer(text)
  }

  /** Has a drain begin at `atMs`. Resolves once that is durable at the coordinator. */
  planLater(request: DrainRequest): Promise<DrainReport> {
    return this.#needServing().requestDrain(request, this.#stopped.signal)
  }

  /** What a drain would do. */
  async planDrain(request: DrainRequest): Promise<DrainReport> {
    return this.#needServing().requestDrain({ ...request, planOnly: true })
  }

  /**
   * Hands everything over. Resolves with the report of how it ended.
   *
   * @throws NodeDaemonError `OUT_OF_REACH` the coordinator is away; `TIMED_OUT` it did not say how it ended
   */
  async drainAway(request: DrainRequest, onReport: DrainListener = () => undefined): Promise<DrainReport> {
    const serving = this.#serving
    if (serving === null) return this.#withoutServing()
    const { promise, resolve } = Promise.withResolvers<DrainReport>()
    const listener = (report: DrainReport): void => {
      onReport(report)
      if (isOver(report)) resolve(report)
    }
    const { clock } = this.#deps
    this.#drainListeners.add(listener)
    try {
      const first = await serving.requestDrain(request, this.#stopped.signal)
      // `drained` counts once its certificate is checked.
      if (isOver(first) && first.state !== 'drained') return first
      this.#asked = { request, until: clock.now() + request.deadlineMs }
      const patience = request.deadlineMs + LAST_WORD_MS
      return await withTimeout(clock, patience, 'the drain', () => promise, this.#stopped.signal)
    } finally {
      this.#asked = null
      this.#drainListeners.delete(listener)
    }
  }

  /** Before it serves, an instance holds what a former run has left. */
  async #withoutServing(): Promise<DrainReport> {
    if (!this.#holdsHomes) return NOTHING_TO_DRAIN
    throw new NodeDaemonError('OUT_OF_REACH', 'the coordinator is away: nothing can be handed over now')
  }

  /** Ends the process after a drain, as its last report says. */
  async finishDrain(last: DrainReport): Promise<void> {
    if (last.state === 'drained') {
      return this.#finish({ exitCode: 0, message: lastWord(last) })
    }
    if (last.state === 'failed') {
      throw new NodeDaemonError('REFUSED_BY_POLICY', last.reason, {
        advice: 'approve another instance, give a longer --deadline, or drain with --to-repository'
      })
    }
    if (last.state === 'cancelled') return
    const list = last.unproven.length === 0 ? '' : `; the list is kept in ${await keepUnproven(this.#deps, last)}`
    const message = `Not proven elsewhere yet: ${last.unproven.join(' ') || last.reason}${list}`
    await this.#finish({ exitCode: 6, message })
  }

  cancelDrain(): void {
    this.#needServing().cancelDrain()
  }

  async flush(deadlineMs: number): Promise<void> {
    const serving = this.#serving
    if (serving === null) return this.#finish(this.#stoppedEarly())
    try {
      await serving.flush(deadlineMs)
    } catch (error) {
      if (!(error instanceof NodeDaemonError)) throw error
      const message = `Stopped with changes that are not durable elsewhere; they stay on this disk (${error.message}).`
      return this.#finish({ exitCode: 6, message })
    }
    await this.#finish({
      exitCode: 0,
      message: 'Stopped: everything is durable elsewhere. "node-daemon join" resumes.'
    })
  }

  /** Is there anything here that a former run was home of? */
  get #holdsHomes(): boolean {
    return this.#deps.homesLeft > 0
  }

  #stoppedEarly(): Outcome {
    if (!this.#holdsHomes) return { exitCode: 0, message: '' }
    const message = 'Stopped before the coordinator answered; what is on this disk may not be durable elsewhere.'
    return { exitCode: 6, message }
  }

  /** Gives up the membership after a drain and removes the files of users. Resolves with how many there were. */
  async leaveForGood(): Promise<number> {
    const pin = this.#pin
    const removed = (await this.#serving?.removeFiles()) ?? 0
    if (pin !== null) {
      // From here on the coordinator ends the connection, and that is no error.
      this.#leaving = true
      await new MembershipClient(this.#deps).resign(pin)
      await removePin(this.#deps.state)
    }
    return removed
  }

  finishLeave(removedFiles: number): Promise<void> {
    return this.#finish({ exitCode: 0, message: `Left the federation; ${removedFiles} files of users were removed.` })
  }

  abort(): void {
    void this.#finish({ exitCode: 130, message: '' })
  }

  /** Ends with an error. */
  async fail(error: Error): Promise<void> {
    if (this.ended) return
    this.#stopped.abort(new NodeDaemonError('ABORTED', 'stopping'))
    await this.#deps.shutdown.run()
    this.#outcome.reject(error)
  }

  status(): InstanceStatusView {
    const { host, settings } = this.#deps
    const figures = this.#serving?.figures() ?? this.#figuresBefore()
    const unsafe = unsafeReason(figures, this.#serving?.connected === true)
    return {
      role: 'instance',
      state: this.#state,
      name: this.#name,
      peerId: host.peerId,
      code: this.#pin === null ? this.#code : pairingCode(host.peerId, this.#pin.peer),
      coordinator: coordinatorLink(host, this.#pin, this.#serving?.connected ?? false),
      users: figures.users,
      workspaces: { home: figures.home, standby: figures.standby },
      usedBytes: figures.usedBytes,
      unsyncedBytes: figures.unsyncedBytes,
      unsyncedAgeMs: figures.unsyncedAgeMs,
      safeToSwitchOff: unsafe === null,
      reason: unsafe ?? this.#reason,
      version: VERSION,
      startedAt: new Date(this.startedAtMs).toISOString(),
      drain: null,
      limits: settings.view,
      clockSkewMs: this.#serving?.clockSkewMs ?? null
    }
  }

  /** Before it serves: nothing proves that what a former run has left is durable elsewhere. */
  #figuresBefore(): InstanceFigures {
    const { clock, homesLeft } = this.#deps
    return { ...NO_FIGURES, home: homesLeft, unsyncedAgeMs: homesLeft === 0 ? 0 : clock.now() - this.#startedAt }
  }

  /** A report of the coordinator about a drain of this instance, whoever began it. */
  #drained(report: DrainReport): void {
    this.#drain = report.state === 'serving' && report.plannedAtMs === null ? null : report
    const { state, workspaces, bytes, etaMs, reason } = report
    if (isUnderWay(report)) {
      if (this.#state === 'serving') this.#become('draining', null)
      this.#deps.report({ event: 'draining', state, workspaces, bytes, etaMs, reason })
      this.#tell(report)
    } else if (state === 'drained') {
      if (report.certificate.length === 0) this.#become('drained', reason)
      else void this.#keepProof(report)
    } else {
      this.#serveOn(reason)
      this.#tell(report)
      if (state === 'expired') this.#endUnasked(report)
    }
  }

  /** The drain ended early, or was taken back. */
  #serveOn(reason: string): void {
    const before = this.#state
    if (before !== 'draining' && before !== 'drained') return
    this.#become('serving', reason === '' ? null : reason)
    if (before === 'draining') return
    this.#deps.report({ event: 'serving', name: this.#name, workspaces: this.#serving?.figures().home ?? 0 })
  }

  /** A drain that was begun to end this process ends it, also where nobody here waits for it any more. */
  #endUnasked(last: DrainReport): void {
    if (!last.exits || this.#drainListeners.size > 0) return
    this.finishDrain(last).catch((error: unknown) => {
      this.#deps.log.error({ error: messageOf(error) }, 'the end of a drain was not carried out')
    })
  }

  async #keepProof(report: DrainReport): Promise<void> {
    const { folder, clock, log, report: tell, host } = this.#deps
    const homes = this.#serving?.homes() ?? []
    const leaving = { instance: host.peerId, federation: this.#pin?.peer ?? host.peerId, homes }
    const kept = await keepCertificate(folder, clock, report.certificate, leaving)
    if (kept.path === null) {
      log.error({ problems: kept.problems }, 'the exit certificate does not verify')
      const reason = `the exit certificate does not verify: ${kept.problems.join('; ')}`
      const expired = { ...report, state: 'expired' as const, reason }
      this.#tell(expired)
      return this.#endUnasked(expired)
    }
    this.#certificate = kept.path
    if (this.#state === 'serving' || this.#state === 'draining') this.#become('drained', null)
    tell({ event: 'drained', certificate: kept.path, message: lastWord(report) })
    this.#tell(report)
    this.#endUnasked(report)
  }

  #tell(report: DrainReport): void {
    for (const listener of this.#drainListeners) listener(report)
  }

  #needServing(): ServingInstance {
    if (this.#serving !== null) return this.#serving
    throw new NodeDaemonError('ILLEGAL_TRANSITION', `this instance is ${this.#state}: there is nothing to drain`)
  }

  #become(state: LifeState, reason: string | null): void {
    this.#state = next(this.#state, state)
    this.#reason = reason
  }

  async #finish(outcome: Outcome): Promise<void> {
    if (this.ended) return
    this.#stopped.abort(new NodeDaemonError('ABORTED', 'stopping'))
    await this.#deps.shutdown.run()
    this.#outcome.resolve(outcome)
  }
}
