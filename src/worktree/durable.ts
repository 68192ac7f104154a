import { join } from 'node:path'
import { forEachParallel } from '../core/parallel.ts'
import { diskFailure, entryPath, look, unlessGone } from './disk.ts'
import type { DiskPath, FileSystem } from './file-system.ts'
import { parentOf, type WorkspacePath } from './paths.ts'

/** More paths than this, and the whole folder, are cheaper to sync with the whole file system. */
const ONE_BY_ONE_MAX = 16
const SYNCS_AT_ONCE = 4

/**
 * Makes what stands at these paths now durable on this disk, a folder with all below it, and that it stands there.
 *
 * @param folder stands durably where it does
 *
 * @throws NodeDaemonError when the disk does not say that it is: nothing may be taken for durable then
 */
export async function makeDurable(files: FileSystem, folder: string, paths: readonly WorkspacePath[]): Promise<void> {
  try {
    if ((paths.length > ONE_BY_ONE_MAX || paths.includes('')) && (await files.syncFileSystem(folder))) return
    await forEachParallel(paths, SYNCS_AT_ONCE, (path) => syncTree(files, join(folder, path)))
    for (const path of foldersAbove(paths)) await unlessGone(files.syncFolder(join(folder, path)))
  } catch (error) {
    throw diskFailure(error)
  }
}

/** What is removed meanwhile needs no sync of its own: its folder has one. */
async function syncTree(files: FileSystem, path: DiskPath): Promise<void> {
  const stats = await look(files, path)
  if (stats?.isFile() === true) return await unlessGone(syncFile(files, path))
  if (stats?.isDirectory() !== true) return
  for (const name of await files.names(path)) await syncTree(files, entryPath(path, name))
  await unlessGone(files.syncFolder(path))
}

async function syncFile(files: FileSystem, path: DiskPath): Promise<void> {
  await using file = await files.open(path, 'read')
  await file.sync()
}

/** All folders on the way to the paths, the workspace's own included. */
function foldersAbove(paths: readonly WorkspacePath[]): Set<WorkspacePath> {
  const above = new Set<WorkspacePath>()
  for (const path of paths) {
    for (let at = path; at !== ''; ) {
      at = parentOf(at)
      above.add(at)
    }
  }
  return above
}
