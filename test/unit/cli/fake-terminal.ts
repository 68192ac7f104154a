import { runProgram } from '../../../src/cli/program.ts'
import type { StopSignal, Terminal } from '../../../src/cli/terminal.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { systemRandom } from '../../../src/core/random.ts'

export interface FakeTerminal extends Terminal {
  readonly stdout: () => string
  readonly stderr: () => string
  readonly exits: number[]
  signal(name: StopSignal): void
  orphan(): void
}

export interface FakeTerminalOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly tty?: boolean
  readonly columns?: number
  /** What the person answers, in order. Without it, nobody can be asked. */
  readonly answers?: readonly string[]
  readonly home?: string
}

/** A terminal that remembers what was printed, and whose person answers from a list. */
export function fakeTerminal(options: FakeTerminalOptions = {}): FakeTerminal {
  const signals = new Set<(signal: StopSignal) => void>()
  const orphans = new Set<() => void>()
  const answers = [...(options.answers ?? [])]
  const exits: number[] = []
  let stdout = ''
  let stderr = ''
  const listening = <T>(set: Set<T>, listener: T): (() => void) => {
    set.add(listener)
    return () => void set.delete(listener)
  }
  return {
    out: (text) => {
      stdout += text
    },
    outBytes: async (bytes) => {
      stdout += Buffer.from(bytes).toString('latin1')
    },
    err: (text) => {
      stderr += text
    },
    outIsTty: options.tty ?? false,
    errIsTty: options.tty ?? false,
    inIsTty: options.answers !== undefined,
    columns: () => options.columns ?? Number.POSITIVE_INFINITY,
    env: options.env ?? {},
    home: options.home ?? '/nowhere',
    pid: 1,
    question: async (text) => {
      stderr += text
      return answers.shift() ?? ''
    },
    onSignal: (listener) => listening(signals, listener),
    onOrphaned: (listener) => listening(orphans, listener),
    onExit: () => () => undefined,
    exit: (code) => void exits.push(code),
    stdout: () => stdout,
    stderr: () => stderr,
    exits,
    signal: (name) => {
      for (const listener of signals) listener(name)
    },
    orphan: () => {
      for (const listener of orphans) listener()
    }
  }
}

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command line as the program does. */
export async function run(argv: readonly string[], options: FakeTerminalOptions = {}): Promise<Ran> {
  const terminal = fakeTerminal(options)
  const code = await runProgram(argv, { terminal, clock: systemClock(), random: systemRandom() })
  return { code, stdout: terminal.stdout(), stderr: terminal.stderr() }
}
