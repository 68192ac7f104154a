import { Hasher } from 'gearhash-jit'

/**
 * Where chunks end. None is shorter than `minBytes` but the last of a file, none longer than `maxBytes` (what the hash
 * takes in one call). Up to `averageBytes` a boundary is rare, beyond it frequent, which keeps lengths together.
 */
export const CHUNK = { minBytes: 65_536, averageBytes: 262_144, maxBytes: 520_192 } as const

/** The bits of the GEAR hash that are zero at a boundary: 20 of them below `averageBytes`, 16 from there on. */
export const BOUNDARY_MASKS = { rare: 0xffff_f000_0000_0000n, frequent: 0xffff_0000_0000_0000n } as const

/**
 * Cuts bytes into chunks at places that their content decides, so that a change moves only the boundaries near it.
 * The boundaries do not depend on how the source is sliced. No bytes, no chunk.
 *
 * A chunk within one slice is a view of it; only a chunk across slices is copied, once. The source must therefore
 * never write to a slice again that it has given out. Less than `minBytes` in one slice costs neither hash nor copy.
 */
export async function* chunks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const boundary = new BoundaryFinder()
  let parts: Uint8Array[] = []
  for await (const slice of source) {
    let rest = slice
    while (rest.length > 0) {
      const taken = boundary.next(rest)
      parts.push(rest.subarray(0, taken ?? rest.length))
      if (taken === null) break
      yield joined(parts)
      parts = []
      rest = rest.subarray(taken)
    }
  }
  if (parts.length > 0) yield joined(parts)
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts
  return first !== undefined && parts.length === 1 ? first : Buffer.concat(parts)
}

/** Finds the ends of chunks in the bytes of one file. */
export class BoundaryFinder {
  readonly #rare = new Hasher(BOUNDARY_MASKS.rare)
  readonly #frequent = new Hasher(BOUNDARY_MASKS.frequent)
  /** Bytes of the current chunk that have been seen. */
  #size = 0

  /** How many of these bytes, the next of the stream, end the current chunk; null when they all belong to it and it goes on. */
  next(bytes: Uint8Array): number | null {
    const within = (limit: number): number => Math.min(Math.max(limit - this.#size, 0), bytes.length)
    const min = within(CHUNK.minBytes)
    const average = within(CHUNK.averageBytes)
    const max = within(CHUNK.maxBytes)
    const early = this.#rare.nextMatch(bytes.subarray(min, average))
    if (early !== -1) return this.#cut(min + early)
    if (average > min) this.#frequent.hash.set(this.#rare.hash)
    const late = this.#frequent.nextMatch(bytes.subarray(average, max))
    if (late !== -1) return this.#cut(average + late)
    if (this.#size + max === CHUNK.maxBytes) return this.#cut(max)
    this.#size += bytes.length
    return null
  }

  #cut(taken: number): number {
    this.#size = 0
    this.#rare.resetHash()
    return taken
  }
}
