import { join } from 'node:path'
import { sha256 } from '../../src/core/blocks.ts'
import { NodeDaemonError } from '../../src/core/errors.ts'
import type { Random } from '../../src/core/random.ts'
import { diskFailure, isGone, look, removeFile } from '../../src/worktree/disk.ts'
import type { FileSystem } from '../../src/worktree/file-system.ts'
import { joinPath, type WorkspacePath } from '../../src/worktree/paths.ts'

/** What a simulated app works on. */
export interface AppPlace {
  readonly files: FileSystem
  readonly random: Random
  /** The workspace. */
  readonly folder: string
  /** Where uploads are complete before they are seen. */
  readonly staging: string
}

const FILE_MODE = 0o644

/**
 * Writes a file as the files app does: complete under another name, then in the place of the old one with one rename.
 * Nothing of it is durable on return.
 *
 * @param seconds its modification time, since 1970
 * @throws NodeDaemonError as `diskFailure` says; the old file is as it was then
 */
export async function putFile(
  { files, random, folder, staging }: AppPlace,
  path: WorkspacePath,
  bytes: Uint8Array,
  seconds: number
): Promise<void> {
  const staged = join(staging, Buffer.from(random.bytes(16)).toString('hex'))
  try {
    await using file = await files.open(staged, 'create')
    for (let done = 0; done < bytes.length; ) done += await file.write(bytes.subarray(done), done)
    await file.utimes(String(seconds))
    if (Number((await file.stat()).size) !== bytes.length) throw new NodeDaemonError('NO_SPACE', 'the disk is full')
    await file.chmod(FILE_MODE)
    await files.rename(staged, join(folder, path))
  } catch (error) {
    await removeFile(files, staged).catch(() => undefined)
    throw diskFailure(error)
  }
}

/** The bytes of a file; null where there is none. */
export async function readFile(files: FileSystem, path: string): Promise<Buffer | null> {
  try {
    await using file = await files.open(path, 'read')
    const stats = await file.stat()
    if (!stats.isFile()) return null
    const bytes = Buffer.alloc(Number(stats.size))
    return bytes.subarray(0, await file.read(bytes, 0))
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

/** All that a snapshot keeps of what is below a folder, as comparable text by path, in the order of the paths. */
export async function listTree(files: FileSystem, folder: string): Promise<Record<WorkspacePath, string>> {
  const found: Record<WorkspacePath, string> = {}
  const below = async (path: WorkspacePath): Promise<void> => {
    for (const name of (await files.names(join(folder, path))).map(String).sort()) {
      const child = joinPath(path, name)
      found[child] = await describeEntry(files, join(folder, child))
      if (found[child].startsWith('folder')) await below(child)
    }
  }
  await below('')
  return found
}

async function describeEntry(files: FileSystem, path: string): Promise<string> {
  const stats = await look(files, path)
  if (stats === null) return 'gone'
  const time = stats.mtimeNs / 1000n
  const mode = (stats.mode & 0o7777n).toString(8)
  if (stats.isSymbolicLink()) return `link ${time} ${await files.readlink(path)}`
  if (stats.isDirectory()) return `folder ${mode} ${time}`
  const bytes = await readFile(files, path)
  return `file ${mode} ${time} ${bytes === null ? 'gone' : `${bytes.length} ${sha256(bytes).toString('hex')}`}`
}
