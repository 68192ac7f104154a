import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { MAX_BLOCK_BYTES, matches } from '../core/blocks.ts'
import { isDenied, isGone } from './disk.ts'
import { checkPath } from './paths.ts'
import type { TreeIndex } from './tree-index.ts'

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** The bytes of a leaf from where the index saw it last, checked; null where they are no longer there. */
export async function leafOnDisk(folder: string, index: TreeIndex, cid: CID): Promise<Uint8Array | null> {
  const place = await index.leaf(cid)
  if (place === null || place.size > MAX_BLOCK_BYTES) return null
  checkPath(place.path)
  try {
    await using handle = await open(join(folder, place.path), READ)
    if (!(await handle.stat()).isFile()) return null
    const bytes = Buffer.allocUnsafeSlow(place.size)
    const { bytesRead } = await handle.read(bytes, 0, place.size, place.offset)
    return bytesRead === place.size && matches({ cid, bytes }) ? bytes : null
  } catch (error) {
    if (isGone(error) || isDenied(error)) return null
    throw error
  }
}
