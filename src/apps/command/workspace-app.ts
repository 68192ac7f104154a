import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { aborted, type Clock, type Instant, withTimeout } from '../../core/clock.ts'
import { hasCode, messageOf, NodeDaemonError } from '../../core/errors.ts'
import type { Logger } from '../../core/log.ts'
import { Mutex } from '../../core/mutex.ts'
import type { App, AppRequestContext } from '../app.ts'
import type { HookPlace } from '../hooks.ts'
import { markRunning, unmark } from './leftovers.ts'
import { type Placed, planCommand, type Relay } from './plan.ts'
import { becomesReady, failureOf, type Ready, release } from './ready.ts'
import { AppProcess, type SendSignal } from './running.ts'
import { confined, type Rooms, type Sandbox } from './sandbox.ts'
import type { CommandSpec } from './spec.ts'

export interface WorkspaceAppDeps {
  readonly spec: CommandSpec
  readonly sandbox: Sandbox
  readonly relay: Relay
  readonly environment: Readonly<Record<string, string>>
  readonly readable: readonly string[]
  /** The same at each home of the workspace, and known to nobody else. */
  readonly secret: () => string
  /** Tells whether the app is ready once it answers; null: it is. */
  readonly isReady: ((signal: AbortSignal) => Promise<boolean>) | null
  /** Tells whether users are at work though nobody asks it anything; null: nobody is. */
  readonly isAtWork: (() => Promise<boolean>) | null
  /** Its own folder: its log, its socket. */
  readonly folder: string
  /** How long it may take until it is ready, in milliseconds. */
  readonly startMs: number
  /**
   * Takes its place among the apps that run at once. What is returned gives it back; a second time it does nothing.
   *
   * @throws NodeDaemonError no app may be started now
   */
  readonly admit: () => Promise<() => void>
  readonly onClosed: () => void
  readonly send: SendSignal
  readonly clock: Clock
  readonly log: Logger
}

/** How long a request waits for the app to be ready. */
const WAIT_MS = 20_000
const AGAIN_MS_MIN = 500
const AGAIN_MS_MAX = 60_000
/** An app that has run for so long has not failed to start. */
const STEADY_MS = 60_000
const GRACE_MS = 3000
/** For so long, what it said of users at work is believed. */
const AT_WORK_MS = 10_000

interface Run {
  readonly base: string
  readonly running: AppProcess
  readonly ready: Promise<Ready>
  readonly since: Instant
}

/** The app of one workspace, while this instance is its home: started when it is first asked for. */
export class WorkspaceApp {
  readonly place: HookPlace
  readonly #deps: WorkspaceAppDeps
  readonly #changing = new Mutex()
  /** Aborted while no request is let in. */
  #open = new AbortController()
  #isClosed = false
  #run: Run | null = null
  #uses = 0
  #usedAt: Instant
  #failures = 0
  #failure = ''
  #againAt: Instant = 0
  #base = '/'
  #limitBytes: number | null = null
  /** Until when its users are taken to be at work. */
  #atWorkUntil: Instant = Number.NEGATIVE_INFINITY
  #asking: Promise<boolean> | null = null

  constructor(deps: WorkspaceAppDeps, place: HookPlace) {
    this.#deps = deps
    this.place = place
    this.#usedAt = deps.clock.now()
  }

  get isRunning(): boolean {
    return this.#run !== null
  }

  get running(): AppProcess | null {
    return this.#run?.running ?? null
  }

  /** Since when nobody uses it; null while somebody does, or was at work in it a moment ago. */
  get idleSince(): Instant | null {
    return this.#uses > 0 || this.#deps.clock.now() < this.#atWorkUntil ? null : this.#usedAt
  }

  /** What its workspace may hold, as the last request said; null: no bound. */
  get limitBytes(): number | null {
    return this.#limitBytes
  }

  /** Where what it writes takes room on the disk. */
  get folders(): readonly string[] {
    const { workspace, run } = this.#rooms()
    return [workspace, run]
  }

  /** Counts a use until the returned function is called, once. */
  use({ allowance }: Pick<AppRequestContext, 'allowance'>): () => void {
    this.#limitBytes = allowance.limitBytes
    this.#uses++
    return () => {
      this.#uses--
      this.#usedAt = this.#deps.clock.now()
    }
  }

