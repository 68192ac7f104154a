import type { InstanceDrainOrder, LeaveOrder, SettingsChange } from '../console/inputs.ts'
import type { InstanceService } from '../console/service.ts'
import type { DrainView, InstanceStatusView, LeaveView, SettingsView, StoppedView } from '../console/views.ts'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { DrainReport, DrainRequest } from '../wire/control.ts'
import { isUnderWay } from './drain-end.ts'
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
    if (request.atMs !== null) {
      yield this.#view(await this.#daemon.planLater(request))
      return
    }
    const reports = new DrainReports(signal)
    const ended = this.#daemon.drainAway(request, reports.add)
    // Also where nobody listens any more: the drain goes on, and ends the process.
    ended.then((last) => this.#finishLater(last)).catch(() => undefined)
    for await (const report of reports.until(ended)) yield this.#view(report)
  }

  cancelDrain(): DrainView {
    const report = this.#daemon.drainReport
    if (report === null || (!isUnderWay(report) && report.plannedAtMs === null)) {
      throw new NodeDaemonError('ILLEGAL_TRANSITION', 'no drain is under way or planned')
    }
    this.#daemon.cancelDrain()
    return this.#view(isUnderWay(report) ? { ...report, state: 'cancelled' } : { ...report, plannedAtMs: null })
  }

  stop(): StoppedView {
    this.#later(() => this.#daemon.flush(FLUSH_MS))
    return { state: 'stopped' }
  }

  async *leave(order: LeaveOrder, signal: AbortSignal): AsyncGenerator<LeaveView> {
    const reports = new DrainReports(signal)
    const ended = this.#daemon.drainAway(this.#requestOf(order, true), reports.add)
    // Also where nobody listens any more: the leave goes on to its end.
    const left = ended.then((last) => this.#leaveAfter(last))
    left.catch(() => undefined)
    for await (const report of reports.until(ended)) if (report.state !== 'drained') yield this.#view(report)
    if (signal.aborted) return
    const removedFiles = await left
    if (removedFiles !== null) yield { ...this.#view(await ended), state: 'left', removedFiles }
  }

  /** How many files of users were removed; null where the drain did not end well, and nothing was. */
  async #leaveAfter(last: DrainReport): Promise<number | null> {
    if (last.state !== 'drained') {
      this.#finishLater(last)
      return null
    }
    const removedFiles = await this.#daemon.leaveForGood()
    this.#later(() => this.#daemon.finishLeave(removedFiles))
    return removedFiles
  }

  settings(): SettingsView {
    return this.#daemon.settings.view
  }

  changeSettings(change: SettingsChange): Promise<SettingsView> {
    const { uploadLimit, uploadHours, downloadLimit, downloadHours, capacity } = change
    return this.#daemon.settings.change({
      ...(uploadLimit !== undefined && { uploadLimit }),
      ...(uploadHours !== undefined && { uploadHours }),
      ...(downloadLimit !== undefined && { downloadLimit }),
      ...(downloadHours !== undefined && { downloadHours }),
      ...(capacity !== undefined && { capacity })
    })
  }

  #finishLater(last: DrainReport): void {
    if (last.state !== 'failed') this.#later(() => this.#daemon.finishDrain(last))
  }

  #requestOf({ at, ...order }: InstanceDrainOrder, leave: boolean): DrainRequest {
    return {
      deadlineMs: order.deadlineMs ?? DEFAULT_DEADLINE_MS,
      to: order.to === undefined ? null : this.#daemon.resolvePeer(order.to),
      toRepository: order.toRepository ?? false,
      planOnly: order.plan ?? false,
      leave,
      atMs: at !== undefined && Date.parse(at) > this.#clock.wall() ? Date.parse(at) : null
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

/** The reports of a drain as they come, for as long as somebody listens. */
class DrainReports {
  readonly #signal: AbortSignal
  readonly #waiting: DrainReport[] = []
  #wake: () => void = () => undefined

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  readonly add = (report: DrainReport): void => {
    if (this.#signal.aborted) return
    this.#waiting.push(report)
    this.#wake()
  }

  /** Up to the last one, which is never left out. Rejects as `ended` does. */
  async *until(ended: Promise<DrainReport>): AsyncGenerator<DrainReport> {
    let over = false
    const settle = (): void => {
      over = true
      this.#wake()
    }
    ended.then(settle, settle)
    this.#signal.addEventListener('abort', () => this.#wake(), { once: true })
    let told: DrainReport | null = null
    while (!this.#signal.aborted) {
      const report = this.#waiting.shift()
      if (report !== undefined) {
        told = report
        yield report
      } else if (over) {
        const last = await ended
        if (last !== told) yield last
        return
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }
}
