import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** What is started. */
export interface Launch {
  readonly program: string
  /** Flags of Node for the process of this name. */
  readonly nodeFlags: (name: string) => readonly string[]
}

export const COMPILED: Launch = {
  program: process.env.E2E_PROGRAM ?? fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url)),
  nodeFlags: () => []
}
/** Processes of the same program start sooner where they find it compiled. */
const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/node-daemon/compiled', import.meta.url))
const LOOK_EVERY_MS = 25
const LOG_LINES_KEPT = 60
const EVENTS_KEPT = 10_000

/** Long: a machine that has much to do is no failure. */
export const START_MS = 60_000

export type ProgramEvent = { readonly event: string } & Readonly<Record<string, unknown>>

export interface Ending {
  readonly code: number | null
  readonly signal: string | null
}

/**
 * Looks again and again until `look` resolves with something other than null, undefined or false.
 *
 * @throws Error naming `what`, and the last failure of `look`, after `ms`
 */
export async function until<T>(
  what: string,
  look: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  ms = START_MS
): Promise<T> {
  const end = performance.now() + ms
  let failure: unknown = null
  while (performance.now() < end) {
    try {
      const found = await look()
      if (found !== null && found !== undefined && found !== false) return found
      failure = null
    } catch (error) {
      failure = error
    }
    await pause(LOOK_EVERY_MS)
  }
  throw new Error(`not within ${ms} ms: ${what}`, failure === null ? {} : { cause: failure })
}

function eventOf(line: string): ProgramEvent | null {
  try {
    return JSON.parse(line) as ProgramEvent
  } catch {
    return null
  }
}

/** The compiled program as a process. It notices when this process is gone, by the channel that it holds to it. */
export class Program {
  readonly name: string
  readonly events: ProgramEvent[] = []
  readonly #process: ChildProcess
  readonly #log: string[] = []
  readonly #ended: Promise<Ending>
  #ending: Ending | null = null

  private constructor(name: string, child: ChildProcess) {
    this.name = name
    this.#process = child
    this.#ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        this.#ending = { code, signal }
        resolve(this.#ending)
      })
    })
    this.#ended.catch(() => undefined)
    this.#readLines()
  }

  /** @param home the folder that stands for the user's own; `extra` is added to the environment */
  static start(
    name: string,
    args: readonly string[],
    home: string,
    extra: Readonly<Record<string, string>> = {},
    { program, nodeFlags }: Launch = COMPILED
  ): Program {
    const kept = Object.entries(process.env).filter(([key]) => !/^(NODE_DAEMON_|XDG_|STATE_DIRECTORY|VITEST)/.test(key))
    const child = spawn(process.execPath, [...nodeFlags(name), program, ...args, '--json'], {
      env: { ...Object.fromEntries(kept), HOME: home, NODE_COMPILE_CACHE: COMPILE_CACHE, ...extra },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc']
    })
    return new Program(name, child)
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  get hasEnded(): boolean {
    return this.#ending !== null
  }

  /** The last lines of its stderr. */
  get log(): string {
    return this.#log.join('\n')
  }

  /** The first line with this event from number `from` on. Rejects when the process ends before it, or after `ms`. */
  async event(name: string, { ms = START_MS, from = 0 } = {}): Promise<ProgramEvent> {
    const find = (): ProgramEvent | undefined => this.events.slice(from).find(({ event }) => event === name)
    try {
      const found = await until(`${this.name} says ${name}`, () => find() ?? (this.hasEnded ? 'ended' : null), ms)
      if (found === 'ended') throw new Error(`${this.name} ended with ${this.#ending?.code} before it said ${name}`)
      return found
    } catch (error) {
      throw this.#withLog(error)
    }
  }

  /** How it ends. Rejects where it does not within `ms`. */
  async ended(ms = START_MS): Promise<Ending> {
    const late = new AbortController()
    const tooLate = pause(ms, null, { signal: late.signal }).then(() => {
      throw this.#withLog(new Error(`${this.name} still runs after ${ms} ms`))
    })
    try {
      return await Promise.race([this.#ended, tooLate])
    } finally {
      late.abort()
      tooLate.catch(() => undefined)
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** Ends at once, also where it was stopped. */
  async destroy(): Promise<void> {
    if (!this.hasEnded) this.#process.kill('SIGKILL')
    await this.ended()
  }

  #withLog(error: unknown): Error {
    const text = error instanceof Error ? error.message : String(error)
    const said = this.events.map((event) => JSON.stringify(event)).slice(-10)
    return new Error(`${text}\n--- ${this.name} said\n${said.join('\n')}\n--- its log\n${this.log}`, { cause: error })
  }

  #readLines(): void {
    const { stdout, stderr } = this.#process
    if (stdout === null || stderr === null) throw new Error('a child without pipes')
    createInterface({ input: stdout }).on('line', (line) => {
      const value = eventOf(line)
      if (value === null) return this.#note(`not JSON: ${line}`)
      this.events.push(value)
      if (this.events.length > EVENTS_KEPT) this.events.shift()
    })
    createInterface({ input: stderr }).on('line', (line) => this.#note(line))
  }

  #note(line: string): void {
    this.#log.push(line.slice(0, 2000))
    if (this.#log.length > LOG_LINES_KEPT) this.#log.shift()
  }
}

export interface Outcome {
  readonly code: number | null
  /** The lines of stdout. */
  readonly lines: readonly Readonly<Record<string, unknown>>[]
  readonly log: string
}

/** One command from its start to its end. */
export async function runProgram(args: readonly string[], home: string, ms = 60_000): Promise<Outcome> {
  const program = Program.start(args.join(' '), args, home)
  try {
    const { code } = await program.ended(ms)
    return { code, lines: program.events, log: program.log }
  } finally {
    await program.destroy()
  }
}
