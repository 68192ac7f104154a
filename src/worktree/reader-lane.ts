import type { Worker } from 'node:worker_threads'
import { aborted } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { leavesOf } from './inline-reader.ts'
import type { Slab } from './look-sync.ts'
import type { TakeLeaves } from './reader.ts'
import { type Answer, type FromReader, type Question, SMALL_BYTES, type ToReader } from './reader-messages.ts'

/** Jobs that one thread has at once: at most 2 MiB of each are on their way. */
const JOBS_AT_ONCE = 4
const BUNCH_QUESTIONS = 64
const BUNCH_BYTES = 1024 * 1024

/** Somebody waits for an answer. */
interface Asked {
  /** Asked again in another way where a file has grown. */
  question: Question
  readonly take: TakeLeaves
  readonly done: PromiseWithResolvers<Answer>
  /** Nobody waits any more. */
  settled: boolean
}

/** What a thread is at. */
interface Job {
  readonly asked: readonly Asked[]
  /** Ends once all slabs that came so far were taken. It never rejects. */
  taken: Promise<void>
}

/** Threads of one kind, and the questions that wait for them. */
export class ReaderLane {
  readonly #start: () => Worker
  readonly #width: number
  readonly #log: Logger
  readonly #threads = new Map<Worker, Map<number, Job>>()
  #waiting: Asked[] = []
  #jobs = 0
  #dispatching = false
  #toldNotIdle = false
  #closed = false

  constructor(deps: { readonly start: () => Worker; readonly log: Logger }, width: number) {
    this.#start = deps.start
    this.#log = deps.log
    this.#width = width
  }

