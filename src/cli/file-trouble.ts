import type { Stats } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { messageOf, NodeDaemonError } from '../core/errors.ts'

const codeIn = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

const isMissing = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(String(codeIn(error)))

/** What stands at a path, a link as itself; null where nothing does. What may not be looked at is thrown: it may be there. */
export async function standingAt(path: string): Promise<Stats | null> {
  try {
    return await lstat(path)
  } catch (error) {
    if (isMissing(error)) return null
    throw new NodeDaemonError('BAD_USAGE', unreadable(path, error), { advice: 'name another place', cause: error })
  }
}

/** Why a file that was named cannot be read. */
export function unreadable(path: string, error: unknown): string {
  if (isMissing(error)) return `there is no file ${path}`
  return codeIn(error) === 'EACCES' ? `${path} may not be read` : `${path} cannot be read: ${messageOf(error)}`
}

/** What to throw where nothing can be made in a folder: `NOT_FOUND` where it is not there, else `BAD_USAGE`. */
export function unwritable(folder: string, error: unknown): NodeDaemonError {
  if (isMissing(error)) {
    const advice = 'make it first, or name another one'
    return new NodeDaemonError('NOT_FOUND', `there is no folder ${folder}`, { advice, cause: error })
  }
  const why = codeIn(error) === 'EACCES' ? '' : `: ${messageOf(error)}`
  return new NodeDaemonError('BAD_USAGE', `nothing can be written in ${folder}${why}`, {
    advice: 'name a folder that may be written',
    cause: error
  })
}
