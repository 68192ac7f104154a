import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isGone, syncFileSystem, syncFolder } from './disk.ts'
import type { WorkspacePath } from './paths.ts'

/** More paths than this are cheaper to sync with the whole file system. */
const ONE_BY_ONE_MAX = 16

/** Makes what stands at these paths now durable on this disk: the files, and the folders that name them. */
export async function makeDurable(folder: string, paths: readonly WorkspacePath[]): Promise<void> {
  const few = paths.length <= ONE_BY_ONE_MAX && (await Promise.all(paths.map((path) => syncFile(join(folder, path)))))
  if (few !== false && few.every(Boolean)) {
    for (const parent of new Set(paths.map((path) => dirname(join(folder, path))))) await syncFolder(parent)
    return
  }
  await syncFileSystem(folder)
}

/** False for what cannot be synced alone: a folder means everything below it. */
async function syncFile(path: string): Promise<boolean> {
  try {
    await using file = await open(path, 'r')
    if (!(await file.stat()).isFile()) return false
    await file.sync()
    return true
  } catch (error) {
    if (isGone(error)) return true
    throw error
  }
}
