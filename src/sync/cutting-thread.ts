import { type MessagePort, parentPort } from 'node:worker_threads'
import { type CutChunks, Cutter } from './cutter.ts'

/** `bytes` null: the upload has ended. */
export type ToCutting =
  | { readonly kind: 'bytes'; readonly upload: number; readonly bytes: Uint8Array | null }
  | { readonly kind: 'forget'; readonly upload: number }

/** One for each `bytes`, in their order. */
export interface FromCutting {
  readonly upload: number
  readonly chunks: CutChunks | null
}

function serve(port: MessagePort): void {
  const cutters = new Map<number, Cutter>()
  port.on('message', (message: ToCutting) => {
    const { upload } = message
    if (message.kind === 'forget') {
      cutters.delete(upload)
      return
    }
    const cutter = cutters.get(upload) ?? new Cutter()
    cutters.set(upload, cutter)
    const chunks = message.bytes === null ? cutter.last() : cutter.next(message.bytes)
    if (message.bytes === null) cutters.delete(upload)
    const answer: FromCutting = { upload, chunks }
    port.postMessage(
      answer,
      chunks === null ? [] : [chunks.bytes.buffer as ArrayBuffer, chunks.hashes.buffer as ArrayBuffer]
    )
  })
}

if (parentPort !== null) serve(parentPort)
