import { dirname } from 'node:path'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import { forEachParallel } from '../core/parallel.ts'
import type { DiskPath, FileStats, FileSystem } from './file-system.ts'

const SLASH = Buffer.from('/')
const REMOVALS_AT_ONCE = 4
const OWNER_ALL = 0o700n
const PRIVATE_FOLDER = Number(OWNER_ALL)

/** The code of a failed system call; empty for any other error. */
export const systemCode = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

/** There is no such entry, or no longer. */
export const isGone = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(systemCode(error))

/** The entry is there, and this process cannot open it under this name. */
export const isDenied = (error: unknown): boolean =>
  ['EACCES', 'EPERM', 'ENAMETOOLONG', 'ELOOP', 'ENXIO'].includes(systemCode(error))

/** A failed call to the file system, as an error of ours; what is ours already passes as it is. */
export function diskFailure(error: unknown): NodeDaemonError {
  if (error instanceof NodeDaemonError) return error
  const options = { cause: error }
  switch (systemCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new NodeDaemonError('NO_SPACE', 'the disk is full', { ...options, advice: 'free space on this disk' })
    case 'EMFILE':
    case 'ENFILE':
      return new NodeDaemonError('BUSY', 'too many open files', { ...options, advice: 'raise the limit (ulimit -n)' })
    default:
      return new NodeDaemonError('UNEXPECTED', messageOf(error), options)
  }
}

/** What is at the path itself, not where a link there leads to; null where nothing is. */
export async function look(files: FileSystem, path: DiskPath): Promise<FileStats | null> {
  try {
    return await files.lstat(path)
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

/** The path of an entry of a folder. */
export const entryPath = (folder: DiskPath, name: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(folder), SLASH, name])

/** Removes an entry and all below it, without following links. What is not there is removed already. */
export async function removeTree(files: FileSystem, path: DiskPath): Promise<void> {
  const stats = await look(files, path)
  if (stats === null) return
  if (!stats.isDirectory()) return await removeFile(files, path)
  if ((stats.mode & OWNER_ALL) !== OWNER_ALL) await files.chmod(path, PRIVATE_FOLDER)
  await emptyFolder(files, path)
  await unlessGone(files.removeFolder(path))
}

/** Removes all entries of a folder. */
export async function emptyFolder(files: FileSystem, path: DiskPath): Promise<void> {
  await forEachParallel(await files.names(path), REMOVALS_AT_ONCE, (name) => removeTree(files, entryPath(path, name)))
}

/** Removes what is no folder. What is not there is removed already. */
export const removeFile = (files: FileSystem, path: DiskPath): Promise<void> => unlessGone(files.unlink(path))

/** Waits for work on something that may be gone, or go away meanwhile: then there is nothing to do. */
export async function unlessGone(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

/** Makes a folder and those above it, readable by this user alone; durable together with the folder above the first new one. */
export async function makeFolder(files: FileSystem, path: string): Promise<void> {
  await files.makeFolders(path, PRIVATE_FOLDER)
}

/**
 * Sees to it that a folder is there, with those above it. On return it durably stands where it does, also where it was
 * there already: who made it may have been killed before the sync.
 */
export async function makeDurableFolder(files: FileSystem, path: string, mode = PRIVATE_FOLDER): Promise<void> {
  const uppermost = dirname((await files.makeFolders(path, mode)) ?? path)
  for (let above = dirname(path); ; above = dirname(above)) {
    await files.syncFolder(above)
    if (above.length <= uppermost.length) return
  }
}
