import type { CID } from 'multiformats/cid'
import { childrenOf } from '../content/nodes.ts'
import { RAW_CODEC } from '../core/blocks.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { type Counts, plus } from './rows.ts'

/** What a workspace holds of a block. `closed` is told where all below it is known to be held too. */
export interface HeldState {
  readonly held: boolean
  readonly bytes: number
  readonly closed: Counts | null
}

/** A workspace's blocks, as the walk sees them. */
export interface ClosureView {
  states(cids: readonly CID[]): Promise<HeldState[]>
  /** Verified bytes; null where they turn out to be missing after all. */
  load(cid: CID): Promise<Uint8Array | null>
  /** To be told of everything that is missing, perhaps more than once: then the walk goes to its end however much that is. */
  missing?(cid: CID): Promise<void>
  /** Remembers that all below this node is held, so that no later walk descends into it. */
  closed(cid: CID, counts: Counts): Promise<void>
}

export interface Closure {
  /** Of what is held. What is named in two places counts twice. */
  readonly counts: Counts
  /** At most `MAX_MISSING_TOLD`. The closure is whole if there are none. */
  readonly missing: readonly CID[]
}

export const MAX_MISSING_TOLD = 1000
const MAX_DEPTH = 4096
const NOTHING: Counts = { blocks: 0, bytes: 0 }

interface Frame {
  /** Null for the frame above the root. */
  readonly cid: CID | null
  readonly children: readonly CID[]
  readonly states: readonly HeldState[]
  next: number
  counts: Counts
  whole: boolean
}

/**
 * Is everything below `root` held? Descends only into nodes that are not known to be closed, so that the cost is in
 * proportion to what is new.
 *
 * @throws NodeDaemonError `INTEGRITY` when a node cannot be read
 */
export async function checkClosure(root: CID, view: ClosureView): Promise<Closure> {
  const missing = new Map<string, CID>()
  const incomplete = new Set<string>()
  const top = await frameOf(null, [root], 0, view)
  const stack: Frame[] = [top]
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    if (missing.size >= MAX_MISSING_TOLD && view.missing === undefined) break
    const child = frame.children[frame.next]
    const state = frame.states[frame.next]
    frame.next++
    if (child === undefined || state === undefined) {
      stack.pop()
      await leave(frame, stack.at(-1), incomplete, view)
      continue
    }
    const below = await enter(child, state, incomplete, view)
    if (below === 'missing') {
      if (missing.size < MAX_MISSING_TOLD) missing.set(child.toString(), child)
      await view.missing?.(child)
    }
    if (below === 'missing' || below === 'incomplete') frame.whole = false
    else if ('children' in below) stack.push(below)
    else frame.counts = plus(frame.counts, below)
    if (stack.length > MAX_DEPTH) throw new NodeDaemonError('INTEGRITY', `the tree below ${root} is too deep`)
  }
  return { counts: top.counts, missing: [...missing.values()] }
}

async function enter(
  cid: CID,
  first: HeldState,
  incomplete: ReadonlySet<string>,
  view: ClosureView
): Promise<Frame | Counts | 'missing' | 'incomplete'> {
  if (!first.held) return 'missing'
  if (first.closed !== null) return first.closed
  if (cid.code === RAW_CODEC) return { blocks: 1, bytes: first.bytes }
  if (incomplete.has(cid.toString())) return 'incomplete'
  // A node that is named in several places may have been closed since its parent looked.
  const [now] = await view.states([cid])
  if (now?.closed) return now.closed
  const bytes = await view.load(cid)
  if (bytes === null) return 'missing'
  return await frameOf(cid, childrenOf({ cid, bytes }), bytes.length, view)
}

async function leave(
  frame: Frame,
  parent: Frame | undefined,
  incomplete: Set<string>,
  view: ClosureView
): Promise<void> {
  if (frame.cid === null || parent === undefined) return
  if (frame.whole) await view.closed(frame.cid, frame.counts)
  else {
    incomplete.add(frame.cid.toString())
    parent.whole = false
  }
  parent.counts = plus(parent.counts, frame.counts)
}

async function frameOf(cid: CID | null, children: readonly CID[], bytes: number, view: ClosureView): Promise<Frame> {
  const counts = cid === null ? NOTHING : { blocks: 1, bytes }
  return { cid, children, states: await view.states(children), next: 0, counts, whole: true }
}
