import type { CID } from 'multiformats/cid'
import type { Load } from '../content/file.ts'
import { childrenOf } from '../content/nodes.ts'
import { RAW_CODEC } from '../core/blocks.ts'
import type { Plan } from './plan.ts'

/** Counts the blocks of trees, each as often as it is linked: only so can a change be counted without the rest. */
export class BlockCounter {
  readonly #load: Load
  readonly #known = new Map<string, number>()

  constructor(load: Load) {
    this.#load = load
  }

  /** Says what is known already. */
  note(cid: CID, count: number): void {
    this.#known.set(cid.toString(), count)
  }

  async below(cid: CID): Promise<number> {
    if (cid.code === RAW_CODEC) return 1
    const key = cid.toString()
    const known = this.#known.get(key)
    if (known !== undefined) return known
    let count = 1
    for (const child of childrenOf({ cid, bytes: await this.#load(cid) })) count += await this.below(child)
    this.#known.set(key, count)
    return count
  }
}

/**
 * The number of blocks at and below `root`.
 *
 * @param before that of the tree from which the plan leads to this one; null where nobody counted them
 */
export async function countBlocks(
  root: CID,
  plan: Plan,
  before: number | null,
  counter: BlockCounter
): Promise<number> {
  if (before === null) return counter.below(root)
  let count = before + plan.folderNodes + plan.links.length
  for (const { cid } of plan.files) count += await counter.below(cid)
  const fresh = plan.folders.filter((folder) => folder.fresh)
  const gone = [...plan.files, ...plan.links, ...fresh].map((planned) => planned.before)
  for (const cid of gone) if (cid !== null) count -= await counter.below(cid)
  for (const { cid } of plan.removed) count -= await counter.below(cid)
  return count
}
