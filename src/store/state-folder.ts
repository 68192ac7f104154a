import { chmod, readdir, readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import { createIdentity, type Identity, identityFromBytes, identityToBytes } from '../core/identity.ts'
import { DataFiles, makeFolder } from './data-files.ts'
import { diskError, systemCode } from './disk.ts'
import { type LevelStore, openLevel } from './level.ts'

/** A daemon's own folder, held by this process alone until it is released. */
export interface DataFolder {
  readonly path: string
  readonly identity: Identity
  /** The daemon that had the folder before released it. Also true for a new folder. */
  readonly cleanStop: boolean
  /** The machine has not started anew since the folder was opened before. Also true for a new folder. */
  readonly sameBoot: boolean
  /**
   * Replaces a file: after a crash it holds the old bytes or the new ones. Durable on return.
   *
   * @param options.mode permission bits; 0o600 where nothing is said
   */
  writeAtomic(name: string, bytes: Uint8Array | string, options?: { readonly mode?: number }): Promise<void>
  /** Null where there is no such file. */
  read(name: string): Promise<Uint8Array | null>
  /** Durable on return. Does nothing where there is no such file. */
  remove(name: string): Promise<void>
  /** Marks a clean stop and lets another process have the folder. A second call does nothing. */
  release(): Promise<void>
}

export interface DataFolderOptions {
  readonly kind: 'coordinator' | 'instance' | 'front-door'
  /** Of this process: told to whoever finds the folder in use. */
  readonly pid: number
  /** Names the present run of the machine. Where there is no such file, every start counts as one of a new run. */
  readonly bootIdPath?: string
}

const VERSION = 1
const LOCK = 'lock'
const NAMES = {
  version: 'version',
  kind: 'kind',
  pid: 'pid',
  boot: 'boot-id',
  stopped: 'stopped',
  identity: 'identity.key'
} as const
const LINUX_BOOT_ID = '/proc/sys/kernel/random/boot_id'

/**
 * Opens the data folder at `path`, which is made (0700) where it is not there, and holds it: the kernel takes the lock
 * back when the process ends, however it ends.
 *
 * @throws NodeDaemonError `DATA_FOLDER_IN_USE` another process holds it; `DATA_FOLDER_NEWER` a newer version made it,
 * and it was left as it is; `DATA_FOLDER_UNUSABLE` it cannot be written, or is of the other kind; `INTEGRITY` its key
 * cannot be read
 */
export async function openDataFolder(path: string, options: DataFolderOptions): Promise<DataFolder> {
  const files = new DataFiles(resolve(path))
  return await told(files.path, async () => {
    await makeFolder(files.path)
    await refuseForeign(files, options.kind)
    const lock = await takeLock(files)
    try {
      return await prepare(files, lock, options)
    } catch (error) {
      await lock.close()
      throw error
    }
  })
}

async function prepare(files: DataFiles, lock: LevelStore, options: DataFolderOptions): Promise<DataFolder> {
  await refuseForeign(files, options.kind)
  await chmod(files.path, 0o700)
  const isNew = (await files.read(NAMES.version)) === null
  const identity = await loadIdentity(files, isNew)
  const boot = await bootId(options.bootIdPath ?? LINUX_BOOT_ID)
  const sameBoot = isNew || (boot !== '' && (await textIn(files, NAMES.boot)) === boot)
  const cleanStop = isNew || (await files.read(NAMES.stopped)) !== null
  await files.remove(NAMES.stopped)
  await write(files, NAMES.pid, `${options.pid}\n`)
  await write(files, NAMES.boot, `${boot}\n`)
  await write(files, NAMES.kind, `${options.kind}\n`)
  await write(files, NAMES.version, `${VERSION}\n`)
  let released = false
  return {
    path: files.path,
    identity,
    cleanStop,
    sameBoot,
    writeAtomic: (name, bytes, { mode = 0o600 } = {}) => write(files, name, bytes, mode),
    read: (name) => files.read(name),
    remove: (name) => files.remove(name),
    async release() {
      if (released) return
      released = true
      try {
        await write(files, NAMES.stopped, '')
      } finally {
        await lock.close()
      }
    }
  }
}

async function refuseForeign(files: DataFiles, kind: DataFolderOptions['kind']): Promise<void> {
  const version = await textIn(files, NAMES.version)
  if (Number(version) > VERSION) {
    throw new NodeDaemonError('DATA_FOLDER_NEWER', `${files.path} was made by a newer version`, {
      advice: 'use the version of node-daemon that was used last, or give another folder with --data'
    })
  }
  if (version !== '' && version !== String(VERSION))
    throw unusable(`${files.path} has a version file that says nothing`)
  const found = await textIn(files, NAMES.kind)
  if (found !== '' && found !== kind)
    throw unusable(`${files.path} is the folder of another kind: ${found.slice(0, 40)}`)
}

/** The kernel locks a Level database for as long as its process has it open. Nothing else is kept in this one. */
async function takeLock(files: DataFiles): Promise<LevelStore> {
  const path = join(files.path, LOCK)
  try {
    return await openLevel(path).catch(async (error) => {
      if (!hasCode(error, 'INTEGRITY')) throw error
      await emptyLock(path)
      return await openLevel(path)
    })
  } catch (error) {
    if (!hasCode(error, 'DATA_FOLDER_IN_USE')) throw error
    const holder = await textIn(files, NAMES.pid)
    const who = holder === '' ? '' : ` (process ${holder.slice(0, 20)})`
    throw new NodeDaemonError('DATA_FOLDER_IN_USE', `another daemon uses ${files.path}${who}`, {
      advice: 'stop that daemon first, or give another folder with --data',
      cause: error
    })
  }
}

/** A database that a power loss left unreadable begins anew. Its lock file stays: someone else may hold it by now. */
async function emptyLock(path: string): Promise<void> {
  const names = await readdir(path)
  await Promise.all(names.filter((name) => name !== 'LOCK').map((name) => rm(join(path, name), { force: true })))
}

async function loadIdentity(files: DataFiles, isNew: boolean): Promise<Identity> {
  const bytes = await files.read(NAMES.identity)
  if (bytes !== null) return identityFromBytes(bytes)
  if (!isNew) {
    throw new NodeDaemonError('DATA_FOLDER_UNUSABLE', `${files.path} has lost its identity.key`, {
      advice: 'put the identity.key of this folder back from a backup, or start with an empty folder'
    })
  }
  const identity = await createIdentity()
  await files.writeAtomic(NAMES.identity, identityToBytes(identity), 0o600)
  return identity
}

async function bootId(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return ''
    throw error
  }
}

async function textIn(files: DataFiles, name: string): Promise<string> {
  const bytes = await files.read(name)
  return bytes === null ? '' : Buffer.from(bytes).toString().trim()
}

async function write(files: DataFiles, name: string, content: Uint8Array | string, mode = 0o600): Promise<void> {
  try {
    await files.writeAtomic(name, typeof content === 'string' ? Buffer.from(content) : content, mode)
  } catch (error) {
    throw diskError(error, `writing ${name}`)
  }
}

async function told<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof NodeDaemonError && error.code !== 'UNEXPECTED') throw error
    throw unusable(`the data folder ${path} cannot be used: ${messageOf(error)}`, error)
  }
}

function unusable(message: string, cause?: unknown): NodeDaemonError {
  return new NodeDaemonError('DATA_FOLDER_UNUSABLE', message, {
    advice: 'give a folder with --data that this user may write, and that is empty or was made by this kind of daemon',
    cause
  })
}