  /**
   * The app, ready to be asked. It is started where it does not run.
   *
   * @param base the path below which users reach it, with a `/` at both ends
   * @throws NodeDaemonError `NOT_HOME` no request is let in now; `BUSY` it is not ready yet; `OUT_OF_REACH` it has failed,
   *   and is started again in a while; what `admit` throws
   */
  async reach(base: string): Promise<App> {
    const { signal } = this.#open
    if (signal.aborted) throw aborted(signal)
    const run = await this.#changing.run(() => this.#running(base, signal))
    try {
      const what = 'the start of the app'
      return (await withTimeout(this.#deps.clock, WAIT_MS, what, () => run.ready, signal)).app
    } catch (error) {
      if (!hasCode(error, 'TIMED_OUT')) throw error
      throw new NodeDaemonError('BUSY', 'the app of this service is starting: ask again in a moment')
    }
  }

  /** Lets no request in: those that wait for its start are refused with `NOT_HOME`. */
  hold(): void {
    this.#open.abort(new NodeDaemonError('NOT_HOME', `workspace ${this.place.workspace} is not served here now`))
  }

  /** Lets requests in again. */
  letIn(): void {
    if (!this.#isClosed && this.#open.signal.aborted) this.#open = new AbortController()
  }

  /** Asks it to end, and makes it end after a while. It runs no more on return. */
  async stop(): Promise<void> {
    await this.#changing.run(() => this.#stop())
  }

  /** The same, where nobody uses it and nobody is at work in it, which it is asked first. False: somebody is. */
  async stopIfIdle(): Promise<boolean> {
    if (this.isRunning && (await this.#isAtWork())) {
      this.#usedAt = this.#deps.clock.now()
      this.#atWorkUntil = this.#usedAt + AT_WORK_MS
    }
    return await this.#changing.run(async () => {
      if (this.idleSince === null) return false
      await this.#stop()
      return true
    })
  }

  /** Asked once at a time, whoever wants to know. */
  async #isAtWork(): Promise<boolean> {
    const { isAtWork } = this.#deps
    if (isAtWork === null) return false
    this.#asking ??= isAtWork().finally(() => {
      this.#asking = null
    })
    return await this.#asking
  }

  /** The same as `stop`, and nothing is let in any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.hold()
    await this.stop()
    this.#deps.onClosed()
  }

  #rooms(): Rooms {
    return { workspace: this.place.folder, run: join(this.#deps.folder, 'run'), readable: this.#deps.readable }
  }

  /** The path below which users reach it, as far as it is known. */
  get base(): string {
    return this.#base
  }

  #placed(base: string): Placed {
    return { folder: this.place.folder, base, secret: this.#deps.secret(), run: this.#rooms().run }
  }

  async #running(base: string, signal: AbortSignal): Promise<Run> {
    if (this.#run !== null && this.#run.base !== base) await this.#stop()
    if (this.#run !== null) return this.#run
    if (this.#deps.clock.now() < this.#againAt) throw new NodeDaemonError('OUT_OF_REACH', this.#failure)
    const leave = await this.#deps.admit()
    try {
      if (signal.aborted) throw aborted(signal)
      return await this.#start(base, signal, leave)
    } catch (error) {
      if (this.#run === null) leave()
      throw error
    }
  }

  async #start(base: string, signal: AbortSignal, leave: () => void): Promise<Run> {
    const { clock, log, send, folder, spec, sandbox, relay } = this.#deps
    const { workspace, service } = this.place
    const rooms = this.#rooms()
    await rm(rooms.run, { recursive: true, force: true })
    await mkdir(rooms.run, { recursive: true, mode: 0o700 })
    this.#base = base
    const plan = await planCommand(spec, sandbox, relay, this.#placed(base))
    log.info({ workspace, service }, 'an app is started')
    const environment = { ...this.#deps.environment, ...plan.environment }
    const start = { ...confined(sandbox, rooms, plan.command), folder: this.place.folder, environment }
    const started = new AppProcess({ clock, send }, { ...start, log: join(folder, 'log') })
    void started.ended.then(leave)
    const ready = becomesReady(this.#deps, started, { locate: plan.locate, base }, signal)
    ready.catch(() => undefined)
    const begun: Run = { base, running: started, ready, since: clock.now() }
    this.#run = begun
    const root = await started.root()
    await markRunning(folder, root, sandbox.kind === 'none', this.place.folder)
    started.ended
      .then((why) => this.#hasEnded(begun, why))
      .then(() => (root === null ? undefined : unmark(folder, root)))
      .catch((error: unknown) => log.warn({ workspace, error: messageOf(error) }, 'what an app left is still there'))
    return begun
  }

  async #hasEnded(run: Run, why: string): Promise<void> {
    const { clock, log } = this.#deps
    const isExpected = this.#run !== run || this.#open.signal.aborted
    if (this.#run === run) this.#run = null
    await release(run.ready)
    if (isExpected) return
    if (clock.now() - run.since > STEADY_MS) this.#failures = 0
    this.#failure = failureOf(why, run.running)
    this.#againAt = clock.now() + Math.min(AGAIN_MS_MAX, AGAIN_MS_MIN * 2 ** this.#failures++)
    const { workspace, service } = this.place
    log.warn({ workspace, service, reason: this.#failure }, 'an app has ended by itself')
  }

  async #stop(): Promise<void> {
    const run = this.#run
    this.#run = null
    if (run === null) return
    this.#failures = 0
    await run.running.stop(GRACE_MS)
    await release(run.ready)
  }
}
