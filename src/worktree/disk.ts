import { execFile } from 'node:child_process'
import type { BigIntStats } from 'node:fs'
import { chmod, lstat, mkdir, open, readdir, rmdir, statfs, unlink } from 'node:fs/promises'
import { platform } from 'node:os'
import { promisify } from 'node:util'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import { forEachParallel } from '../core/parallel.ts'

const run = promisify(execFile)
const SLASH = Buffer.from('/')
const REMOVALS_AT_ONCE = 4
const OWNER_ALL = 0o700n

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
export async function look(path: string | Buffer): Promise<BigIntStats | null> {
  try {
    return await lstat(path, { bigint: true })
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

/** Removes an entry and all below it, without following links. What is not there is removed already. */
export async function removeTree(path: string | Buffer): Promise<void> {
  const stats = await look(path)
  if (stats === null) return
  if (!stats.isDirectory()) return await unless(isGone, unlink(path))
  if ((stats.mode & OWNER_ALL) !== OWNER_ALL) await chmod(path, Number(OWNER_ALL))
  await emptyFolder(path)
  await unless(isGone, rmdir(path))
}

/** Removes all entries of a folder. */
export async function emptyFolder(path: string | Buffer): Promise<void> {
  const folder = Buffer.concat([Buffer.from(path), SLASH])
  const names = await readdir(path, { encoding: 'buffer' })
  await forEachParallel(names, REMOVALS_AT_ONCE, (name) => removeTree(Buffer.concat([folder, name])))
}

async function unless(expected: (error: unknown) => boolean, work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!expected(error)) throw error
  }
}

/** Makes a folder and those above it, readable by this user alone; durable together with the folder above the first new one. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: Number(OWNER_ALL) })
}

/** Waits until a folder's entries are on disk. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Waits until all of the file system that the folder lies on is on disk. False where that cannot be asked for. */
export async function syncFileSystem(folder: string): Promise<boolean> {
  if (platform() !== 'linux') return false
  try {
    await run('sync', ['-f', '--', folder])
    return true
  } catch {
    return false
  }
}

/** Bytes that may still be written where the folder lies. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}
