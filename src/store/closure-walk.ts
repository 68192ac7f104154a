import type { CID } from 'multiformats/cid'
import { childrenOf } from '../content/nodes.ts'
import { type Block, RAW_CODEC } from '../core/blocks.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { SignedHead } from '../core/records.ts'
import { Marks, type MarksKey } from './marks.ts'

/** What is needed of a repository to walk through a head. */
export interface ClosureSource {
  read(workspace: WorkspaceId, cid: CID): Promise<Uint8Array | null>
  head(cid: CID): Promise<SignedHead | null>
}

/** All blocks below `from`, which lies below the head: see `MainRepository.closure`. */
export async function* closureOf(
  source: ClosureSource,
  key: MarksKey,
  head: SignedHead,
  from: CID
): AsyncGenerator<Block> {
  const { workspace, root } = head.value
  if ((await source.head(head.cid)) === null) throw new NodeDaemonError('NOT_FOUND', `head ${head.cid} is not kept`)
  if (!from.equals(root)) await find(source, key, workspace, root, from)
  yield* walk(source, key, workspace, from, () => true)
}

async function find(
  source: ClosureSource,
  key: MarksKey,
  workspace: WorkspaceId,
  root: CID,
  wanted: CID
): Promise<void> {
  const nodes = walk(source, key, workspace, root, (cid) => cid.code !== RAW_CODEC)
  for await (const block of nodes) {
    if (childrenOf(block).some((child) => child.equals(wanted))) return
  }
  throw new NodeDaemonError('NOT_FOUND', `${wanted} does not lie below ${root}`)
}

async function* walk(
  source: ClosureSource,
  key: MarksKey,
  workspace: WorkspaceId,
  root: CID,
  wanted: (cid: CID) => boolean
): AsyncGenerator<Block> {
  const seen = new Marks(4, key)
  const stack = [root]
  for (let cid = stack.pop(); cid !== undefined; cid = stack.pop()) {
    if (!seen.add(cid)) continue
    const bytes = await source.read(workspace, cid)
    if (bytes === null) throw incomplete(cid)
    const block = { cid, bytes }
    yield block
    if (cid.code !== RAW_CODEC) stack.push(...childrenOf(block).filter(wanted).reverse())
  }
}

function incomplete(cid: CID): NodeDaemonError {
  return new NodeDaemonError('INCOMPLETE', `block ${cid} is missing or damaged`, {
    advice: 'have it repaired from the instances that hold it: node-daemon repo verify',
    data: { missing: [String(cid)] }
  })
}
