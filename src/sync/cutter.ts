import { BoundaryFinder } from '../content/chunker.ts'
import { type Block, hashedBlock, RAW_CODEC, sha256 } from '../core/blocks.ts'

/** Chunks in one piece of memory, one after another. */
export interface CutChunks {
  readonly bytes: Uint8Array
  readonly lengths: readonly number[]
  /** SHA-256 of each, one after another. */
  readonly hashes: Uint8Array
}

const HASH_BYTES = 32

/** Cuts the bytes of one upload where the chunks of its file end, and hashes them. */
export class Cutter {
  readonly #boundary = new BoundaryFinder()
  #parts: Uint8Array[] = []

  /** The chunks that end in these bytes, the next of the upload. They are not written to again. */
  next(bytes: Uint8Array): CutChunks | null {
    const chunks: Uint8Array[][] = []
    for (let rest = bytes; rest.length > 0; ) {
      const taken = this.#boundary.next(rest)
      this.#parts.push(rest.subarray(0, taken ?? rest.length))
      if (taken === null) break
      chunks.push(this.#parts)
      this.#parts = []
      rest = rest.subarray(taken)
    }
    return cut(chunks)
  }

  /** What is left at the end. */
  last(): CutChunks | null {
    return cut(this.#parts.length === 0 ? [] : [this.#parts])
  }
}

function cut(chunks: readonly Uint8Array[][]): CutChunks | null {
  if (chunks.length === 0) return null
  const lengths = chunks.map((parts) => parts.reduce((sum, part) => sum + part.length, 0))
  const bytes = Buffer.allocUnsafeSlow(lengths.reduce((sum, length) => sum + length, 0))
  const hashes = Buffer.allocUnsafeSlow(lengths.length * HASH_BYTES)
  let at = 0
  for (const [index, parts] of chunks.entries()) {
    const start = at
    for (const part of parts) {
      bytes.set(part, at)
      at += part.length
    }
    hashes.set(sha256(bytes.subarray(start, at)), index * HASH_BYTES)
  }
  return { bytes, lengths, hashes }
}

/** The chunks as blocks: views of their bytes. */
export function blocksOf({ bytes, lengths, hashes }: CutChunks): Block[] {
  let at = 0
  return lengths.map((length, index) => {
    const chunk = bytes.subarray(at, at + length)
    at += length
    return hashedBlock(RAW_CODEC, hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES), chunk)
  })
}
