import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Block } from '../core/blocks.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import { blocksOf, type CutChunks, Cutter } from './cutter.ts'
import type { FromCutting, ToCutting } from './cutting-thread.ts'

/** One upload as it is cut into the blocks of its file. */
export interface UploadCutter {
  /** The blocks that end in these bytes, the next of the upload; null for its end. The bytes are handed over. Calls may overlap. */
  next(bytes: Uint8Array | null): Promise<Block[]>
  /** Nothing more comes. */
  forget(): void
}

/** Cuts uploads into blocks as instances cut files. */
export interface Cutting {
  open(): UploadCutter
  close(): Promise<void>
}

/** On the caller's thread: for simulations. */
export function inlineCutting(): Cutting {
  return {
    open() {
      const cutter = new Cutter()
      return {
        next: async (bytes) => blocksFrom(bytes === null ? cutter.last() : cutter.next(bytes)),
        forget: () => undefined
      }
    },
    close: async () => undefined
  }
}

const blocksFrom = (chunks: CutChunks | null): Block[] => (chunks === null ? [] : blocksOf(chunks))

/** The thread's own code: beside this file, compiled as this one is. */
const THREAD = new URL(`./cutting-thread${extname(import.meta.url)}`, import.meta.url)

/** In a thread of its own, which is started when it is first needed. One that dies fails what it was at, and is replaced. */
export class ThreadedCutting implements Cutting {
  #thread: Worker | null = null
  #uploads = 0
  readonly #waiting = new Map<number, PromiseWithResolvers<Block[]>[]>()

  open(): UploadCutter {
    const upload = ++this.#uploads
    return {
      next: (bytes) => this.#ask(upload, bytes),
      forget: () => this.#thread?.postMessage({ kind: 'forget', upload } satisfies ToCutting)
    }
  }

  async close(): Promise<void> {
    await this.#thread?.terminate()
  }

  #ask(upload: number, bytes: Uint8Array | null): Promise<Block[]> {
    this.#thread ??= this.#start()
    const answer = Promise.withResolvers<Block[]>()
    const waiting = this.#waiting.get(upload) ?? []
    waiting.push(answer)
    this.#waiting.set(upload, waiting)
    const question: ToCutting = { kind: 'bytes', upload, bytes }
    this.#thread.postMessage(question, bytes === null ? [] : [bytes.buffer as ArrayBuffer])
    return answer.promise
  }

  #start(): Worker {
    const thread = new Worker(THREAD, { name: 'upload-cutter' })
    thread.unref()
    let reason = 'it ended'
    thread.on('message', ({ upload, chunks }: FromCutting) => {
      const waiting = this.#waiting.get(upload)
      waiting?.shift()?.resolve(blocksFrom(chunks))
      if (waiting?.length === 0) this.#waiting.delete(upload)
    })
    thread.on('error', (error) => {
      reason = messageOf(error)
    })
    thread.on('exit', () => {
      if (this.#thread === thread) this.#thread = null
      const error = new NodeDaemonError('UNEXPECTED', `the thread that cuts uploads died: ${reason}`)
      const left = [...this.#waiting.values()].flat()
      this.#waiting.clear()
      for (const one of left) one.reject(error)
    })
    return thread
  }
}
