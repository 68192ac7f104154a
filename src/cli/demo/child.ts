import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { aborted, type Clock, withTimeout } from '../../core/clock.ts'
import { NodeDaemonError } from '../../core/errors.ts'

const EVENTS_MAX = 10_000
const LOG_LINES_MAX = 200
const LOG_LINES_SHOWN = 8

/** One line that a daemon prints with `--json`. */
export type DaemonEvent = { readonly event: string } & Readonly<Record<string, unknown>>
export interface Ending {
  readonly code: number | null
  readonly signal: string | null
}

const PROGRAM = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js', import.meta.url))

function eventOf(line: string): DaemonEvent | null {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value !== 'object' || value === null || !('event' in value) || typeof value.event !== 'string')
      return null
    return { ...value, event: value.event }
  } catch {
    return null
  }
}

/**
 * This program as a process of its own, with `--json`. It does not get the terminal's Ctrl-C, and holds a channel to
 * its parent, so that it notices when the parent is gone.
 */
export class Child {
  readonly name: string
  readonly ended: Promise<Ending>
  readonly #process: ChildProcess
  readonly #clock: Clock
  readonly #events: DaemonEvent[] = []
  readonly #log: string[] = []
  readonly #waiting = new Set<() => void>()
  #ending: Ending | null = null

  constructor(
    name: string,
    args: readonly string[],
    deps: { clock: Clock; env: Readonly<Record<string, string | undefined>> }
  ) {
    this.name = name
    this.#clock = deps.clock
    const env = Object.fromEntries(Object.entries(deps.env).filter(([key]) => !key.startsWith('NODE_DAEMON_')))
    this.#process = spawn(process.execPath, [PROGRAM, ...args, '--json'], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc']
    })
    this.ended = new Promise((resolve, reject) => {
      this.#process.once('error', reject)
      this.#process.once('close', (code, signal) => {
        this.#ending = { code, signal }
        resolve(this.#ending)
        this.#wake()
      })
    })
    this.ended.catch(() => this.#wake())
    this.#readLines()
  }

  /** The first line with this event, past or to come. Rejects when the process ends before, or after `ms`. */
  async event(name: string, ms: number, signal: AbortSignal): Promise<DaemonEvent> {
    return await withTimeout(
      this.#clock,
      ms,
      `waiting until ${this.name} is ${name}`,
      (late) => this.#awaited(name, late),
      signal
    )
  }

  /** SIGKILL cannot be ignored: the process is gone at once, without a word. */
  kill(): void {
    this.#process.kill('SIGKILL')
  }

  /** The last lines of its log. */
  get logTail(): string {
    return this.#log.slice(-LOG_LINES_SHOWN).join(' | ')
  }

  #readLines(): void {
    const { stdout, stderr } = this.#process
    if (stdout === null || stderr === null) throw new NodeDaemonError('UNEXPECTED', 'a child without pipes')
    createInterface({ input: stdout }).on('line', (line) => {
      const event = eventOf(line)
      if (event === null || this.#events.length >= EVENTS_MAX) return
      this.#events.push(event)
      this.#wake()
    })
    createInterface({ input: stderr }).on('line', (line) => {
      this.#log.push(line.slice(0, 2000))
      if (this.#log.length > LOG_LINES_MAX) this.#log.shift()
    })
  }

  async #awaited(name: string, signal: AbortSignal): Promise<DaemonEvent> {
    for (;;) {
      const found = this.#events.find(({ event }) => event === name)
      if (found !== undefined) return found
      if (this.#ending !== null) {
        throw new NodeDaemonError('UNEXPECTED', `${this.name} ended with code ${this.#ending.code}: ${this.logTail}`)
      }
      await this.#change(signal)
    }
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.#waiting.delete(done)
        if (signal.aborted) reject(aborted(signal))
        else resolve()
      }
      this.#waiting.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done()
  }
}
