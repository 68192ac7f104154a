import { opendir } from 'node:fs/promises'
import { PATH_LIMITS } from '../../worktree/paths.ts'
import { type FilePath, tooLong } from './path.ts'

/** What paths below a folder may have on top of its own. */
export interface Room {
  readonly bytes: number
  readonly names: number
}

export const roomBelow = (path: FilePath): Room => ({
  bytes: PATH_LIMITS.bytes - Buffer.byteLength(path),
  names: PATH_LIMITS.names - path.split('/').length
})

/** What is left of it below an entry. @throws Refusal 414 where there is none for the entry */
export function roomAfter(room: Room, nameBytes: number): Room {
  const left = { bytes: room.bytes - nameBytes - 1, names: room.names - 1 }
  if (left.bytes < 0 || left.names < 0) throw tooLong()
  return left
}

const SLASH = Buffer.from('/')

/** Looks whether all that a folder holds could be named within the room. @throws Refusal 414 */
export async function requireRoom(folder: Buffer, room: Room): Promise<void> {
  for await (const entry of await opendir(folder, { encoding: 'buffer' as BufferEncoding, bufferSize: 256 })) {
    const name = entry.name as unknown as Buffer
    const left = roomAfter(room, name.length)
    if (entry.isDirectory()) await requireRoom(Buffer.concat([folder, SLASH, name]), left)
  }
}
