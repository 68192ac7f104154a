import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { sha256 } from '../core/blocks.ts'
import type { Random } from '../core/random.ts'
import { isGone, makeFolder, removeFile } from './disk.ts'
import type { FileSystem, OpenFile } from './file-system.ts'

const RANDOM_BYTES = 12

/** Names in the staging folder that belong to one workspace: whole files on their way in, and parts of large ones. */
export class Staging {
  readonly #files: FileSystem
  readonly #folder: string
  readonly #random: Random
  readonly #prefix: string

  constructor(deps: {
    readonly files: FileSystem
    readonly staging: string
    readonly folder: string
    readonly random: Random
  }) {
    this.#files = deps.files
    this.#folder = deps.staging
    this.#random = deps.random
    this.#prefix = `apply-${sha256(Buffer.from(deps.folder)).toString('hex').slice(0, 24)}-`
  }

  /** The file whose time is set to learn that of the file system. */
  get stampPath(): string {
    return join(this.#folder, `${this.#prefix}now`)
  }

  /** The time of the file system, by the stamps that it gives: what changes from now on gets this one or a later one. */
  async nowNs(): Promise<bigint> {
    const path = this.stampPath
    try {
      await this.#files.utimes(path, '0')
    } catch (error) {
      if (!isGone(error)) throw error
      await makeFolder(this.#files, this.#folder)
      await (await this.#files.open(path, 'extend')).close()
    }
    return (await this.#files.lstat(path)).ctimeNs
  }

  /** A path where nothing is yet. */
  freshPath(): string {
    return join(this.#folder, `${this.#prefix}${Buffer.from(this.#random.bytes(RANDOM_BYTES)).toString('hex')}`)
  }

  createFile(path: string): Promise<OpenFile> {
    return this.#files.open(path, 'create')
  }

  /** Where a large file grows: the same after an interruption, so that what is there need not be fetched again. */
  partPath(cid: CID): string {
    return join(this.#folder, `${this.#prefix}${cid}.part`)
  }

  openPart(path: string): Promise<OpenFile> {
    return this.#files.open(path, 'extend')
  }

  /** Makes the folder, and removes what an interruption left: all but the parts of large files. */
  async prepare(): Promise<void> {
    await makeFolder(this.#files, this.#folder)
    await this.#remove((name) => !name.endsWith('.part'))
  }

  /** Removes everything that belongs to the workspace. */
  async clear(): Promise<void> {
    await makeFolder(this.#files, this.#folder)
    await this.#remove(() => true)
  }

  async #remove(wanted: (name: string) => boolean): Promise<void> {
    for (const bytes of await this.#files.names(this.#folder)) {
      const name = bytes.toString()
      if (name.startsWith(this.#prefix) && wanted(name)) await removeFile(this.#files, join(this.#folder, name))
    }
  }
}
