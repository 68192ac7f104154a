import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { MAX_BLOCK_BYTES, matches } from '../core/blocks.ts'
import { isDenied, isGone } from './disk.ts'
import type { FileSystem } from './file-system.ts'
import { checkPath } from './paths.ts'
import type { TreeIndex } from './tree-index.ts'

/** The bytes of a leaf from where the index saw it last, checked; null where they are no longer there. */
export async function leafOnDisk(
  { files, folder, index }: { readonly files: FileSystem; readonly folder: string; readonly index: TreeIndex },
  cid: CID
): Promise<Uint8Array | null> {
  const place = await index.leaf(cid)
  if (place === null || place.size > MAX_BLOCK_BYTES) return null
  checkPath(place.path)
  try {
    await using file = await files.open(join(folder, place.path), 'read')
    if (!(await file.stat()).isFile()) return null
    const bytes = Buffer.allocUnsafeSlow(place.size)
    const read = await file.read(bytes, place.offset)
    return read === place.size && matches({ cid, bytes }) ? bytes : null
  } catch (error) {
    if (isGone(error) || isDenied(error)) return null
    throw error
  }
}
