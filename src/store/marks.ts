import type { CID } from 'multiformats/cid'
import type { Random } from '../core/random.ts'

const FIRST_SLOTS = 1024
const HASHED_BYTES = 8
const TABLE = 256

/** What tells where a block's place in a set is: nobody outside can choose names that crowd together. */
export type MarksKey = Uint32Array

export function marksKey(random: Random): MarksKey {
  const bytes = Uint8Array.from(random.bytes(HASHED_BYTES * TABLE * Uint32Array.BYTES_PER_ELEMENT))
  return new Uint32Array(bytes.buffer)
}

/**
 * A set of blocks that takes a few bytes for each: the first words of their SHA-256 in an open-addressing table. What
 * was added is always found. With two words (8 bytes) a block may rarely be found that was not added; with four (16
 * bytes) never in practice.
 */
export class Marks {
  readonly #words: 2 | 4
  readonly #key: MarksKey
  #slots = FIRST_SLOTS
  #table: Uint32Array
  #size = 0

  constructor(words: 2 | 4, key: MarksKey) {
    this.#words = words
    this.#key = key
    this.#table = new Uint32Array(FIRST_SLOTS * words)
  }

  get size(): number {
    return this.#size
  }

  /** False where it was there already. */
  add(cid: CID): boolean {
    if (this.#size * 3 >= this.#slots * 2) this.#grow()
    const words = this.#wordsOf(cid)
    const at = this.#find(words)
    if (this.#isUsed(at)) return false
    this.#table.set(words, at)
    this.#size++
    return true
  }

  has(cid: CID): boolean {
    return this.#isUsed(this.#find(this.#wordsOf(cid)))
  }

  /** Where these words stand, or would. */
  #find(words: ArrayLike<number>): number {
    const mask = this.#slots - 1
    for (let slot = this.#hash(words) & mask; ; slot = (slot + 1) & mask) {
      const at = slot * this.#words
      if (!this.#isUsed(at) || this.#holds(at, words)) return at
    }
  }

  /** Each byte of the first two words chooses a random number of its own. */
  #hash(words: ArrayLike<number>): number {
    let hash = 0
    for (let byte = 0; byte < HASHED_BYTES; byte++) {
      const value = ((words[byte >> 2] ?? 0) >>> (8 * (byte & 3))) & 0xff
      hash ^= this.#key[byte * TABLE + value] ?? 0
    }
    return hash
  }

  #holds(at: number, words: ArrayLike<number>): boolean {
    for (let index = 0; index < this.#words; index++) {
      if (this.#table[at + index] !== words[index]) return false
    }
    return true
  }

  /** A second word is never zero. */
  #isUsed(at: number): boolean {
    return this.#table[at + 1] !== 0
  }

  #grow(): void {
    const old = this.#table
    this.#slots *= 2
    this.#table = new Uint32Array(this.#slots * this.#words)
    for (let at = 0; at < old.length; at += this.#words) {
      const words = old.subarray(at, at + this.#words)
      if (words[1] !== 0) this.#table.set(words, this.#find(words))
    }
  }

  /** The same bytes may be a chunk and a node: the codec is part of the name. */
  #wordsOf({ code, multihash: { digest } }: CID): number[] {
    const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength)
    const words = [view.getUint32(0), (view.getUint32(4) ^ code) >>> 0 || 1]
    if (this.#words === 4) words.push(view.getUint32(8), view.getUint32(12))
    return words
  }
}
