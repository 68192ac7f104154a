import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { type Metadata, type Node, readNode } from '../content/nodes.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { BlockCounter } from './count-blocks.ts'
import { isDenied, look, makeFolder, removeFile, removeTree } from './disk.ts'
import type { EntryKind } from './entry-record.ts'
import type { FileSystem, OpenFile } from './file-system.ts'
import { type Fingerprint, fingerprintOf, utimesText } from './fingerprint.ts'
import type { Intake } from './intake.ts'
import type { Ledger } from './ledger.ts'
import type { WorkspacePath } from './paths.ts'
import type { Planned, PlannedFile, PlannedFolder } from './plan.ts'
import type { Staging } from './staging.ts'
import { Outdated, type TreeIndex } from './tree-index.ts'

/** What it takes to put entries on disk. */
export interface PlaceDeps {
  readonly files: FileSystem
  /** The workspace's folder, without links in its path. */
  readonly folder: string
  readonly index: TreeIndex
  readonly staging: Staging
  readonly intake: Intake
  readonly ledger: Ledger
  readonly counter: BlockCounter
  /** Every file and folder is fsynced by itself; else the whole file system is, later. */
  readonly syncEach: boolean
}

const OWNER_ALL = 0o700

/**
 * Sees to it that a folder is there and can be written to. Its mode and time come last, with `finishFolder`.
 *
 * @throws Outdated when a folder that the index has is gone
 */
export async function openFolder({ files, folder }: PlaceDeps, { path, fresh }: PlannedFolder): Promise<void> {
  const target = join(folder, path)
  if (path === '') return await makeFolder(files, target)
  const stats = await look(files, target)
  if (stats?.isDirectory() === true) {
    if ((Number(stats.mode) & OWNER_ALL) !== OWNER_ALL) await files.chmod(target, OWNER_ALL)
    return
  }
  if (!fresh) throw new Outdated(`the folder ${path} is gone`)
  if (stats !== null) await files.unlink(target)
  await files.makeFolder(target, OWNER_ALL)
}

/** Gives a folder its mode and time, once nothing in it will change any more. */
export async function finishFolder(deps: PlaceDeps, planned: PlannedFolder): Promise<void> {
  await using folder = await deps.files.open(join(deps.folder, planned.path), 'folder')
  if (planned.path !== '') {
    await dress(folder, await metadataOf(deps, planned.cid))
    await note(deps, 'folder', planned, fingerprintOf(await folder.stat()))
  }
  if (deps.syncEach) await folder.sync()
}

export async function placeLink(deps: PlaceDeps, planned: Planned): Promise<void> {
  const node = await nodeOf(deps, planned.cid)
  if (node.kind !== 'link') throw unusable(planned.cid)
  const staged = deps.staging.freshPath()
  await deps.files.symlink(node.target, staged)
  await deps.files.lutimes(staged, utimesText(node.metadata))
  await moveIn(deps, staged, 'link', planned)
}

export async function removeEntry(deps: PlaceDeps, path: WorkspacePath): Promise<void> {
  await removeTree(deps.files, join(deps.folder, path))
  await deps.ledger.changed(path, null)
}

/**
 * Changes only the mode and time of a file. False, and nothing is done, where its content differs too, or where it has
 * another name that would change with it.
 */
export async function redressFile(deps: PlaceDeps, file: PlannedFile): Promise<boolean> {
  const { before } = file
  if (before === null || !(await sameContent(deps, file.cid, before))) return false
  const path = join(deps.folder, file.path)
  const handle = await deps.files.open(path, 'read').catch((error: unknown) => {
    if (isDenied(error)) return null
    throw error
  })
  if (handle === null) return false
  try {
    const stats = await handle.stat()
    if (!stats.isFile() || stats.nlink !== 1n) return false
    await dress(handle, await metadataOf(deps, file.cid))
    if (deps.syncEach) await handle.sync()
    await note(deps, 'file', file, fingerprintOf(await handle.stat()))
    return true
  } finally {
    await handle.close()
  }
}

async function sameContent(deps: PlaceDeps, a: CID, b: CID): Promise<boolean> {
  const [one, other] = [await nodeOf(deps, a), await nodeOf(deps, b)]
  if (one.kind !== 'file' || other.kind !== 'file' || one.links.length !== other.links.length) return false
  return one.links.every(({ cid }, index) => other.links[index]?.cid.equals(cid) === true)
}

/** Gives a file that has all its bytes its mode and time. */
export async function completeFile(
  deps: PlaceDeps,
  staged: string,
  handle: OpenFile,
  file: PlannedFile
): Promise<void> {
  await dress(handle, await metadataOf(deps, file.cid))
  if (!deps.syncEach) return
  try {
    await handle.sync()
  } catch (error) {
    // It reads well all the same, and a later sync would say that it is on the disk.
    await removeFile(deps.files, staged)
    throw error
  }
}

/** Gives a staged entry its name, in the place of whatever had it. */
export async function moveIn(deps: PlaceDeps, staged: string, kind: EntryKind, planned: Planned): Promise<Fingerprint> {
  const target = join(deps.folder, planned.path)
  try {
    await deps.files.rename(staged, target)
  } catch (error) {
    if ((await look(deps.files, target))?.isDirectory() !== true) throw error
    await removeTree(deps.files, target)
    await deps.files.rename(staged, target)
  }
  const stats = await look(deps.files, target)
  if (stats === null) throw new Outdated(`${planned.path} went away`)
  const fingerprint = fingerprintOf(stats)
  await note(deps, kind, planned, fingerprint)
  return fingerprint
}

/** The mode last: it may forbid everything else. */
async function dress(handle: OpenFile, metadata: Metadata): Promise<void> {
  await handle.utimes(utimesText(metadata))
  await handle.chmod(metadata.mode)
}

async function note(
  { ledger }: PlaceDeps,
  kind: EntryKind,
  { path, cid, totalBytes, before }: Planned,
  fingerprint: Fingerprint
): Promise<void> {
  const record = { kind, fingerprint, settled: true, cid, totalBytes }
  await (before === null ? ledger.replaced(path, null, record) : ledger.changed(path, record))
}

async function metadataOf(deps: PlaceDeps, cid: CID): Promise<Metadata> {
  const node = await nodeOf(deps, cid)
  if (node.kind === 'raw' || node.metadata === null) throw unusable(cid)
  return node.metadata
}

async function nodeOf({ index }: PlaceDeps, cid: CID): Promise<Node> {
  return readNode({ cid, bytes: await index.load(cid) })
}

const unusable = (cid: CID): NodeDaemonError =>
  new NodeDaemonError('INTEGRITY', `the tree node ${cid} cannot stand where it does`)
