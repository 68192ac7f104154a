import { constants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { forEachParallel } from '../core/parallel.ts'
import { diskFailure, isGone, look, syncFileSystem, syncFolder } from './disk.ts'
import { parentOf, type WorkspacePath } from './paths.ts'

/** More paths than this, and the whole folder, are cheaper to sync with the whole file system. */
const ONE_BY_ONE_MAX = 16
const SYNCS_AT_ONCE = 4
const EXISTING = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Makes what stands at these paths now durable on this disk, a folder with all below it, and that it stands there.
 *
 * @throws NodeDaemonError when the disk does not say that it is: nothing may be taken for durable then
 */
export async function makeDurable(folder: string, paths: readonly WorkspacePath[]): Promise<void> {
  try {
    if ((paths.length > ONE_BY_ONE_MAX || paths.includes('')) && (await syncFileSystem(folder))) return
    await forEachParallel(paths, SYNCS_AT_ONCE, (path) => syncTree(join(folder, path)))
    for (const path of foldersAbove(paths)) await unlessGone(syncFolder(join(folder, path)))
  } catch (error) {
    throw diskFailure(error)
  }
}

async function syncTree(path: string): Promise<void> {
  const stats = await look(path)
  if (stats?.isFile() === true) return await unlessGone(syncFile(path))
  if (stats?.isDirectory() !== true) return
  for (const name of await readdir(path)) await syncTree(join(path, name))
  await unlessGone(syncFolder(path))
}

async function syncFile(path: string): Promise<void> {
  await using file = await open(path, EXISTING)
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

/** What is removed meanwhile needs no sync of its own: its folder has one. */
async function unlessGone(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isGone(error)) throw error
  }
}
