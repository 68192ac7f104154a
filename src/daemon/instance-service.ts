import type { InstanceDrainOrder, LeaveOrder, SettingsChange } from '../console/inputs.ts'
import type { InstanceService } from '../console/service.ts'
import type { DrainView, InstanceStatusView, LeaveView, SettingsView, StoppedView } from '../console/views.ts'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { DrainReport, DrainRequest } from '../wire/control.ts'
import { drainView } from './drain-view.ts'
import type { InstanceDaemon } from './instance-daemon.ts'

const DEFAULT_DEADLINE_MS = 10 * 60_000
const FLUSH_MS = 60_000
/** So that the answer still reaches who asked. */
const LAST_WORD_MS = 200

/** The instance as its own command line sees it. */
export class LiveInstanceService implements InstanceService {
  readonly #daemon: InstanceDaemon
  readonly #clock: Clock

  constructor(daemon: InstanceDaemon, clock: Clock) {
    this.#daemon = daemon
    this.#clock = clock
  }

  status(): InstanceStatusView {
    const report = this.#daemon.drainReport
    return { ...this.#daemon.status(), drain: report === null ? null : this.#view(report) }
  }

  async *drain(order: InstanceDrainOrder, signal: AbortSignal): AsyncGenerator<DrainView> {
    const request = this.#requestOf(order, false)
    if (order.plan === true) {
      yield this.#view(await this.#daemon.planDrain(request))
      return
    }
    if (order.keepMs !== undefined) this.#daemon.keepFor(order.keepMs)
    let last: DrainReport | null = null
    for await (const report of this.#reports(request, signal)) {
      last = report
      yield this.#view(report)
    }
    if (last !== null && last.state !== 'failed') this.#later(() => this.#daemon.finishDrain(last))
  }

  cancelDrain(): DrainView {
    const report = this.#daemon.drainReport
    if (report === null || !isUnderWay(report)) throw new NodeDaemonError('ILLEGAL_TRANSITION', 'no drain is under way')
    this.#daemon.cancelDrain()
    return this.#view({ ...report, state: 'cancelled' })
  }

  stop(): StoppedView {
    this.#later(() => this.#daemon.flush(FLUSH_MS))
    return { state: 'stopped' }
  }

  async *leave(order: LeaveOrder, signal: AbortSignal): AsyncGenerator<LeaveView> {
    let last: DrainReport | null = null
    for await (const report of this.#reports(this.#requestOf(order, true), signal)) {
      last = report
      if (report.state !== 'drained') yield this.#view(report)
    }
    if (last?.state !== 'drained') {
      if (last !== null && last.state !== 'failed') this.#later(() => this.#daemon.finishDrain(last))
      return
    }
    const removedFiles = await this.#daemon.leaveForGood()
    yield { ...this.#view(last), state: 'left', removedFiles }
    this.#later(() => this.#daemon.finishLeave(removedFiles))
  }

  settings(): SettingsView {
    return this.#daemon.settings.view
  }

  changeSettings(change: SettingsChange): Promise<SettingsView> {
    const { uploadLimit, downloadLimit, capacity } = change
    return this.#daemon.settings.change({
      ...(uploadLimit !== undefined && { uploadLimit }),
      ...(downloadLimit !== undefined && { downloadLimit }),
      ...(capacity !== undefined && { capacity })
    })
  }

  /** The reports of a drain as they come; the newest is never left out. */
  async *#reports(request: DrainRequest, signal: AbortSignal): AsyncGenerator<DrainReport> {
    const waiting: DrainReport[] = []
    let wake: () => void = () => undefined
    let over = false
    let failure: unknown = null
    const stop = (): void => wake()
    signal.addEventListener('abort', stop, { once: true })
    const ended = this.#daemon.drainAway(request, (report) => {
      waiting.push(report)
      wake()
    })
    ended
      .then(
        (last) => {
          if (waiting.at(-1) !== last) waiting.push(last)
        },
        (error: unknown) => {
          failure = error
        }
      )
      .finally(() => {
        over = true
        wake()
      })
    while (!signal.aborted) {
      const report = waiting.shift()
      if (report !== undefined) yield report
      else if (failure !== null) throw failure
      else if (over) return
      else
        await new Promise<void>((resolve) => {
          wake = resolve
        })
    }
    // Nobody listens any more: the drain goes on, and ends the process as it would have.
    ended.then((last) => this.#daemon.finishDrain(last)).catch(() => undefined)
  }

  #requestOf(order: InstanceDrainOrder, leave: boolean): DrainRequest {
    return {
      deadlineMs: order.deadlineMs ?? DEFAULT_DEADLINE_MS,
      to: order.to === undefined ? null : this.#daemon.resolvePeer(order.to),
      toRepository: order.toRepository ?? false,
      planOnly: order.plan ?? false,
      leave
    }
  }

  /** The path of the certificate's file stands for the certificate. */
  #view(report: DrainReport): DrainView {
    return { ...drainView(report), certificate: report.state === 'drained' ? this.#daemon.certificatePath : null }
  }

  #later(work: () => Promise<void>): void {
    this.#clock.after(LAST_WORD_MS, () => void work())
  }
}

const isUnderWay = ({ state }: DrainReport): boolean =>
  state === 'preparing' || state === 'draining' || state === 'stalled'
