import type { ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const END_MS = 15_000

/** A folder and processes that are gone when it is disposed of, or when this process ends before that. */
export class Scratch implements AsyncDisposable {
  readonly folder: string
  readonly #children = new Set<ChildProcess>()
  readonly #onExit = (): void => {
    for (const child of this.#children) child.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  private constructor(folder: string) {
    this.folder = folder
    process.once('exit', this.#onExit)
  }

  static async create(): Promise<Scratch> {
    return new Scratch(await mkdtemp(join(tmpdir(), 'node-daemon-bench-')))
  }

  /** Kills the process with this one. */
  own<T extends ChildProcess>(child: T): T {
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children].map((child) => ended(child, 'SIGKILL')))
    process.removeListener('exit', this.#onExit)
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Ends a process with a signal, and with SIGKILL where it takes too long. */
export async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS)
  await exit
  clearTimeout(timer)
}
