import { type Clock, withTimeout } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { DrainReport, DrainRequest, Welcome } from '../wire/control.ts'
import { checkedTime } from '../wire/drains.ts'
import { knows } from '../wire/revision.ts'
import { isUnderWay } from './drain-end.ts'

const ANSWER_MS = 15_000

export interface DrainRequestsDeps {
  readonly clock: Clock
  readonly isConnected: () => boolean
  readonly send: (request: DrainRequest) => void
}

interface Awaited {
  readonly request: DrainRequest
  readonly resolve: (report: DrainReport) => void
}

/** What an instance asks its coordinator about drains, one question at a time, and what it hears of them. */
export class DrainRequests {
  readonly #deps: DrainRequestsDeps
  #awaited: Awaited | null = null
  #isDraining = false
  #canPlan = true
  #awaitsEnd = false

  constructor(deps: DrainRequestsDeps) {
    this.#deps = deps
  }

  /** Is this instance being drained, as it was told last? */
  get isDraining(): boolean {
    return this.#isDraining
  }

  welcomed(welcome: Pick<Welcome, 'revision'>): void {
    this.#canPlan = knows(welcome, 'drain at a time')
  }

  /** Is this process to be told yet how a drain of it ended, should it be connected anew? */
  get awaitsEnd(): boolean {
    return this.#awaitsEnd
  }

  /**
   * Asks to begin a drain, or to plan one, or for what it would do. Resolves with the first answer.
   *
   * @throws NodeDaemonError `OUT_OF_REACH`, `TIMED_OUT` the coordinator is away; `BAD_REQUEST` the time is too far away;
   *   `REFUSED_BY_POLICY` the coordinator is too old to plan one: it would begin at once
   */
  async ask(request: DrainRequest, signal?: AbortSignal): Promise<DrainReport> {
    const { clock, isConnected, send } = this.#deps
    if (!isConnected()) {
      throw new NodeDaemonError('OUT_OF_REACH', 'the coordinator is away: nothing can be handed over now', {
        advice: 'wait until it is back, or stop with "node-daemon stop"'
      })
    }
    if (request.atMs !== null && !this.#canPlan) {
      throw new NodeDaemonError('REFUSED_BY_POLICY', 'the coordinator is too old to begin a drain at a time', {
        advice: 'ask its admin to upgrade it, or drain now'
      })
    }
    if (request.atMs !== null) checkedTime(request.atMs)
    const { promise, resolve } = Promise.withResolvers<DrainReport>()
    const work = async (): Promise<DrainReport> => {
      this.#awaited = { request, resolve }
      // The coordinator may begin it, and end it, before this process is connected again to hear that.
      if (!request.planOnly && request.atMs === null) this.#awaitsEnd = true
      send(request)
      return promise
    }
    return withTimeout(clock, ANSWER_MS, 'the answer of the coordinator', work, signal)
  }

  /** A report has come. True where it says how a drain of this instance is, and not only what one would do. */
  heard(report: DrainReport): boolean {
    const awaited = this.#awaited
    const isAnswer = awaited !== null && answers(awaited.request, report)
    if (isAnswer) {
      this.#awaited = null
      awaited.resolve(report)
      if (awaited.request.planOnly) return false
    }
    this.#isDraining = isUnderWay(report)
    if (this.#isDraining) this.#awaitsEnd = true
    // Only a certificate says how a drain ended well.
    else if (report.state !== 'drained' || report.certificate.length > 0) this.#awaitsEnd = false
    return true
  }
}

/** Other reports may come in between: of a drain that is under way already, or of a former one. */
function answers({ planOnly, atMs }: DrainRequest, report: DrainReport): boolean {
  if (planOnly) return report.state === 'serving' || report.state === 'failed'
  return atMs === null ? report.state !== 'serving' : report.plannedAtMs !== null
}
