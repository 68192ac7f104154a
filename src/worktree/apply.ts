import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { NodeDaemonError } from '../core/errors.ts'
import { forEachParallel } from '../core/parallel.ts'
import { BlockCounter, countBlocks } from './count-blocks.ts'
import { removeFile } from './disk.ts'
import { makeDurable } from './durable.ts'
import { decodeEntry, settledSince } from './entry-record.ts'
import type { FileSystem } from './file-system.ts'
import { type Fetch, Intake } from './intake.ts'
import { Ledger } from './ledger.ts'
import { parentOf, type WorkspacePath } from './paths.ts'
import { finishFolder, openFolder, type PlaceDeps, placeLink, redressFile, removeEntry } from './place.ts'
import { type Plan, type PlannedFile, type PlannedFolder, planTree } from './plan.ts'
import type { Staging } from './staging.ts'
import type { TreeIndex } from './tree-index.ts'
import type { TreeState } from './tree-state.ts'
import { writeFiles } from './write-file.ts'

export interface Applied {
  /** Everything but folders. */
  readonly files: number
  /** Content of the files. */
  readonly bytes: number
  readonly fetchedBytes: number
  /** Nodes and leaves at and below the root, each counted as often as it is linked. */
  readonly blocks: number
}

export interface ApplyDeps {
  readonly files: FileSystem
  /** The workspace's folder, without links in its path. */
  readonly folder: string
  readonly index: TreeIndex
  readonly staging: Staging
  readonly fetch: Fetch
  readonly signal: AbortSignal | undefined
  /** What is on disk was applied, and nobody has written since. Else it is made durable first, though nothing of it changes. */
  readonly onDiskIsDurable: boolean
  readonly checkpoint?: Checkpoint
}

/** What was placed is recorded each time it has come to this, so that an interrupted apply need not read it again. */
export interface Checkpoint {
  readonly entries: number
  readonly bytes: number
}

/** Up to so many entries are fsynced one by one; for more, the whole file system at once is faster. */
const SYNC_EACH_MAX = 16
const WORK_AT_ONCE = 8
const WRITABLE = 0o700
const CHECKPOINT: Checkpoint = { entries: 20_000, bytes: 512 * 1024 * 1024 }

/**
 * Turns the folder from the tree that the index has into another one. The order makes every interruption harmless: the
 * records of folders that will change go first, so that none stands for what is on disk only in part; records of what
 * was placed come after it is synced; the root comes last.
 *
 * @param state what the index has, and the disk too
 */
export async function applyTree(
  deps: ApplyDeps,
  state: TreeState & { readonly root: CID },
  root: CID
): Promise<Applied> {
  const intake = new Intake({ ...deps, nothingHere: state.bytes === 0 })
  const plan = await planTree(state.root, root, deps.index, (cids) => intake.nodes(cids), deps.signal)
  await checkRoom(deps, plan, state)
  await deps.staging.prepare()
  const begun: TreeState = { ...state, applying: true }
  await deps.index.record({ put: new Map(), remove: changing(plan.folders) }, begun, { durable: true })

  const size = plan.folders.length + plan.files.length + plan.links.length
  const syncEach = await beginDurably(deps, size)
  const ledger = new Ledger(deps.index, state)
  const counter = new BlockCounter(deps.index.load)
  await carryOut({ ...deps, intake, ledger, counter, syncEach }, deps, plan, begun)
  if (!syncEach) await syncAll(deps, ledger)
  const { files, bytes } = ledger
  const blocks = await countBlocks(root, plan, state.blocks, counter)
  const done = { root, files, bytes, blocks, applying: false }
  await deps.index.record({ put: settled(ledger.put, await deps.staging.nowNs()), remove: ledger.remove }, done, {
    durable: true
  })
  await deps.staging.clear()
  return { files, bytes, fetchedBytes: intake.fetchedBytes, blocks }
}

async function carryOut(place: PlaceDeps, deps: ApplyDeps, plan: Plan, begun: TreeState): Promise<void> {
  for (const folder of plan.folders) await openFolder(place, folder)
  const written: PlannedFile[] = []
  for (const file of plan.files) if (!(await redressFile(place, file))) written.push(file)
  await writeFiles(place, written, () => checkpoint(place, deps, begun))
  await forEachParallel(plan.links, WORK_AT_ONCE, (link) => placeLink(place, link))
  await forEachParallel(plan.removed, WORK_AT_ONCE, ({ path }) => removeEntry(place, path))
  for (const level of deepestFirst(plan.folders)) {
    await forEachParallel(level, WORK_AT_ONCE, (folder) => finishFolder(place, folder))
  }
}

async function checkpoint({ ledger, syncEach }: PlaceDeps, deps: ApplyDeps, begun: TreeState): Promise<void> {
  if (syncEach || !ledger.isDue(deps.checkpoint ?? CHECKPOINT)) return
  await syncAll(deps, ledger)
  const { put, remove, files, bytes } = ledger
  await deps.index.record(
    { put: settled(put, await deps.staging.nowNs()), remove },
    { ...begun, files, bytes },
    { durable: false }
  )
  ledger.recorded()
}

/** Makes durable what is there where it may not be. Returns whether each entry that is placed is to be synced by itself. */
async function beginDurably({ files, folder, onDiskIsDurable }: ApplyDeps, size: number): Promise<boolean> {
  const few = size <= SYNC_EACH_MAX
  if (few && onDiskIsDurable) return true
  const synced = await files.syncFileSystem(folder)
  if (!synced && !onDiskIsDurable) await makeDurable(files, folder, [''])
  return few || !synced
}

/** What could not be synced reads well until the power goes: none of it stays, so that the next apply writes it anew. */
async function syncAll({ files, folder }: ApplyDeps, { put }: Ledger): Promise<void> {
  if (await files.syncFileSystem(folder)) return
  for (const [path, record] of put) {
    if (decodeEntry(record)?.kind === 'folder') continue
    if (parentOf(path) !== '') await files.chmod(join(folder, parentOf(path)), WRITABLE)
    await removeFile(files, join(folder, path))
  }
  throw new NodeDaemonError('UNEXPECTED', `the file system of ${folder} cannot be synced`)
}

/** Nobody else writes while a tree is applied: a file is as it was placed unless it may have changed since this moment. */
function settled(put: ReadonlyMap<WorkspacePath, Uint8Array>, nowNs: bigint): Map<WorkspacePath, Uint8Array> {
  return new Map([...put].map(([path, record]) => [path, settledSince(record, nowNs)]))
}

/** Refuses what cannot fit even if it took the place of everything that is there. */
async function checkRoom({ files, folder }: ApplyDeps, plan: Plan, state: TreeState): Promise<void> {
  const needed = plan.files.reduce((sum, { size }) => sum + size, 0)
  if (needed - state.bytes <= (await files.freeBytes(folder))) return
  throw new NodeDaemonError('NO_SPACE', `the files need ${needed} bytes, and there is less room`, {
    advice: 'free space on this disk'
  })
}

const changing = (folders: readonly PlannedFolder[]): Set<WorkspacePath> =>
  new Set(folders.filter(({ fresh }) => !fresh).map(({ path }) => path))

function deepestFirst(folders: readonly PlannedFolder[]): PlannedFolder[][] {
  const depthOf = ({ path }: PlannedFolder): number => (path === '' ? 0 : path.split('/').length)
  return [...Map.groupBy(folders, depthOf)].sort(([a], [b]) => b - a).map(([, level]) => level)
}
