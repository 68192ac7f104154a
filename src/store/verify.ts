import { BLOCK_ROWS, cidOfKey, decodeLocation } from './rows.ts'
import type { Shelf } from './shelf.ts'

const BATCH_BLOCKS = 256

/** Reads the next blocks again, in the order of their names, after the one with the key `after`. `last` is null at the end. */
export async function verifyBatch(
  shelf: Shelf,
  after: string
): Promise<{ blocks: number; bytes: number; damaged: string[]; last: string | null }> {
  const damaged: string[] = []
  let blocks = 0
  let bytes = 0
  let last: string | null = null
  const range = { prefix: BLOCK_ROWS, limit: BATCH_BLOCKS, ...(after !== '' && { after }) }
  for await (const [key, row] of shelf.staged.level.entries(range)) {
    const cid = cidOfKey(key.slice(BLOCK_ROWS.length))
    if ((await shelf.read(cid)) === null) damaged.push(cid.toString())
    blocks++
    bytes += decodeLocation(row).length
    last = key
  }
  return { blocks, bytes, damaged, last }
}
