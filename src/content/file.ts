import { pipe } from 'it-pipe'
import type { CID } from 'multiformats/cid'
import { type Block, blockOf, RAW_CODEC } from '../core/blocks.ts'
import { chunks } from './chunker.ts'
import { isLeaf, malformed } from './dag-pb.ts'
import { fileNode, linkNode, type Made, type MadeFileLink, sizeOf } from './encode.ts'
import { type FileNode, type Metadata, type Node, readNode } from './nodes.ts'

/** Takes each block that is made, children before parents. It is awaited: a slow sink slows the maker down. */
export type BlockSink = (block: Block) => void | Promise<void>
/** The bytes of a block, verified. Throws when they cannot be had. */
export type Load = (cid: CID) => Promise<Uint8Array>

export interface BuiltFile {
  readonly cid: CID
  /** Bytes of content. */
  readonly size: number
  /** Bytes of all blocks at and below `cid`, each counted as often as it is linked. */
  readonly totalBytes: number
}

/**
 * Where a node above the leaves ends: after a child whose digest ends in zeros under `boundaryMask`, but not before it
 * has `min` children, and at the latest when it has `max`.
 */
export const GROUP = { min: 16, max: 256, boundaryMask: 0b0011_1111 } as const

/** More levels than any file has whose size can be counted and whose nodes have `GROUP.min` children. */
export const MAX_LEVELS = 14

/**
 * Makes the tree of a file: raw leaves, nodes above them grouped by content, and on top a node with mode and mtime.
 * An empty file has no leaf. Equal content makes equal leaves, whatever the metadata; a changed chunk changes only the
 * nodes above it. Memory does not grow with the file. For the source, see `chunks`.
 *
 * @throws NodeDaemonError `BAD_REQUEST` for metadata that cannot be kept
 */
export function buildFile(source: AsyncIterable<Uint8Array>, metadata: Metadata, sink: BlockSink): Promise<BuiltFile> {
  return pipe(
    source,
    chunks,
    (parts) => storedLeaves(parts, sink),
    (leaves) => growTree(leaves, metadata, sink)
  )
}

async function* storedLeaves(parts: AsyncIterable<Uint8Array>, sink: BlockSink): AsyncGenerator<MadeFileLink> {
  for await (const bytes of parts) {
    const block = blockOf(RAW_CODEC, bytes)
    await sink(block)
    yield { cid: block.cid, size: bytes.length, totalBytes: bytes.length }
  }
}

/** The nodes above leaves that are kept already: what `buildFile` makes above its own. */
export async function growTree(
  leaves: AsyncIterable<MadeFileLink>,
  metadata: Metadata,
  sink: BlockSink
): Promise<BuiltFile> {
  const tree = new FileTree(sink)
  for await (const leaf of leaves) await tree.add(leaf)
  return tree.finish(metadata)
}

/** The tree of a file, grown leaf by leaf. One call at a time. */
export class FileTree {
  readonly #sink: BlockSink
  /** The children of the unfinished node on each level, leaves first. */
  readonly #levels: MadeFileLink[][] = [[]]

  constructor(sink: BlockSink) {
    this.#sink = sink
  }

  /** Adds the next leaf, which is kept already. */
  add(leaf: MadeFileLink): Promise<void> {
    return this.#add(0, leaf)
  }

  /** Makes what is missing up to the root. Nothing may follow. */
  async finish(metadata: Metadata): Promise<BuiltFile> {
    for (let depth = 0; depth + 1 < this.#levels.length; depth++) await this.#close(depth, this.#levels[depth] ?? [])
    const links = this.#levels.at(-1) ?? []
    const { block, totalBytes } = fileNode(links, metadata)
    await this.#sink(block)
    return { cid: block.cid, size: sizeOf(links), totalBytes }
  }

  // A complete node is closed only when another child follows it: should none follow, it is the root.
  async #add(depth: number, link: MadeFileLink): Promise<void> {
    const open = this.#levels[depth]
    if (open === undefined) {
      this.#levels[depth] = [link]
    } else {
      if (isComplete(open)) await this.#close(depth, open)
      open.push(link)
    }
  }

  async #close(depth: number, open: MadeFileLink[]): Promise<void> {
    const size = sizeOf(open)
    const { block, totalBytes } = fileNode(open.splice(0), null)
    await this.#sink(block)
    await this.#add(depth + 1, { cid: block.cid, size, totalBytes })
  }
}

function isComplete(links: readonly MadeFileLink[]): boolean {
  if (links.length >= GROUP.max) return true
  const digest = links.at(-1)?.cid.multihash.digest
  return links.length >= GROUP.min && ((digest?.at(-1) ?? 0) & GROUP.boundaryMask) === 0
}

/**
 * A symbolic link.
 *
 * @throws NodeDaemonError `BAD_REQUEST` for a target or metadata that cannot be kept
 */
export function buildLink(target: string, metadata: Metadata): Block {
  return linkNode(target, metadata).block
}

/** Writes a node and says where it is. */
export async function keep({ block, totalBytes }: Made, sink: BlockSink): Promise<{ cid: CID; totalBytes: number }> {
  await sink(block)
  return { cid: block.cid, totalBytes }
}

export const loadNode = async (cid: CID, load: Load): Promise<Node> => readNode({ cid, bytes: await load(cid) })

/**
 * The leaves of a file in their order, without gap or overlap. Loads the nodes above them, one at a time, and no leaf;
 * whoever reads a leaf compares its length with `size`.
 *
 * @throws NodeDaemonError `INTEGRITY` when this is no file or its tree is malformed; also what `load` throws
 */
export async function* leaves(cid: CID, load: Load): AsyncGenerator<{ cid: CID; offset: number; size: number }> {
  const node = await loadNode(cid, load)
  if (node.kind === 'raw') {
    if (node.bytes.length > 0) yield { cid, offset: 0, size: node.bytes.length }
    return
  }
  if (node.kind !== 'file') throw malformed(cid, 'it is not a file')
  yield* leavesBelow(node, 0, load, 1)
}

async function* leavesBelow(
  node: FileNode,
  start: number,
  load: Load,
  level: number
): AsyncGenerator<{ cid: CID; offset: number; size: number }> {
  let offset = start
  for (const { cid, size } of node.links) {
    if (isLeaf(cid)) yield { cid, offset, size }
    else yield* leavesBelow(await innerNode(cid, size, load, level), offset, load, level + 1)
    offset += size
  }
}

async function innerNode(cid: CID, size: number, load: Load, level: number): Promise<FileNode> {
  const node = await loadNode(cid, load)
  if (node.kind !== 'file' || node.metadata !== null) throw malformed(cid, 'it is not an inner node of a file')
  if (node.size !== size) throw malformed(cid, 'it does not have the size that its parent says')
  if (level >= MAX_LEVELS) throw malformed(cid, 'the file has too many levels')
  return node
}
