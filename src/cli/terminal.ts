import { homedir } from 'node:os'
import { createInterface } from 'node:readline'
import { NodeDaemonError } from '../core/errors.ts'

/** What a command may touch of the process that it runs in. */
export interface Terminal {
  out(text: string): void
  /** Writes bytes as they are; resolves once there is room for more. */
  outBytes(bytes: Uint8Array): Promise<void>
  err(text: string): void
  readonly outIsTty: boolean
  readonly errIsTty: boolean
  /** Is there a person who can be asked? */
  readonly inIsTty: boolean
  /** Width of stdout in characters; infinite where it is not a terminal. */
  columns(): number
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly pid: number
  /** Shows the text on stderr and reads one line. Rejects with `ABORTED` at the end of input or on Ctrl-C. */
  question(text: string): Promise<string>
  /** Calls back on each SIGINT, SIGTERM or SIGHUP, which then no longer end the process. Returns how to stop listening. */
  onSignal(listener: (signal: StopSignal) => void): () => void
  /** Calls back when a parent that holds a channel to this process is gone. Returns how to stop listening. */
  onOrphaned(listener: () => void): () => void
  /** Calls back as the process ends, for synchronous last acts. Returns how to stop listening. */
  onExit(listener: () => void): () => void
  /** Ends the process at once. */
  exit(code: number): void
}

export const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
export type StopSignal = (typeof STOP_SIGNALS)[number]

function question(text: string): Promise<string> {
  const reader = createInterface({ input: process.stdin, output: process.stderr })
  return new Promise((resolve, reject) => {
    reader.once('close', () => reject(new NodeDaemonError('ABORTED', 'nothing was answered')))
    reader.question(text, (answer) => {
      resolve(answer)
      reader.close()
    })
  })
}

export function processTerminal(): Terminal {
  return {
    out: (text) => void process.stdout.write(text),
    outBytes: (bytes) =>
      new Promise((resolve, reject) => {
        process.stdout.write(bytes, (error) => (error == null ? resolve() : reject(error)))
      }),
    err: (text) => void process.stderr.write(text),
    outIsTty: process.stdout.isTTY === true,
    errIsTty: process.stderr.isTTY === true,
    inIsTty: process.stdin.isTTY === true,
    columns: () => (process.stdout.isTTY ? process.stdout.columns || 80 : Number.POSITIVE_INFINITY),
    env: process.env,
    home: homedir(),
    pid: process.pid,
    question,
    onSignal(listener) {
      for (const signal of STOP_SIGNALS) process.on(signal, listener)
      return () => {
        for (const signal of STOP_SIGNALS) process.off(signal, listener)
      }
    },
    onOrphaned(listener) {
      process.on('disconnect', listener)
      return () => void process.off('disconnect', listener)
    },
    onExit(listener) {
      process.on('exit', listener)
      return () => void process.off('exit', listener)
    },
    exit: (code) => process.exit(code)
  }
}
