import { execFile, spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Scratch } from './scratch.ts'

const run = promisify(execFile)
const COMMAND_MS = 300_000
const OUTPUT_BYTES = 16 * 1024 * 1024
const LISTEN_MS = 10_000
/** `getconf CLK_TCK` on every Linux of today. */
const TICKS_PER_SECOND = 100
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin']

/** Where a program is; null where it is not installed. */
export async function programPath(name: string): Promise<string | null> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS]
  for (const folder of folders) {
    const path = join(folder, name)
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false
    )
    if (isThere) return path
  }
  return null
}

/** What a program finds in its environment beside what is there already. */
export type Environment = Readonly<Record<string, string>>

/** Runs a program to its end; its standard output. Throws where it fails. */
export async function output(program: string, args: readonly string[], environment: Environment = {}): Promise<string> {
  const env = { ...process.env, ...environment }
  const { stdout } = await run(program, args, { timeout: COMMAND_MS, maxBuffer: OUTPUT_BYTES, env })
  return stdout
}

/** Starts a server of a peer, and waits until it listens on a port of this machine. */
export async function startServer(
  scratch: Scratch,
  program: string,
  args: readonly string[],
  port: number,
  environment: Environment = {}
): Promise<{ readonly pid: number }> {
  const env = { ...process.env, ...environment }
  const child = scratch.own(spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'], env }))
  const until = performance.now() + LISTEN_MS
  while (!(await isListening(port))) {
    if (child.exitCode !== null || performance.now() > until) throw new Error(`${program} did not start`)
    await pause(20)
  }
  return { pid: child.pid ?? 0 }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const settle = (found: boolean): void => {
      socket.destroy()
      resolve(found)
    }
    socket.once('connect', () => settle(true))
    socket.once('error', () => settle(false))
  })
}

/** A port that was free a moment ago, for programs that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** The most memory that a process has had resident, in bytes. */
export const peakResidentBytes = (pid: number): Promise<number> => memoryOf(pid, 'VmHWM')

/** The memory that a process has resident now, in bytes. */
export const residentBytes = (pid: number): Promise<number> => memoryOf(pid, 'VmRSS')

async function memoryOf(pid: number, field: 'VmHWM' | 'VmRSS'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const [, kib = 'NaN'] = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status) ?? []
  return Number(kib) * 1024
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** The CPU time that a process has used, in seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [user = Number.NaN, system = Number.NaN] = fields.slice(11, 13).map(Number)
  return (user + system) / TICKS_PER_SECOND
}

/** How long some work takes, in milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}
