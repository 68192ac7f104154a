import { type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { NodeDaemonError } from '../core/errors.ts'
import { KeyedMutex } from '../core/mutex.ts'
import { checkPath, type Disk, diskError, systemCode } from './disk.ts'

const OPEN_FILES = 64

/** The files under a folder of this machine, which must exist. */
export function nodeDisk(root: string): Disk {
  return new NodeDisk(root)
}

class NodeDisk implements Disk {
  readonly #root: string
  readonly #open = new Map<string, Promise<SharedHandle>>()
  readonly #broken = new Set<string>()
  readonly #writes = new KeyedMutex<string>()

  constructor(root: string) {
    this.#root = root
  }

  append(path: string, parts: readonly Uint8Array[]): Promise<void> {
    return this.#writes.run(path, () =>
      this.#with(path, 'a+', `writing ${path}`, async (handle) => {
        this.#refuseBroken(path)
        await writeWhole(handle, parts)
      })
    )
  }

  sync(path: string): Promise<void> {
    return this.#with(path, 'a+', `syncing ${path}`, async (handle) => {
      this.#refuseBroken(path)
      try {
        await handle.datasync()
      } catch (error) {
        this.#broken.add(path)
        throw error
      }
    })
  }

  async syncFolder(path: string): Promise<void> {
    await attempt(`syncing the folder ${path}`, async () => {
      await using handle = await open(this.#path(path), 'r')
      await handle.sync()
    })
  }

  async rename(from: string, to: string): Promise<void> {
    await Promise.all([this.#forget(from), this.#forget(to)])
    await attempt(`renaming ${from}`, () => rename(this.#path(from), this.#path(to)))
  }

  read(path: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#with(path, 'r', `reading ${path}`, async (handle) => {
      const bytes = new Uint8Array(length)
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return bytes.subarray(0, filled)
    })
  }

  async list(path: string): Promise<string[]> {
    const names = await attempt(`listing ${path}`, () => orNull(readdir(this.#path(path))))
    return (names ?? []).sort()
  }

  async size(path: string): Promise<number | null> {
    const found = await attempt(`looking at ${path}`, () => orNull(stat(this.#path(path))))
    return found?.size ?? null
  }

  truncate(path: string, length: number): Promise<void> {
    return this.#writes.run(path, () =>
      attempt(`truncating ${path}`, async () => {
        this.#refuseBroken(path)
        await truncate(this.#path(path), length)
      })
    )
  }

  async remove(path: string): Promise<void> {
    await this.#forget(path)
    await attempt(`removing ${path}`, () => rm(this.#path(path), { force: true }))
  }

  async makeFolder(path: string): Promise<void> {
    await attempt(`making the folder ${path}`, () => mkdir(this.#path(path), { recursive: true }))
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await attempt('asking for free space', () => statfs(this.#root))
    return bavail * bsize
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((key) => this.#drop(key)))
  }

  #path(path: string): string {
    return path === '' ? this.#root : join(this.#root, checkPath(path))
  }

  #refuseBroken(path: string): void {
    if (this.#broken.has(path)) {
      throw new NodeDaemonError('UNEXPECTED', `${path} could not be synced before and is not written any more`)
    }
  }

  async #with<T>(path: string, flags: 'a+' | 'r', what: string, work: (handle: FileHandle) => Promise<T>): Promise<T> {
    return await attempt(what, async () => {
      const shared = await this.#take(path, flags)
      try {
        return await work(shared.handle)
      } finally {
        await shared.release()
      }
    })
  }

  async #take(path: string, flags: 'a+' | 'r'): Promise<SharedHandle> {
    const key = `${flags}:${path}`
    const known = this.#open.get(key)
    const opening = known ?? open(this.#path(path), flags).then((handle) => new SharedHandle(handle))
    this.#open.delete(key)
    this.#open.set(key, opening)
    try {
      const shared = await opening
      if (shared.retain()) return shared
    } catch (error) {
      if (this.#open.get(key) === opening) this.#open.delete(key)
      throw error
    } finally {
      await this.#evict(key)
    }
    return await this.#take(path, flags)
  }

  async #evict(keep: string): Promise<void> {
    for (const key of this.#open.keys()) {
      if (this.#open.size <= OPEN_FILES) return
      if (key !== keep) await this.#drop(key)
    }
  }

  async #forget(path: string): Promise<void> {
    this.#broken.delete(path)
    await Promise.all([this.#drop(`a+:${path}`), this.#drop(`r:${path}`)])
  }

  async #drop(key: string): Promise<void> {
    const opening = this.#open.get(key)
    this.#open.delete(key)
    const shared = await opening?.catch(() => null)
    await shared?.retire()
  }
}

/** An open file that is closed once it is retired and nobody uses it any more. */
class SharedHandle {
  readonly handle: FileHandle
  #users = 0
  #retired = false

  constructor(handle: FileHandle) {
    this.handle = handle
  }

  /** False once it is retired: open the file anew. */
  retain(): boolean {
    if (this.#retired) return false
    this.#users++
    return true
  }

  async release(): Promise<void> {
    this.#users--
    if (this.#retired && this.#users === 0) await this.handle.close()
  }

  async retire(): Promise<void> {
    if (this.#retired) return
    this.#retired = true
    if (this.#users === 0) await this.handle.close()
  }
}

/** Writes all of it, however little the operating system takes at a time. */
export async function writeWhole(
  handle: Pick<FileHandle, 'write' | 'writev'>,
  parts: readonly Uint8Array[]
): Promise<void> {
  const total = parts.reduce((sum, part) => sum + part.length, 0)
  if (total === 0) return
  let { bytesWritten: written } = await handle.writev(parts as Uint8Array[])
  if (written >= total) return
  const whole = Buffer.concat(parts)
  while (written < total) {
    const { bytesWritten } = await handle.write(whole, written, total - written)
    if (bytesWritten === 0) throw new NodeDaemonError('NO_SPACE', 'the disk takes no more bytes')
    written += bytesWritten
  }
}

async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw diskError(error, what)
  }
}

async function orNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null
    throw error
  }
}
