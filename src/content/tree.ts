import type { CID } from 'multiformats/cid'
import { isLeaf } from './dag-pb.ts'
import { type Load, loadNode } from './file.ts'
import { findIn } from './folder.ts'
import { childrenOf } from './nodes.ts'

/**
 * What stands at a path below a folder; the root itself for an empty path. Null where a name is missing or something on
 * the way is no folder. Symbolic links are not followed.
 *
 * @throws NodeDaemonError `INTEGRITY` for a malformed node; also what `load` throws
 */
export async function resolvePath(root: CID, path: readonly string[], load: Load): Promise<CID | null> {
  let cid = root
  for (const name of path) {
    const node = isLeaf(cid) ? null : await loadNode(cid, load)
    if (node?.kind !== 'folder' && node?.kind !== 'shard') return null
    const entry = await findIn(cid, node, name, load)
    if (entry === null) return null
    cid = entry.cid
  }
  return cid
}

/**
 * The CID of every node and leaf at and below `root`, each once, parents before children. What is `known` is left out
 * with all that is below it. A node is loaded when the walk goes on after its CID was given, so that the caller may
 * fetch it first; leaves are never loaded. Memory: about 100 bytes for each CID that was given.
 *
 * @throws NodeDaemonError `INTEGRITY` for a malformed node; also what `load` and `known` throw
 */
export async function* walkClosure(
  root: CID,
  load: Load,
  known: (cid: CID) => boolean | Promise<boolean>
): AsyncGenerator<CID> {
  const seen = new Set<string>()
  const pending: Iterator<CID>[] = [[root].values()]
  for (let iterator = pending.at(-1); iterator !== undefined; iterator = pending.at(-1)) {
    const { value: cid, done } = iterator.next()
    if (done) {
      pending.pop()
      continue
    }
    const key = keyOf(cid)
    if (seen.has(key)) continue
    seen.add(key)
    if (await known(cid)) continue
    yield cid
    if (!isLeaf(cid)) pending.push(childrenOf({ cid, bytes: await load(cid) }).values())
  }
}

/** One byte in memory for each byte of the CID. */
const keyOf = (cid: CID): string => Buffer.from(cid.bytes).toString('latin1')
