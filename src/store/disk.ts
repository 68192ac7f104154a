import { codeOf, messageOf, NodeDaemonError } from '../core/errors.ts'

/**
 * Files of bytes under one root, as the durable parts of this folder see them. Paths are relative, with `/` between
 * their parts, and never leave the root.
 *
 * What was appended is durable after `sync`; a new, renamed or removed name after `syncFolder` of the folder that
 * names it. A crash may take everything else, and may tear the last write.
 *
 * @throws NodeDaemonError `NO_SPACE` when the disk or a quota is full: the call may have been carried out in part
 */
export interface Disk {
  /** Adds bytes at the end of a file, which comes into being if it is not there. On return all of it is written, not durable. */
  append(path: string, parts: readonly Uint8Array[]): Promise<void>
  /** Makes the bytes of a file durable. Once this has failed for a file, every later `append` and `sync` of it fails too. */
  sync(path: string): Promise<void>
  syncFolder(path: string): Promise<void>
  /** Replaces `to` where it exists. */
  rename(from: string, to: string): Promise<void>
  /** Up to `length` bytes from `offset`; fewer only where the file ends. */
  read(path: string, offset: number, length: number): Promise<Uint8Array>
  /** The names in a folder, sorted; none where there is no such folder. */
  list(path: string): Promise<string[]>
  /** Null where there is no such file. */
  size(path: string): Promise<number | null>
  /** Durable with the next `sync`. */
  truncate(path: string, length: number): Promise<void>
  /** Does nothing where there is no such file. */
  remove(path: string): Promise<void>
  /** With all the folders above it; does nothing where it exists. */
  makeFolder(path: string): Promise<void>
  /** What may still be written, in bytes. */
  freeBytes(): Promise<number>
  /** Gives the open files back. The disk may be used again. */
  close(): Promise<void>
}

const FULL = new Set(['ENOSPC', 'EDQUOT'])

/** The operating system's code of an error (`ENOENT`), or an empty text. */
export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** An error of the operating system as one of ours: a full disk is `NO_SPACE`, the rest is `UNEXPECTED`. */
export function diskError(error: unknown, what: string): NodeDaemonError {
  if (error instanceof NodeDaemonError) return error
  if (FULL.has(systemCode(error))) {
    return new NodeDaemonError('NO_SPACE', `no room left: ${what}`, {
      advice: 'free some space on this disk; writing goes on by itself once there is room',
      cause: error
    })
  }
  return new NodeDaemonError(codeOf(error), `${what}: ${messageOf(error)}`, { cause: error })
}

const UNREADABLE = new Set(['EIO', 'EBADMSG', 'EUCLEAN'])

/** Is it the place itself that cannot be read, so that reading it again does not help? */
export const isUnreadable = (error: unknown): boolean =>
  UNREADABLE.has(systemCode(error)) || (error instanceof NodeDaemonError && UNREADABLE.has(systemCode(error.cause)))

/** @throws NodeDaemonError `BAD_REQUEST` when the path is not a plain relative one */
export function checkPath(path: string): string {
  const parts = path.split('/')
  if (parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\0'))) {
    throw new NodeDaemonError('BAD_REQUEST', `"${path.slice(0, 200)}" is not a path inside the folder`)
  }
  return path
}

export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))
