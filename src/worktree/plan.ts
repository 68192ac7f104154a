import type { CID } from 'multiformats/cid'
import type { Entry } from '../content/folder.ts'
import { type FileNode, type FolderNode, type Node, readNode, type ShardNode } from '../content/nodes.ts'
import { slotsOfNode } from '../content/shard.ts'
import { DAG_PB_CODEC, RAW_CODEC } from '../core/blocks.ts'
import { aborted } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { batches } from '../core/parallel.ts'
import { fits, joinPath, PATH_LIMITS, type WorkspacePath } from './paths.ts'
import type { TreeIndex } from './tree-index.ts'

/** An entry that must be put on disk. */
export interface Planned {
  readonly path: WorkspacePath
  readonly cid: CID
  readonly totalBytes: number
  /** What the tree on disk has at this path. */
  readonly before: CID | null
}

export interface PlannedFile extends Planned {
  readonly size: number
  /** It has few leaves, and they fit into memory together with those of other small files. */
  readonly small: boolean
}

export interface PlannedFolder extends Planned {
  /** There is no folder at this path yet. */
  readonly fresh: boolean
}

/** What must be done to a folder to turn one tree into another. */
export interface Plan {
  /** New, or with changes in it or to it; parents before children. */
  readonly folders: PlannedFolder[]
  readonly files: PlannedFile[]
  readonly links: Planned[]
  readonly removed: { readonly path: WorkspacePath; readonly cid: CID }[]
  /** How many more nodes of folders the new tree has. */
  folderNodes: number
}

/** A small set of blocks can describe an endless number of entries. */
export const MAX_ENTRIES = 1_000_000
/** Nodes on the way to an entry: each folder may be sharded over eight levels. */
const MAX_DEPTH = 9 * PATH_LIMITS.names
const SMALL_BYTES = 1024 * 1024
const SMALL_LEAVES = 64
const NODES_AT_ONCE = 1_024

/** A folder in both trees: what differs between the shards that were compared so far. */
interface Compared {
  readonly path: WorkspacePath
  readonly before: Map<string, Entry>
  readonly now: Map<string, Entry>
  open: number
}

type Step =
  | {
      readonly kind: 'shards'
      readonly folder: Compared
      readonly before: CID | null
      readonly now: CID | null
      readonly prefix: readonly number[]
    }
  | {
      readonly kind: 'entry'
      readonly path: WorkspacePath
      readonly before: CID | null
      readonly now: CID
      readonly totalBytes: number
    }

const malformed = (cid: CID, why: string): NodeDaemonError =>
  new NodeDaemonError('INTEGRITY', `the tree node ${cid} is not usable: ${why}`)

/** @throws NodeDaemonError `INTEGRITY` when it is not a file */
export function fileNodeOf(cid: CID, bytes: Uint8Array): FileNode {
  const node = readNode({ cid, bytes })
  if (node.kind !== 'file') throw malformed(cid, 'it is not a file')
  return node
}

/**
 * Compares two trees level by level, without descending where they are equal.
 *
 * @param before the tree on disk, all of whose nodes the index has
 * @param ensure sees to it that the index has these nodes
 * @throws NodeDaemonError `INTEGRITY` for a malformed tree, `TOO_LARGE` for one that no disk could hold
 */
export async function planTree(
  before: CID,
  root: CID,
  index: TreeIndex,
  ensure: (cids: Iterable<CID>) => Promise<void>,
  signal: AbortSignal | undefined,
  maxEntries = MAX_ENTRIES
): Promise<Plan> {
  const planner = new Planner(index, maxEntries)
  let steps: Step[] = [{ kind: 'entry', path: '', before, now: root, totalBytes: 0 }]
  for (let depth = 0; steps.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw new NodeDaemonError('TOO_LARGE', 'the tree is too deep')
    const next: Step[] = []
    for (const batch of batches(steps, NODES_AT_ONCE)) {
      if (signal?.aborted) throw aborted(signal)
      const cids = batch.flatMap(({ now }) => (now === null ? [] : [now]))
      for (const cid of cids) if (cid.code !== DAG_PB_CODEC) throw malformed(cid, 'it is no node of a tree')
      await ensure(cids)
      for (const step of batch) for (const following of await planner.take(step)) next.push(following)
    }
    steps = next
  }
  return planner.plan
}

