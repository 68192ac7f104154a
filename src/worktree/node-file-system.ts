import { execFile } from 'node:child_process'
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  utimesSync
} from 'node:fs'
import {
  chmod,
  type FileHandle,
  lstat,
  lutimes,
  mkdir,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  rmdir,
  statfs,
  symlink,
  unlink,
  utimes
} from 'node:fs/promises'
import { platform } from 'node:os'
import { promisify } from 'node:util'
import { isGone } from './disk.ts'
import type { DiskPath, FileStats, FileSystem, LookFiles, OpenAs, OpenFile } from './file-system.ts'

const run = promisify(execFile)
const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants
const FLAGS: Readonly<Record<OpenAs, number>> = {
  read: O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
  folder: O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
  create: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
  extend: O_RDWR | O_CREAT | O_NOFOLLOW
}
const PRIVATE = 0o600
const BIG = { bigint: true } as const
const BIG_OR_NOTHING = { bigint: true, throwIfNoEntry: false } as const

/** The file system of this machine. */
export const nodeFileSystem: FileSystem = {
  lstat: (path) => lstat(path, BIG),
  open: async (path, as) => new NodeFile(await open(path, FLAGS[as], PRIVATE)),
  names: (folder) => readdir(folder, { encoding: 'buffer' }),
  async makeFolder(path, mode) {
    await mkdir(path, mode)
  },
  makeFolders: async (path, mode) => (await mkdir(path, { recursive: true, mode })) ?? null,
  rename,
  unlink,
  removeFolder: rmdir,
  symlink: (target, path) => symlink(target, path),
  readlink: (path) => readlink(path, { encoding: 'buffer' }),
  chmod,
  utimes: (path, time) => utimes(path, time, time),
  lutimes: (path, time) => lutimes(path, time, time),
  realpath: (path) => realpath(path),
  async freeBytes(folder) {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  },
  syncFolder,
  syncFileSystem
}

/** Follows a link at the end of the path. */
async function syncFolder(path: DiskPath): Promise<void> {
  await using handle = await open(path, O_RDONLY)
  await handle.sync()
}

async function syncFileSystem(folder: string): Promise<boolean> {
  if (platform() !== 'linux') return false
  try {
    await run('sync', ['-f', '--', folder])
    return true
  } catch {
    return false
  }
}

class NodeFile implements OpenFile {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  stat(): Promise<FileStats> {
    return this.#handle.stat(BIG)
  }

  async read(bytes: Uint8Array, at: number): Promise<number> {
    return (await this.#handle.read(bytes, 0, bytes.length, at)).bytesRead
  }

  async write(bytes: Uint8Array, at: number): Promise<number> {
    return (await this.#handle.write(bytes, 0, bytes.length, at)).bytesWritten
  }

  truncate(size: number): Promise<void> {
    return this.#handle.truncate(size)
  }

  chmod(mode: number): Promise<void> {
    return this.#handle.chmod(mode)
  }

  utimes(time: string): Promise<void> {
    return this.#handle.utimes(time, time)
  }

  sync(): Promise<void> {
    return this.#handle.sync()
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** The disks of this machine, looked at on the caller's thread. */
export const nodeLookFiles: LookFiles = {
  lstat: (path) => lstatSync(path, BIG_OR_NOTHING) ?? null,
  touch: (path) => utimesSync(path, 0, 0),
  realpath: (path) => realpathSync(path),
  names: (folder) => readdirSync(folder),
  bytesOfNames: (folder) => readdirSync(folder, { encoding: 'buffer' }),
  open: (path) => openSync(path, FLAGS.read),
  pathOf: (descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`)
    } catch (error) {
      if (isGone(error)) return null
      throw error
    }
  },
  stat: (descriptor) => fstatSync(descriptor, BIG),
  read: (descriptor, bytes, offset, length, at) => readSync(descriptor, bytes, offset, length, at),
  close: closeSync
}
