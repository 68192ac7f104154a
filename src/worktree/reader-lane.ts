import type { Worker } from 'node:worker_threads'
import { aborted } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { leavesOf } from './inline-reader.ts'
import type { Slab } from './look-sync.ts'
import type { TakeLeaves } from './reader.ts'
import {
  type Answer,
  type FromReader,
  type Question,
  SLABS_AHEAD,
  SMALL_BYTES,
  type ToReader
} from './reader-messages.ts'
import { ReaderQueue, weightOf } from './reader-queue.ts'

/** Jobs of one kind that a thread is at. One whose bytes wait for their taker is none of them. */
const JOBS_AT_ONCE = 4
/** All jobs of one kind with bytes on their way: of a bunch 1 MiB, of a large file 3 MiB with what is read ahead. */
const JOBS_WITH_BYTES = 16

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
  readonly kind: 'bunch' | 'large'
  readonly asked: readonly Asked[]
  readonly withBytes: boolean
  /** Slabs that came and are not taken yet. */
  untaken: number
  answered: boolean
  /** Ends once all slabs that came so far were taken. It never rejects. */
  taken: Promise<void>
}

type Jobs = Map<number, Job>

/** Threads of one kind, and the questions that wait for them. */
export class ReaderLane {
  readonly #start: () => Worker
  readonly #width: number
  readonly #log: Logger
  readonly #threads = new Map<Worker, Jobs>()
  readonly #waiting = new ReaderQueue<Asked>()
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
    for (const asked of this.#waiting.clear()) fail(asked, closed())
    const threads = [...this.#threads]
    for (const [, jobs] of threads) for (const { asked } of jobs.values()) for (const one of asked) fail(one, closed())
    await Promise.all(threads.map(([thread]) => thread.terminate()))
  }

  #enqueue(asked: Asked): void {
    this.#waiting.add(asked)
    if (this.#dispatching) return
    this.#dispatching = true
    // What is asked in the same turn travels together.
    queueMicrotask(() => {
      this.#dispatching = false
      this.#dispatch()
    })
  }

  #dispatch(): void {
    if (this.#closed) return
    this.#dispatchAll('large', () => {
      const next = this.#hasRoom('large') ? this.#waiting.large() : null
      return next === null ? [] : [next]
    })
    this.#dispatchAll('bunch', () => this.#waiting.bunch({ files: this.#hasRoom('bunch') }))
  }

  #dispatchAll(kind: Job['kind'], next: () => Asked[]): void {
    while (this.#hasThread(kind)) {
      const asked = next()
      if (asked.length === 0) return
      this.#give(this.#threadFor(kind), kind, asked)
    }
  }

  /** Is there room for the bytes of one more? */
  #hasRoom(kind: Job['kind']): boolean {
    const jobs = [...this.#threads.values()].flatMap((of) => [...of.values()])
    return jobs.filter((job) => job.kind === kind && job.withBytes).length < JOBS_WITH_BYTES
  }

  #hasThread(kind: Job['kind']): boolean {
    return (
      this.#threads.size < this.#width || [...this.#threads.values()].some((jobs) => busy(jobs, kind) < JOBS_AT_ONCE)
    )
  }

  /** The thread that is at the fewest jobs, a new one where all are at some. */
  #threadFor(kind: Job['kind']): Worker {
    const loads = [...this.#threads].map(([thread, jobs]) => ({ thread, own: busy(jobs, kind), all: busy(jobs) }))
    const [least] = loads.filter(({ own }) => own < JOBS_AT_ONCE).sort((a, b) => a.all - b.all)
    const isEnough = least !== undefined && (least.all === 0 || this.#threads.size === this.#width)
    return isEnough ? least.thread : this.#startThread()
  }

  #give(thread: Worker, kind: Job['kind'], asked: readonly Asked[]): void {
    const job = ++this.#jobs
    const jobs = this.#threads.get(thread)
    if (jobs?.size === 0) thread.ref()
    const withBytes = asked.some(({ question }) => weightOf(question) !== 'none')
    jobs?.set(job, { kind, asked, withBytes, untaken: 0, answered: false, taken: Promise.resolve() })
    const questions = asked.map(({ question }) => question)
    const [first] = questions
    const isLarge = kind === 'large' && first?.kind === 'read'
    tell(thread, isLarge ? { kind: 'stream', job, question: first } : { kind: 'ask', job, questions })
  }

  #startThread(): Worker {
    const thread = this.#start()
    thread.unref()
    const jobs: Jobs = new Map()
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
      job.answered = true
      this.#dispatch()
      void this.#finish(thread, message.job, job, message.answers)
      return
    }
    const [asked] = job.asked
    if (asked === undefined) return
    job.untaken++
    this.#dispatch()
    job.taken = job.taken.then(async () => {
      await handOver(asked, message.slab)
      job.untaken--
      tell(thread, { kind: asked.settled ? 'cancel' : 'taken', job: message.job })
    })
  }

  /** The job's bytes count until all of them are taken. */
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

/** The jobs, of one kind or all, that the thread itself is at: not those that wait for a taker. */
function busy(jobs: Jobs, kind?: Job['kind']): number {
  const isBusy = (job: Job): boolean => !job.answered && job.untaken < SLABS_AHEAD
  return [...jobs.values()].filter((job) => (kind === undefined || job.kind === kind) && isBusy(job)).length
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
