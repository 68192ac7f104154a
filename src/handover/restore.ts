import type { CID } from 'multiformats/cid'
import { replaceAt } from '../content/replace.ts'
import type { Block } from '../core/blocks.ts'
import type { Clock, Instant } from '../core/clock.ts'
import { open } from '../core/envelope.ts'
import { hasCode, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import { receiptRecord, type SignedHead } from '../core/records.ts'
import type { MainRepository } from '../store/repository.ts'
import { receiptProblem } from './certificate.ts'
import type { Director } from './director.ts'
import type { Instances, Quieting } from './neighbours.ts'

/** The longest that requests are held for it, however often it is tried. */
const HELD_MS = 10 * 60_000
/** Somebody may write past the front door: then the tree is made anew for the newest head. */
const ATTEMPTS_MAX = 5

export interface RestoreDeps {
  readonly director: Pick<Director, 'whileHeld'>
  readonly repository: Pick<MainRepository, 'tip' | 'head' | 'read' | 'keep' | 'flush'>
  readonly instances: Pick<Instances, 'order'>
  readonly clock: Clock
}

export interface Restored {
  /** What was there, and stays in the history. */
  readonly before: SignedHead
  /** The newest head now. */
  readonly after: SignedHead
  /** How long requests were held, in milliseconds. */
  readonly pauseMs: number
}

/**
 * Has the home of a workspace go back to a head of it, or to what that had at `path` only, while requests are held.
 *
 * @param path names from the root; none: all of it
 * @throws NodeDaemonError `REFUSED_BY_POLICY` nobody serves it now; `NOT_FOUND` there was nothing at the path; `CONFLICT`
 *   it kept changing; `OUT_OF_REACH`, `TIMED_OUT` it was not heard whether it was done: the history tells
 */
export async function restoreInPlace(
  deps: RestoreDeps,
  from: SignedHead,
  path: readonly string[],
  options: Quieting
): Promise<Restored> {
  const { workspace } = from.value
  const { clock, repository } = deps
  const heldAt = clock.now()
  return deps.director.whileHeld(workspace, options, async (home) => {
    const until = clock.now() + HELD_MS
    // Once: where hooks write something new around each last snapshot, to freeze again is to have another newest head.
    await deps.instances.order(home, { kind: 'freeze', workspace }, HELD_MS)
    for (let attempt = 1; ; attempt++) {
      const before = await newest(repository, from)
      const root = path.length === 0 ? from.value.root : await edited(repository, before, from, path)
      try {
        const after = await order(deps, home, { base: before, root, until })
        return { before, after, pauseMs: clock.now() - heldAt }
      } catch (error) {
        if (!hasCode(error, 'CONFLICT') || attempt >= ATTEMPTS_MAX) throw error
      }
    }
  })
}

async function newest(repository: RestoreDeps['repository'], { value }: SignedHead): Promise<SignedHead> {
  const found = await repository.tip(value.workspace)
  if (found === null) throw new NodeDaemonError('NOT_FOUND', `workspace ${value.workspace} has no head`)
  return found.head
}

/** The newest tree with what `from` had at the path. Its nodes are durable on return. */
async function edited(
  repository: RestoreDeps['repository'],
  before: SignedHead,
  from: SignedHead,
  path: readonly string[]
): Promise<CID> {
  const { workspace, root } = before.value
  const made = new Map<string, Block>()
  const load = async (cid: CID): Promise<Uint8Array> => {
    const bytes = made.get(cid.toString())?.bytes ?? (await repository.read(workspace, cid))
    if (bytes === null) throw new NodeDaemonError('INCOMPLETE', `block ${cid} of the repository is damaged`)
    return bytes
  }
  const result = await replaceAt(root, from.value.root, path, load, (block) => {
    made.set(block.cid.toString(), block)
  })
  await repository.keep(workspace, [...made.values()])
  await repository.flush()
  return result
}

/** The head that the home published with this root, as its receipt proves; the newest one where it gave none. */
async function order(
  deps: RestoreDeps,
  home: PeerIdText,
  { base, root, until }: { readonly base: SignedHead; readonly root: CID; readonly until: Instant }
): Promise<SignedHead> {
  const { workspace } = base.value
  const leftMs = until - deps.clock.now()
  if (leftMs <= 0) throw new NodeDaemonError('TIMED_OUT', `going back took longer than ${HELD_MS} ms`)
  const answer = await deps.instances.order(home, { kind: 'restore', workspace, root, base: base.cid }, leftMs)
  if (answer.length === 0) return await newest(deps.repository, base)
  const receipt = await open(receiptRecord, answer, home)
  const head = await deps.repository.head(receipt.value.head)
  const problem = head === null ? 'its head is not in the repository' : receiptProblem(receipt, head, null)
  if (head !== null && problem === null && head.value.root.equals(root)) return head
  throw new NodeDaemonError('INTEGRITY', `the home did not prove what it restored: ${problem ?? 'another root'}`)
}