  ask(question: Question, take: TakeLeaves, signal: AbortSignal | undefined): Promise<Answer> {
    if (this.#closed) return Promise.reject(closed())
    if (signal?.aborted) return Promise.reject(aborted(signal))
    const asked: Asked = { question, take, done: Promise.withResolvers<Answer>(), settled: false }
    const onAbort = (): void => this.#giveUp(asked, aborted(signal))
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#enqueue(asked)
    return asked.done.promise.finally(() => signal?.removeEventListener('abort', onAbort))
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const asked of this.#waiting.splice(0)) fail(asked, closed())
    const threads = [...this.#threads]
    for (const [, jobs] of threads) for (const { asked } of jobs.values()) for (const one of asked) fail(one, closed())
    await Promise.all(threads.map(([thread]) => thread.terminate()))
  }

  #enqueue(asked: Asked): void {
    this.#waiting.push(asked)
    if (this.#dispatching) return
    this.#dispatching = true
    // What is asked in the same turn travels together.
    queueMicrotask(() => {
      this.#dispatching = false
      this.#dispatch()
    })
  }

  #dispatch(): void {
    while (this.#waiting.length > 0) {
      const thread = this.#freeThread()
      if (thread === null) return
      const bunch = this.#nextBunch()
      if (bunch.length > 0) this.#give(thread, bunch)
    }
  }

  /** The thread with the fewest jobs, a new one where all have some; null where all have enough. */
  #freeThread(): Worker | null {
    if (this.#closed) return null
    const [least] = [...this.#threads].sort(([, a], [, b]) => a.size - b.size)
    if (least !== undefined && (least[1].size === 0 || this.#threads.size === this.#width)) {
      return least[1].size < JOBS_AT_ONCE ? least[0] : null
    }
    return this.#startThread()
  }

  /** Questions that travel together: small ones up to a number and size, a large file alone. */
  #nextBunch(): Asked[] {
    let bytes = 0
    let count = 0
    for (const { question, settled } of this.#waiting) {
      const size = settled || question.kind !== 'read' ? 0 : question.sizeHint
      if (count > 0 && (count === BUNCH_QUESTIONS || bytes + size > BUNCH_BYTES || size > SMALL_BYTES)) break
      bytes += size
      count++
      if (size > SMALL_BYTES) break
    }
    return this.#waiting.splice(0, count).filter(({ settled }) => !settled)
  }

  #give(thread: Worker, asked: readonly Asked[]): void {
    const job = ++this.#jobs
    const jobs = this.#threads.get(thread)
    if (jobs?.size === 0) thread.ref()
    jobs?.set(job, { asked, taken: Promise.resolve() })
    const questions = asked.map(({ question }) => question)
    const [first] = questions
    const isLarge = first?.kind === 'read' && first.sizeHint > SMALL_BYTES
    tell(thread, isLarge ? { kind: 'stream', job, question: first } : { kind: 'ask', job, questions })
  }

  #startThread(): Worker {
    const thread = this.#start()
    thread.unref()
    const jobs = new Map<number, Job>()
    let reason = 'it ended'
    thread.on('message', (message: FromReader) => this.#on(thread, message))
    thread.on('error', (error) => {
      reason = messageOf(error)
    })
    thread.on('exit', () => {
      this.#threads.delete(thread)
      if (!this.#closed) this.#log.error({ reason }, 'a thread that reads files died')
      for (const { asked } of jobs.values()) for (const one of asked) fail(one, died(reason))
      this.#dispatch()
    })
    this.#threads.set(thread, jobs)
    return thread
  }

  #on(thread: Worker, message: FromReader): void {
    if (message.kind === 'not-idle') return this.#noteNotIdle(message.reason)
    const job = this.#threads.get(thread)?.get(message.job)
    if (job === undefined) return
    if (message.kind === 'answers') {
      void this.#finish(thread, message.job, job, message.answers)
      return
    }
    const [asked] = job.asked
    if (asked === undefined) return
    job.taken = job.taken.then(async () => {
      await handOver(asked, message.slab)
      tell(thread, { kind: asked.settled ? 'cancel' : 'taken', job: message.job })
    })
  }

  /** The thread gets its next job once all of this one is taken. */
  async #finish(thread: Worker, number: number, job: Job, answers: readonly Answer[]): Promise<void> {
    await job.taken
    await Promise.all(job.asked.map((asked, index) => this.#settle(asked, answers[index])))
    const jobs = this.#threads.get(thread)
    jobs?.delete(number)
    if (jobs?.size === 0) thread.unref()
    this.#dispatch()
  }

  async #settle(asked: Asked, answer: Answer | undefined): Promise<void> {
    if (asked.settled) return
    if (answer === undefined) return fail(asked, died('it left out an answer'))
    if (answer.kind === 'failed') return fail(asked, systemError(answer))
    if (answer.kind === 'large') return this.#askAlone(asked)
    if (answer.kind === 'read' && answer.slab !== null) await handOver(asked, answer.slab)
    asked.settled = true
    asked.done.resolve(answer)
  }

  #askAlone(asked: Asked): void {
    const { question } = asked
    if (question.kind !== 'read') return fail(asked, died('it took a question for a file'))
    asked.question = { ...question, sizeHint: SMALL_BYTES + 1 }
    this.#enqueue(asked)
  }

  #giveUp(asked: Asked, error: NodeDaemonError): void {
    fail(asked, error)
    for (const [thread, jobs] of this.#threads) {
      for (const [number, job] of jobs) {
        if (job.asked.includes(asked)) tell(thread, { kind: 'cancel', job: number })
      }
    }
  }

  #noteNotIdle(reason: string): void {
    if (this.#toldNotIdle) return
    this.#toldNotIdle = true
    this.#log.debug({ reason }, 'whole workspaces are read with the usual disk priority')
  }
}

const tell = (thread: Worker, message: ToReader): void => thread.postMessage(message)

/** A failure is told to who asked. Who gave up is not waited for. */
async function handOver(asked: Asked, slab: Slab): Promise<void> {
  if (asked.settled) return
  try {
    await Promise.race([asked.take(leavesOf(slab)), asked.done.promise])
  } catch (error) {
    fail(asked, error)
  }
}

function fail(asked: Asked, error: unknown): void {
  if (asked.settled) return
  asked.settled = true
  asked.done.reject(error)
}

function systemError({ message, code }: Extract<Answer, { kind: 'failed' }>): Error {
  return code === null ? new Error(message) : Object.assign(new Error(message), { code })
}

const closed = (): NodeDaemonError => new NodeDaemonError('CLOSED', 'this instance is stopping')
const died = (reason: string): NodeDaemonError =>
  new NodeDaemonError('UNEXPECTED', `a thread that reads files died: ${reason}`, { advice: 'it is tried again' })
