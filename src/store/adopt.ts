import type { CID } from 'multiformats/cid'
import { hasCode } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { checkClosure } from './closure.ts'
import type { Ledger } from './ledger.ts'
import type * as rows from './rows.ts'
import type { Shelf } from './shelf.ts'

const PAGE = 256

/**
 * Links everything below a node, which a head of the workspace needs, to the workspace. What is not there, since it was
 * damaged, is listed as such, and adopted further once it is kept anew.
 *
 * @returns how much lies below of what is there
 */
export async function adopt(shelf: Shelf, workspace: WorkspaceId, root: CID, log: Logger): Promise<rows.Counts> {
  try {
    const { counts, missing } = await checkClosure(root, shelf.adopting(workspace))
    if (missing.length > 0) log.error({ workspace, atLeast: missing.length }, 'a head lacks blocks')
    return counts
  } catch (error) {
    if (!hasCode(error, 'INTEGRITY', 'BAD_REQUEST')) throw error
    log.error({ workspace, error }, 'the tree of a head cannot be read')
    return { blocks: 0, bytes: 0 }
  }
}

/**
 * Nodes that heads lacked are there again: goes on below them for every workspace that needs them. Only then they do not
 * count as damaged any more, so that a stop in between is made good by the next start.
 */
export async function adoptAgain(shelf: Shelf, ledger: Ledger, nodes: readonly CID[], log: Logger): Promise<void> {
  if (nodes.length === 0) return
  for await (const workspace of allWorkspaces(ledger)) {
    const links = await shelf.links(workspace, nodes)
    for (const [index, node] of nodes.entries()) {
      if (links[index] !== null) await adopt(shelf, workspace, node, log)
    }
  }
  await shelf.endDamage(nodes)
}

/** Workspaces with a head or a seal. */
export async function* allWorkspaces(ledger: Ledger): AsyncGenerator<WorkspaceId> {
  for (let page = await ledger.workspaces(null, PAGE); page.length > 0; ) {
    yield* page
    page = await ledger.workspaces(page.at(-1) ?? null, PAGE)
  }
}