class Planner {
  readonly plan: Plan = { folders: [], files: [], links: [], removed: [], folderNodes: 0 }
  readonly #index: TreeIndex
  #entriesLeft: number

  constructor(index: TreeIndex, maxEntries: number) {
    this.#index = index
    this.#entriesLeft = maxEntries
  }

  take(step: Step): Promise<Step[]> {
    return step.kind === 'entry' ? this.#entry(step) : this.#shards(step)
  }

  async #entry({ path, before, now: cid, totalBytes }: Step & { kind: 'entry' }): Promise<Step[]> {
    const node = await this.#node(cid)
    if (path === '' && node.kind !== 'folder' && node.kind !== 'shard') throw malformed(cid, 'it is not a folder')
    if (!('metadata' in node) || node.metadata === null) throw malformed(cid, 'it is no entry of a folder')
    const planned = { path, cid, totalBytes, before }
    if (node.kind === 'file') {
      this.plan.files.push({ ...planned, size: node.size, small: isSmall(node) })
      return []
    }
    if (node.kind === 'link') {
      this.plan.links.push(planned)
      return []
    }
    const folderBefore = before !== null && isFolder(await this.#node(before)) ? before : null
    this.plan.folders.push({ ...planned, fresh: folderBefore === null })
    const folder: Compared = { path, before: new Map(), now: new Map(), open: 1 }
    return this.#shards({ kind: 'shards', folder, before: folderBefore, now: cid, prefix: [] })
  }

  async #shards({ folder, before, now, prefix }: Step & { kind: 'shards' }): Promise<Step[]> {
    const old = await this.#listed(before, prefix, folder.before)
    const fresh = await this.#listed(now, prefix, folder.now)
    this.plan.folderNodes += Number(now !== null) - Number(before !== null)
    const next: Step[] = []
    for (const index of new Set([...old.keys(), ...fresh.keys()])) {
      const pair = { before: old.get(index) ?? null, now: fresh.get(index) ?? null }
      if (pair.before !== null && pair.now?.equals(pair.before) === true) continue
      next.push({ kind: 'shards', folder, ...pair, prefix: [...prefix, index] })
    }
    folder.open += next.length - 1
    return folder.open > 0 ? next : this.#differences(folder)
  }

  /** The entries of one node, added to `into`, and the shards below it by their slots. */
  async #listed(cid: CID | null, prefix: readonly number[], into: Map<string, Entry>): Promise<Map<number, CID>> {
    const shards = new Map<number, CID>()
    if (cid === null) return shards
    const node = await this.#node(cid)
    if (node.kind === 'folder' && prefix.length === 0) {
      for (const entry of node.entries) this.#list(entry, into)
      return shards
    }
    if (node.kind !== 'shard') throw malformed(cid, 'it is not a shard of a folder')
    for (const [index, slot] of await slotsOfNode(cid, node, prefix)) {
      if (slot.kind === 'kept') shards.set(index, slot.cid)
      if (slot.kind === 'entries') for (const { entry } of slot.entries) this.#list(entry, into)
    }
    return shards
  }

  #list(entry: Entry, into: Map<string, Entry>): void {
    if (this.#entriesLeft-- === 0) throw new NodeDaemonError('TOO_LARGE', 'the trees have too many entries')
    into.set(entry.name, entry)
  }

  #differences({ path, before, now }: Compared): Step[] {
    const steps: Step[] = []
    for (const { name, cid, totalBytes } of now.values()) {
      const was = before.get(name)?.cid ?? null
      if (was?.equals(cid) === true) continue
      const at = joinPath(path, name)
      if (!fits(at)) throw new NodeDaemonError('TOO_LARGE', 'the tree is too deep, or a path in it too long')
      steps.push({ kind: 'entry', path: at, before: was, now: cid, totalBytes })
    }
    for (const { name, cid } of before.values()) {
      if (!now.has(name)) this.plan.removed.push({ path: joinPath(path, name), cid })
    }
    return steps
  }

  async #node(cid: CID): Promise<Node> {
    return readNode({ cid, bytes: await this.#index.load(cid) })
  }
}

const isSmall = ({ size, links }: FileNode): boolean =>
  size <= SMALL_BYTES && links.length <= SMALL_LEAVES && links.every(({ cid }) => cid.code === RAW_CODEC)

const isFolder = (node: Node): node is FolderNode | ShardNode => node.kind === 'folder' || node.kind === 'shard'
