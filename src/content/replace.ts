import type { CID } from 'multiformats/cid'
import { NodeDaemonError } from '../core/errors.ts'
import { type BlockSink, type Load, loadNode } from './file.ts'
import { type BuiltFolder, buildFolder, type Entry, editFolder, findEntry } from './folder.ts'
import type { Metadata } from './metadata.ts'

/**
 * What stands at a path below a folder, with its name and size; null where a name is missing or something on the way is
 * no folder. Symbolic links are not followed.
 *
 * @throws NodeDaemonError `INTEGRITY` for a malformed node; also what `load` throws
 */
export async function entryAt(root: CID, path: readonly string[], load: Load): Promise<Entry | null> {
  let found: Entry | null = null
  let folder = root
  for (const name of path) {
    if ((await folderMetadata(folder, load)) === null) return null
    found = await findEntry(folder, name, load)
    if (found === null) return null
    folder = found.cid
  }
  return found
}

/**
 * The tree `root` with what `source` has at `path` in the place of what it has there itself. Folders on the way that it
 * does not have come from `source`, with nothing else in them. Only nodes that lead to the path are loaded and made.
 *
 * @throws NodeDaemonError `NOT_FOUND` when `source` has nothing there; `INTEGRITY`; also what `load` and `sink` throw
 */
export async function replaceAt(
  root: CID,
  source: CID,
  path: readonly string[],
  load: Load,
  sink: BlockSink
): Promise<CID> {
  return (await replaced(root, source, path, load, sink)).cid
}

async function replaced(
  root: CID | null,
  source: CID,
  path: readonly string[],
  load: Load,
  sink: BlockSink
): Promise<BuiltFolder> {
  const [name = '', ...rest] = path
  const wanted = await folderMetadata(source, load)
  const from = wanted === null ? null : await findEntry(source, name, load)
  if (wanted === null || from === null) {
    throw new NodeDaemonError('NOT_FOUND', 'there was nothing at this path at that moment')
  }
  const own = root === null ? null : await folderMetadata(root, load)
  const before = root === null || own === null ? null : await findEntry(root, name, load)
  const put = rest.length === 0 ? from : { name, ...(await replaced(before?.cid ?? null, from.cid, rest, load, sink)) }
  if (root === null || own === null) return await buildFolder([put], wanted, sink)
  return await editFolder(root, own, { put: [put], remove: [] }, load, sink)
}

/** Null where it is no folder. */
async function folderMetadata(cid: CID, load: Load): Promise<Metadata | null> {
  const node = await loadNode(cid, load)
  return node.kind === 'folder' || node.kind === 'shard' ? node.metadata : null
}
