import { execFile } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { platform } from 'node:os'
import { basename } from 'node:path'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../core/errors.ts'
import { systemCode } from './disk.ts'
import { type Allocate, beginSync, listSync, readSyncFrom, type Slab } from './look-sync.ts'
import { nodeLookFiles } from './node-file-system.ts'
import {
  type Answer,
  type FromReader,
  type Question,
  SLABS_AHEAD,
  SMALL_BYTES,
  type ToReader
} from './reader-messages.ts'

/** The idle class of ionice(1): the disk serves such a thread when nobody else asks for anything. */
const IDLE_CLASS = '3'
const ARENA_BYTES = 1024 * 1024

/** What a job that streams waits for. */
interface Streaming {
  ahead: number
  cancelled: boolean
  wake: () => void
}

const own = (bytes: number): Uint8Array => Buffer.allocUnsafeSlow(bytes)

/** One thread that reads: questions in their order, large files side by side at the pace of those who take them. */
class ReaderThread {
  readonly #port: MessagePort
  readonly #streaming = new Map<number, Streaming>()

  constructor(port: MessagePort) {
    this.#port = port
  }

  start(): void {
    this.#port.on('message', (message: ToReader) => this.#on(message))
  }

  #on(message: ToReader): void {
    switch (message.kind) {
      case 'ask':
        return this.#answer(message.job, message.questions)
      case 'stream':
        void this.#stream(message.job, message.question)
        return
      case 'taken':
      case 'cancel': {
        const streaming = this.#streaming.get(message.job)
        if (streaming === undefined) return
        if (message.kind === 'taken') streaming.ahead--
        else streaming.cancelled = true
        streaming.wake()
      }
    }
  }

  #answer(job: number, questions: readonly Question[]): void {
    const allocate = arena(questions)
    const answers = questions.map((question) => attempted(() => answered(question, allocate)))
    const buffers = answers.flatMap((answer) => (answer.kind === 'read' && answer.slab !== null ? [answer.slab] : []))
    this.#post({ kind: 'answers', job, answers }, buffers)
  }

  async #stream(job: number, question: Extract<Question, { kind: 'read' }>): Promise<void> {
    const streaming: Streaming = { ahead: 0, cancelled: false, wake: () => undefined }
    this.#streaming.set(job, streaming)
    const reading = readSyncFrom(nodeLookFiles, question, own)
    let answer: Answer | null = null
    while (answer === null) {
      const next = attempted(() => reading.next())
      if ('kind' in next) answer = next
      else if (next.done === true) answer = { kind: 'read', value: next.value, slab: null }
      else await this.#sendSlab(job, next.value, streaming)
      if (!streaming.cancelled) continue
      reading.return(null)
      answer = { kind: 'read', value: null, slab: null }
    }
    this.#streaming.delete(job)
    this.#post({ kind: 'answers', job, answers: [answer] }, [])
  }

  async #sendSlab(job: number, slab: Slab, streaming: Streaming): Promise<void> {
    streaming.ahead++
    this.#post({ kind: 'slab', job, slab }, [slab])
    // Also lets the messages in that came meanwhile: other jobs are not kept waiting.
    await new Promise<void>((resolve) => setImmediate(resolve))
    while (streaming.ahead >= SLABS_AHEAD && !streaming.cancelled) {
      await new Promise<void>((resolve) => {
        streaming.wake = resolve
      })
    }
  }

  /** The bytes of slabs are handed over, not copied. */
  #post(message: FromReader, slabs: readonly Slab[]): void {
    const buffers = slabs.flatMap(({ bytes, hashes }) => [bytes.buffer, hashes.buffer])
    this.#port.postMessage(
      message,
      [...new Set(buffers)].filter((buffer) => buffer instanceof ArrayBuffer)
    )
  }

  /** Reads from the disk only when nobody else does, where the system has such a thing. */
  goIdle(): void {
    if (platform() !== 'linux') return
    const thread = basename(readlinkSync('/proc/thread-self'))
    execFile('ionice', ['-c', IDLE_CLASS, '-p', thread], (error) => {
      if (error !== null) this.#post({ kind: 'not-idle', reason: messageOf(error) }, [])
    })
  }
}

/** One piece of memory for all small files of a bunch, as large as they are said to be. */
function arena(questions: readonly Question[]): Allocate {
  const wanted = questions.reduce((sum, question) => sum + (question.kind === 'read' ? question.sizeHint : 0), 0)
  const bytes = own(Math.min(ARENA_BYTES, wanted))
  let used = 0
  return (count) => {
    if (used + count > bytes.length) return own(count)
    used += count
    return bytes.subarray(used - count, used)
  }
}

function answered(question: Question, allocate: Allocate): Answer {
  switch (question.kind) {
    case 'begin': {
      const begun = beginSync(nodeLookFiles, question.folder, question.stamp, question.paths)
      return { kind: 'begin', value: { ...begun, facts: begun.facts.bytes } }
    }
    case 'list': {
      const listing = listSync(nodeLookFiles, question.folder)
      return { kind: 'list', value: listing === null ? null : { ...listing, facts: listing.facts.bytes } }
    }
    case 'read':
      return readWhole(question, allocate)
  }
}

function readWhole(question: Extract<Question, { kind: 'read' }>, allocate: Allocate): Answer {
  const reading = readSyncFrom(nodeLookFiles, question, allocate)
  const first = reading.next()
  if (first.done === true) return { kind: 'read', value: first.value, slab: null }
  const isSmall = first.value.bytes.length <= SMALL_BYTES
  const last = isSmall ? reading.next() : reading.return(null)
  return isSmall && last.done === true ? { kind: 'read', value: last.value, slab: first.value } : { kind: 'large' }
}

function attempted<T>(work: () => T): T | Extract<Answer, { kind: 'failed' }> {
  try {
    return work()
  } catch (error) {
    const code = systemCode(error)
    return { kind: 'failed', message: messageOf(error), code: code === '' ? null : code }
  }
}

if (parentPort !== null) {
  const thread = new ReaderThread(parentPort)
  if ((workerData as { readonly idle: boolean }).idle) thread.goIdle()
  thread.start()
}
