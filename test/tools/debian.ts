import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'

const run = promisify(execFile)
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024
const LINES_TOLD = 40

/** @throws Error that says how to get it, where a program that a test needs is not there */
export function requireProgram(path: string, debianPackage: string): string {
  if (existsSync(path)) return path
  throw new Error(`this test needs ${path}: apt-get update && apt-get install -y ${debianPackage}`)
}

interface Surroundings {
  readonly signal: AbortSignal
  /** The folder in which it runs: ours. */
  readonly cwd?: string
  /** Beside our own environment. */
  readonly env?: Readonly<Record<string, string>>
}

/**
 * What a program says on both outputs; it is given no input. It is ended by the signal. Rejects, with what it said, where
 * it fails.
 */
export async function runTool(
  file: string,
  args: readonly string[],
  { signal, cwd = process.cwd(), env = {} }: Surroundings
): Promise<string> {
  const options = { signal, cwd, killSignal: 'SIGKILL', maxBuffer: OUTPUT_BYTES_MAX } as const
  try {
    const running = run(file, args, { ...options, env: { ...process.env, ...env } })
    running.child.stdin?.end()
    const { stdout, stderr } = await running
    return stdout + stderr
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string }
    const said = `${stdout}${stderr}`.split('\n').slice(-LINES_TOLD).join('\n')
    throw new Error(`${message.split('\n')[0]?.slice(0, 200)}\n${said}`, { cause: error })
  }
}
