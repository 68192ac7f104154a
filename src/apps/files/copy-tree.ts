import { constants } from 'node:fs'
import { chmod, copyFile, lstat, mkdir, opendir, readlink, symlink } from 'node:fs/promises'
import { Refusal } from './refusal.ts'
import { type Room, roomAfter } from './room.ts'
import { kindOf } from './tree.ts'

export interface CopyOptions {
  /** Without what a folder holds. */
  readonly shallow: boolean
  readonly entriesMax: number
  /** For the paths of what a folder holds. */
  readonly room: Room
  /** Called before each entry with what its content takes; throws to give up. */
  readonly check: (bytes: number) => void
}

/**
 * Copies a file or a folder. Links are copied as links. Paths are bytes, so that names that are not UTF-8 come along.
 *
 * @throws Refusal 507 for too many entries, 403 for what is neither file, folder nor link, 414 for paths that
 *   would be too long; the copy is then incomplete
 */
export async function copyTree(from: string, to: string, options: CopyOptions): Promise<void> {
  let entries = 0
  const copy = async (source: Buffer, destination: Buffer, room: Room): Promise<void> => {
    if (++entries > options.entriesMax) {
      throw new Refusal(507, `one copy may make ${options.entriesMax} files and folders; copy in parts`)
    }
    const stats = await lstat(source)
    const kind = kindOf(stats)
    options.check(kind === 'file' ? stats.size : 0)
    if (kind === 'file') return copyFile(source, destination, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
    if (kind === 'link') return symlink(await readlink(source, 'buffer'), destination)
    if (kind === 'other') throw new Refusal(403, 'something in it is neither a file nor a folder')
    await mkdir(destination)
    if (!options.shallow)
      for (const name of await namesIn(source))
        await copy(below(source, name), below(destination, name), roomAfter(room, name.length))
    await chmod(destination, stats.mode & 0o777)
  }
  await copy(Buffer.from(from), Buffer.from(to), options.room)
}

const SLASH = Buffer.from('/')
const below = (folder: Buffer, name: Buffer): Buffer => Buffer.concat([folder, SLASH, name])

async function namesIn(folder: Buffer): Promise<Buffer[]> {
  const names: Buffer[] = []
  for await (const entry of await opendir(folder, { encoding: 'buffer' as BufferEncoding })) {
    names.push(entry.name as unknown as Buffer)
  }
  return names
}
