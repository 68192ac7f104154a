import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { ended, type Scratch } from './scratch.ts'

const ANSWER_MS = 300_000

/** What a worker answers: a plain object, or why it could not. */
type Answer = { readonly answer: unknown } | { readonly error: string }

/** A module of this folder in a process of its own that is asked one thing at a time. */
export class Worker implements AsyncDisposable {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** @param profile the folder of CPU profiles to write when it ends */
  static start(
    scratch: Scratch,
    module: URL,
    profile: { readonly folder: string; readonly name: string } | null = null
  ): Worker {
    return new Worker(scratch.own(fork(module, { execArgv: profileFlags(profile) })))
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async ask<T>(question: object): Promise<T> {
    const answer = await new Promise<Answer>((resolve, reject) => {
      const settle = (outcome: () => void): void => {
        clearTimeout(timer)
        this.#child.removeListener('message', onMessage)
        this.#child.removeListener('exit', onExit)
        outcome()
      }
      const onMessage = (message: unknown): void => settle(() => resolve(message as Answer))
      const onExit = (): void => settle(() => reject(new Error('a process of the benchmark ended early')))
      const timer = setTimeout(() => settle(() => reject(new Error('no answer in time'))), ANSWER_MS)
      this.#child.on('message', onMessage)
      this.#child.on('exit', onExit)
      this.#child.send(question)
    })
    if ('error' in answer) throw new Error(answer.error)
    return answer.answer as T
  }

  /** The process closes what it has open, and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await ended(this.#child, 'SIGTERM')
  }
}

/** A folder for each process: every thread of it writes a file. */
export const profileFlags = (profile: { readonly folder: string; readonly name: string } | null): string[] =>
  profile === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(profile.folder, profile.name)}`]

/** The worker's side: answers its parent until that says SIGTERM or is gone. */
export function answerParent<Question>(
  answer: (question: Question) => Promise<object>,
  close: () => Promise<void>
): void {
  const reply = async (question: Question): Promise<Answer> => {
    try {
      return { answer: await answer(question) }
    } catch (error) {
      return { error: error instanceof Error ? String(error.stack) : String(error) }
    }
  }
  const end = (): void => {
    close().then(
      () => process.exit(0),
      () => process.exit(1)
    )
  }
  process.on('message', (question: Question) => {
    void reply(question).then((message) => process.send?.(message))
  })
  process.once('SIGTERM', end)
  process.once('disconnect', end)
}
