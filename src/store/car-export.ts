import type { CID } from 'multiformats/cid'
import type { Block } from '../core/blocks.ts'
import { carHeader, sectionHead } from './car.ts'

/** Small blocks travel together: pieces have about this size. */
const PIECE_BYTES = 256 * 1024

/**
 * A CAR (version 1) with these blocks in their order, as other IPFS tools read it.
 *
 * @param roots from 1 to 65,535
 */
export async function* carOf(roots: readonly CID[], blocks: AsyncIterable<Block>): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [carHeader(roots)]
  let bytes = 0
  for await (const block of blocks) {
    parts.push(sectionHead(block), block.bytes)
    bytes += block.bytes.length
    if (bytes < PIECE_BYTES) continue
    yield Buffer.concat(parts)
    parts = []
    bytes = 0
  }
  if (parts.length > 0) yield Buffer.concat(parts)
}
