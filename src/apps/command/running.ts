import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { type Clock, sleep } from '../../core/clock.ts'
import { messageOf } from '../../core/errors.ts'
import { LogFile } from './log-file.ts'
import { factsOf, ProcessTable } from './proc.ts'
import type { Confined } from './sandbox.ts'
import { spawnConfined } from './spawn.ts'

/** Sends a signal to a process, or with a negative number to a group. Does nothing where there is none any more. */
export type SendSignal = (pid: number, signal: 'SIGTERM' | 'SIGKILL') => void

export interface ProcessDeps {
  readonly clock: Clock
  readonly send: SendSignal
}

export interface Start extends Confined {
  readonly folder: string
  readonly environment: Readonly<Record<string, string>>
  readonly log: string
}

/** How long the output of a process that has ended is still read: what it left running may hold it open. */
const LAST_OUTPUT_MS = 200
const GONE_POLL_MS = 10

/** The process of an app, with all that it starts. It ends with the process of the daemon, however that ends. */
export class AppProcess {
  /** Resolves once it has ended, with all that it started, with why: a text for people. Never rejects. */
  readonly ended: Promise<string>
  readonly #deps: ProcessDeps
  readonly #child: ChildProcess
  readonly #log: LogFile
  readonly #isConfined: boolean
  readonly #placed = Promise.withResolvers<number | null>()
  #root: number | null = null
  #rootStartedAt: string | undefined
  #reason: string | null = null
  #hasEnded = false

  constructor(deps: ProcessDeps, start: Start) {
    this.#deps = deps
    this.#log = new LogFile(start.log)
    this.#isConfined = start.hidden.length > 0
    this.#child = spawnConfined(start, start, (pid) => this.#place(pid))
    if (!this.#isConfined) this.#place(this.#child.pid ?? null)
    this.ended = this.#run()
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  get lastLine(): string {
    return this.#log.lastLine
  }

  /** The process from which all others of the app descend; null where it has ended, or was not started. */
  root(): Promise<number | null> {
    return this.#placed.promise
  }

  /** The same, as far as it is known. */
  get rootNow(): number | null {
    return this.#hasEnded ? null : this.#root
  }

  /** Asks it to end, and makes it end after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    const enough = new AbortController()
    await this.#placed.promise
    this.#askToEnd()
    const late = sleep(this.#deps.clock, graceMs, enough.signal).then(
      () => this.kill(`it did not end within ${graceMs} ms`),
      () => undefined
    )
    await this.ended
    enough.abort()
    await late
  }

  /** Ends it and all that it has started, at once. */
  kill(reason: string): void {
    if (this.#hasEnded) return
    this.#reason ??= reason
    const { send } = this.#deps
    const root = this.#root
    // The first process of a namespace takes all others with it.
    if (this.#isConfined && root !== null) send(root, 'SIGKILL')
    const { pid } = this.#child
    if (pid === undefined) return
    const left = this.#isConfined ? [] : new ProcessTable().tree(pid)
    send(-pid, 'SIGKILL')
    for (const one of left) send(one, 'SIGKILL')
  }

  #askToEnd(): void {
    const root = this.#root
    if (root === null || this.#hasEnded) return
    // In a namespace the root only waits for the app, which is its child.
    const heads = this.#isConfined ? new ProcessTable().childrenOf(root) : [root]
    for (const pid of heads) this.#deps.send(pid, 'SIGTERM')
  }

  async #run(): Promise<string> {
    const { stdout, stderr } = this.#child
    const following = [stdout, stderr].flatMap((stream) => (stream === null ? [] : [this.#log.follow(stream)]))
    const ending = await ended(this.#child)
    await this.#allEnded()
    this.#hasEnded = true
    this.#place(null)
    await Promise.race([Promise.all(following), sleep(this.#deps.clock, LAST_OUTPUT_MS)])
    stdout?.destroy()
    stderr?.destroy()
    return this.#reason ?? ending
  }

  /** Resolves once nothing of it is left. Without a namespace, what has left its process group is not known. */
  async #allEnded(): Promise<void> {
    const { pid } = this.#child
    if (pid !== undefined) this.#deps.send(-pid, 'SIGKILL')
    // The first process of a namespace ends after all others of it.
    while (this.#isRootThere()) await sleep(this.#deps.clock, GONE_POLL_MS)
  }

  #isRootThere(): boolean {
    const facts = this.#root === null ? null : factsOf(this.#root)
    return facts !== null && facts.startedAt === this.#rootStartedAt
  }

  #place(root: number | null): void {
    if (this.#root === null && root !== null) this.#rootStartedAt = factsOf(root)?.startedAt
    this.#root ??= root
    this.#placed.resolve(root)
  }
}

/** How it ended, for people. */
async function ended(child: ChildProcess): Promise<string> {
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    return code === null ? `it was ended by ${signal}` : `it ended with ${code}`
  } catch (error) {
    return `it could not be started: ${messageOf(error)}`
  }
}
