import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { KeyedMutex } from '../core/mutex.ts'
import { checkPath, systemCode } from './disk.ts'
import { writeWhole } from './node-disk.ts'

/** Small files in one folder, each replaced as a whole. Names may lead into folders below, which are made (0700). */
export class DataFiles {
  readonly path: string
  readonly #writes = new KeyedMutex<string>()

  constructor(path: string) {
    this.path = path
  }

  /** Null where there is no such file. */
  async read(name: string): Promise<Uint8Array | null> {
    try {
      return await readFile(this.#path(name))
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return null
      throw error
    }
  }

  /** After a crash the file holds the old bytes or the new ones. Durable on return. */
  writeAtomic(name: string, bytes: Uint8Array, mode: number): Promise<void> {
    return this.#writes.run(name, async () => {
      const path = this.#path(name)
      await makeFolder(dirname(path))
      const fresh = join(dirname(path), `.${basename(path)}.new`)
      await rm(fresh, { force: true })
      await writeNew(fresh, bytes, mode)
      await rename(fresh, path)
      await syncFolder(dirname(path))
    })
  }

  /** Durable on return. Does nothing where there is no such file. */
  remove(name: string): Promise<void> {
    return this.#writes.run(name, async () => {
      const path = this.#path(name)
      if ((await this.read(name)) === null) return
      await rm(path, { force: true })
      await syncFolder(dirname(path))
    })
  }

  #path(name: string): string {
    return join(this.path, checkPath(name))
  }
}

/** Makes a folder (0700) with those above it. Durable on return. */
export async function makeFolder(path: string): Promise<void> {
  if (await isThere(path)) return
  await makeFolder(dirname(path))
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
  }
  await syncFolder(dirname(path))
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

async function writeNew(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  await using handle = await open(path, 'wx', mode)
  await handle.chmod(mode)
  await writeWhole(handle, [bytes])
  await handle.sync()
}

async function syncFolder(path: string): Promise<void> {
  await using handle = await open(path, 'r')
  await handle.sync()
}
