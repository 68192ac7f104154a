import type { CID } from 'multiformats/cid'
import { NodeDaemonError } from '../core/errors.ts'
import { malformed } from './dag-pb.ts'
import { checkEntry, folderNode } from './encode.ts'
import { type BlockSink, keep, type Load, loadNode } from './file.ts'
import type { Metadata } from './metadata.ts'
import type { Entry, FolderNode, ShardNode } from './nodes.ts'
import {
  type Change,
  edit,
  entriesOf,
  entriesWithin,
  find,
  placeOf,
  type Slots,
  slotsOf,
  slotsOfNode,
  write
} from './shard.ts'

export type { Entry } from './nodes.ts'

/** A folder whose entries weigh more, in bytes of names and CIDs, is sharded. */
export const SHARD_THRESHOLD = 48 * 1024

const CID_BYTES = 36
const weightOf = ({ name, cid }: Entry): number => Buffer.byteLength(name) + cid.bytes.length
/** The weight of an entry with the shortest name. */
const LEAST_WEIGHT = 1 + CID_BYTES

export interface BuiltFolder {
  readonly cid: CID
  /** Bytes of all blocks at and below `cid`, each counted as often as it is linked. */
  readonly totalBytes: number
}

export interface FolderChanges {
  /** Entries to add or to put in the place of those with the same names. */
  readonly put: readonly Entry[]
  /** Names to remove, where they exist, before anything is put. */
  readonly remove: readonly string[]
}

/**
 * Makes a folder: one node while its entries weigh at most `SHARD_THRESHOLD`, else a HAMT. The same entries and metadata
 * make the same root, in whatever order they come.
 *
 * @throws NodeDaemonError `BAD_REQUEST` for names, CIDs or metadata that no folder can hold, and for a name given twice
 */
export async function buildFolder(entries: Iterable<Entry>, metadata: Metadata, sink: BlockSink): Promise<BuiltFolder> {
  const all = [...byName(entries).values()]
  if (all.reduce((sum, entry) => sum + weightOf(entry), 0) <= SHARD_THRESHOLD) {
    return keep(folderNode(all, metadata), sink)
  }
  const placed = []
  for (const entry of all) placed.push({ ...(await placeOf(entry.name)), entry })
  return write(slotsOf(placed, 0), metadata, sink)
}

/**
 * The folder that `buildFolder` would make of the changed entries. Of a sharded one, only the nodes that lead to the
 * changes are loaded and made again; removals may load some more, to learn whether one node is enough now. Where the
 * call throws, the sink may have got nodes that nothing links to.
 *
 * @throws NodeDaemonError `BAD_REQUEST` as `buildFolder`, `INTEGRITY` when `root` is no folder; also what `load` throws
 */
export async function editFolder(
  root: CID,
  metadata: Metadata,
  changes: FolderChanges,
  load: Load,
  sink: BlockSink
): Promise<BuiltFolder> {
  const put = byName(changes.put)
  const node = await loadFolder(root, load)
  if (node.kind === 'folder') {
    const entries = new Map(node.entries.map((entry) => [entry.name, entry]))
    for (const name of changes.remove) entries.delete(name)
    for (const [name, entry] of put) entries.set(name, entry)
    return buildFolder(entries.values(), metadata, sink)
  }
  const slots = await slotsOfNode(root, node, [])
  await edit(slots, [], await placedChanges(put, changes.remove), load)
  const few = changes.remove.length === 0 ? null : await entriesOfSmall(slots, load)
  return few === null ? write(slots, metadata, sink) : buildFolder(few, metadata, sink)
}

const entriesOfSmall = (slots: Slots, load: Load): Promise<Entry[] | null> =>
  entriesWithin(slots, SHARD_THRESHOLD, weightOf, LEAST_WEIGHT, load)

async function placedChanges(put: ReadonlyMap<string, Entry>, remove: readonly string[]): Promise<Change[]> {
  const changes: Change[] = []
  for (const name of new Set(remove)) changes.push({ ...(await placeOf(name)), entry: null })
  for (const [name, entry] of put) changes.push({ ...(await placeOf(name)), entry })
  return changes
}

function byName(entries: Iterable<Entry>): Map<string, Entry> {
  const map = new Map<string, Entry>()
  for (const entry of entries) {
    checkEntry(entry)
    if (map.has(entry.name)) throw new NodeDaemonError('BAD_REQUEST', `"${entry.name}" is given twice`)
    map.set(entry.name, entry)
  }
  return map
}

async function loadFolder(cid: CID, load: Load): Promise<FolderNode | ShardNode> {
  const node = await loadNode(cid, load)
  if (node.kind !== 'folder' && node.kind !== 'shard') throw malformed(cid, 'it is not a folder')
  return node
}

/**
 * The entries of a folder, each once; by name only where it is not sharded. One node is in memory at a time on each of
 * at most eight levels.
 *
 * @throws NodeDaemonError `INTEGRITY` when this is no folder or its nodes are malformed; also what `load` throws
 */
export async function* listFolder(cid: CID, load: Load): AsyncGenerator<Entry> {
  const node = await loadFolder(cid, load)
  if (node.kind === 'folder') yield* node.entries
  else yield* entriesOf(await slotsOfNode(cid, node, []), [], load)
}

/** The entry of this name, null where there is none. Throws as `listFolder` does. */
export async function findEntry(cid: CID, name: string, load: Load): Promise<Entry | null> {
  return findIn(cid, await loadFolder(cid, load), name, load)
}

/** As `findEntry`, in a node that is loaded already. */
export async function findIn(cid: CID, node: FolderNode | ShardNode, name: string, load: Load): Promise<Entry | null> {
  if (node.kind === 'folder') return node.entries.find((entry) => entry.name === name) ?? null
  return find(cid, node, await placeOf(name), load)
}
