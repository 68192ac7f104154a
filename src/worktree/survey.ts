import type { CID } from 'multiformats/cid'
import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { Touched } from './paths.ts'
import { Scan, type ScanDeps } from './scan.ts'
import { type EntryChanges, Outdated } from './tree-index.ts'
import { NEW_STATE, type TreeState } from './tree-state.ts'

/** What a walk over a workspace's folder found, and what to record of it. */
export interface Survey {
  readonly root: CID
  readonly unsettled: readonly string[]
  readonly changes: EntryChanges
  readonly state: TreeState & { readonly root: CID }
}

export const EVERYTHING: Touched = { whole: true, below: new Map() }

/** Walks over what is touched. Where the index is of no use for that, over everything, and reads everything. */
export async function survey(deps: ScanDeps & { readonly log: Logger }, touched: Touched): Promise<Survey> {
  const state = await deps.index.state()
  if (deps.forget || state === null || (state.root === null && !state.applying)) return readAll(deps, state)
  try {
    const scan = new Scan(deps, state)
    const root = await scan.run(touched)
    return await result(scan, root.cid, scan.ledger, state)
  } catch (error) {
    if (!(error instanceof Outdated)) throw error
    deps.log.warn({ reason: messageOf(error) }, 'the index of a workspace is damaged: all its files are read again')
    return readAll({ ...deps, looked: new Map() }, state)
  }
}

async function readAll(deps: ScanDeps, state: TreeState | null): Promise<Survey> {
  const scan = new Scan({ ...deps, forget: true }, state ?? NEW_STATE)
  const root = await scan.run(EVERYTHING)
  const { put } = scan.ledger
  const remove = new Set<string>()
  for await (const path of deps.index.paths()) if (!put.has(path)) remove.add(path)
  return result(scan, root.cid, { put, remove }, state ?? NEW_STATE)
}

function result(scan: Scan, root: CID, changes: EntryChanges, before: TreeState): Survey {
  const { files, bytes } = scan.ledger
  const blocks = before.root?.equals(root) === true ? before.blocks : null
  return { root, unsettled: scan.unsettled, changes, state: { root, files, bytes, blocks, applying: false } }
}
