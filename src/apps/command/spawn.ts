import { type ChildProcess, spawn } from 'node:child_process'
import { Readable, Writable } from 'node:stream'
import { ARGS_FD, type Confined, STATUS_FD } from './sandbox.ts'

/** Starts a command in a process group of its own, with nothing on stdin. `onRoot` is told the first process of its namespace. */
export function spawnConfined(
  { file, args, hidden }: Confined,
  options: { readonly folder: string; readonly environment: Readonly<Record<string, string>> },
  onRoot: (pid: number) => void = () => undefined
): ChildProcess {
  const more = hidden.length > 0 ? (['pipe', 'pipe'] as const) : []
  const child = spawn(file, args, {
    cwd: options.folder,
    env: { ...options.environment },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', ...more]
  })
  const argumentsTo = child.stdio[ARGS_FD]
  const status = child.stdio[STATUS_FD]
  if (argumentsTo instanceof Writable) {
    argumentsTo.on('error', () => undefined)
    argumentsTo.end(hidden.map((word) => `${word}\0`).join(''))
  }
  if (status instanceof Readable) readStatus(status, onRoot)
  return child
}

/** bwrap writes a line for each thing that it tells, the first of them with the number of the process. */
function readStatus(stream: Readable, onRoot: (pid: number) => void): void {
  let text = ''
  stream.setEncoding('utf8')
  stream.on('error', () => undefined)
  stream.on('data', (chunk: string) => {
    text = (text + chunk).slice(0, STATUS_CHARACTERS_MAX)
    const [, pid] = /"child-pid": (\d+)/.exec(text) ?? []
    if (pid !== undefined) onRoot(Number(pid))
  })
}

const STATUS_CHARACTERS_MAX = 1000
