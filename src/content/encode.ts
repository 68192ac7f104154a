import type { CID } from 'multiformats/cid'
import type { Block } from '../core/blocks.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { isNodeCid, type PbLink, pbBlock } from './dag-pb.ts'
import { bitfieldOf, FANOUT, HASH_TYPE, prefixOf } from './hamt.ts'
import { faultOfMetadata, type Metadata, metadataFields } from './metadata.ts'
import { faultOfName, sortedByName } from './names.ts'
import { type Entry, faultOfTarget, type ShardLink } from './nodes.ts'

/** A node that was made, with the size of all blocks at and below it. */
export interface Made {
  readonly block: Block
  readonly totalBytes: number
}

/** A child of a file node: the file's bytes below it, and the size of all its blocks. */
export interface MadeFileLink {
  readonly cid: CID
  readonly size: number
  readonly totalBytes: number
}

const bad = (what: string): NodeDaemonError => new NodeDaemonError('BAD_REQUEST', what)

function fields(metadata: Metadata | null, kind: 'folder' | 'other'): ReturnType<typeof metadataFields> {
  if (metadata === null) return {}
  const fault = faultOfMetadata(metadata)
  if (fault !== null) throw bad(fault)
  return metadataFields(metadata, kind)
}

function made(block: Block, links: readonly { readonly totalBytes: number }[]): Made {
  const totalBytes = links.reduce((sum, link) => sum + link.totalBytes, block.bytes.length)
  if (!Number.isSafeInteger(totalBytes)) throw new NodeDaemonError('TOO_LARGE', 'a tree is too large to be counted')
  return { block, totalBytes }
}

export const sizeOf = (links: readonly MadeFileLink[]): number => links.reduce((sum, link) => sum + link.size, 0)

/** A node of a file: its root with metadata, the nodes below it without. */
export function fileNode(links: readonly MadeFileLink[], metadata: Metadata | null): Made {
  const block = pbBlock(
    {
      type: 'FILE',
      fileSize: BigInt(sizeOf(links)),
      blockSizes: links.map(({ size }) => BigInt(size)),
      ...fields(metadata, 'other')
    },
    links.map(({ cid, totalBytes }) => ({ name: '', cid, totalBytes }))
  )
  return made(block, links)
}

/** @throws NodeDaemonError `BAD_REQUEST` for a target or metadata that cannot be kept */
export function linkNode(target: string, metadata: Metadata): Made {
  const fault = faultOfTarget(target)
  if (fault !== null) throw bad(`no symbolic link can point to this: ${fault}`)
  return made(
    pbBlock(
      { type: 'SYMLINK', data: new TextEncoder().encode(target), blockSizes: [], ...fields(metadata, 'other') },
      []
    ),
    []
  )
}

/** A folder in one node. */
export function folderNode(entries: readonly Entry[], metadata: Metadata): Made {
  const links = sortedByName(entries)
  return made(pbBlock({ type: 'DIRECTORY', blockSizes: [], ...fields(metadata, 'folder') }, links), links)
}

/** A shard of a folder: the root with metadata, the others without. Links are given in any order. */
export function shardNode(links: readonly ShardLink[], metadata: Metadata | null): Made {
  const data = {
    type: 'HAMT_SHARD' as const,
    data: bitfieldOf(links.map(({ index }) => index)),
    blockSizes: [],
    fanOut: BigInt(FANOUT),
    hashType: HASH_TYPE,
    ...fields(metadata, 'folder')
  }
  return made(pbBlock(data, sortedByName(links.map(shardLink))), links)
}

const shardLink = ({ index, name, cid, totalBytes }: ShardLink): PbLink => ({
  name: prefixOf(index) + (name ?? ''),
  cid,
  totalBytes
})

/** @throws NodeDaemonError `BAD_REQUEST` for an entry that no folder can hold */
export function checkEntry({ name, cid, totalBytes }: Entry): void {
  const fault = faultOfName(name)
  if (fault !== null) throw bad(`"${name.slice(0, 80)}" cannot be kept: the name ${fault}`)
  if (!isNodeCid(cid)) throw bad(`"${name}" cannot be kept: ${cid} does not name a node`)
  if (!Number.isSafeInteger(totalBytes) || totalBytes < 0) throw bad(`"${name}" cannot be kept: its size is wrong`)
}
