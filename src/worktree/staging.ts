import { constants } from 'node:fs'
import { type FileHandle, lstat, open, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { sha256 } from '../core/blocks.ts'
import type { Random } from '../core/random.ts'
import { isGone, makeFolder } from './disk.ts'

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const PART_FILE = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
const PRIVATE = 0o600
const RANDOM_BYTES = 12

/** Names in the staging folder that belong to one workspace: whole files on their way in, and parts of large ones. */
export class Staging {
  readonly #folder: string
  readonly #random: Random
  readonly #prefix: string

  constructor(deps: { readonly staging: string; readonly folder: string; readonly random: Random }) {
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
      await utimes(path, 0, 0)
    } catch (error) {
      if (!isGone(error)) throw error
      await makeFolder(this.#folder)
      await writeFile(path, '', { mode: PRIVATE })
    }
    return (await lstat(path, { bigint: true })).ctimeNs
  }

  /** A path where nothing is yet. */
  freshPath(): string {
    return join(this.#folder, `${this.#prefix}${Buffer.from(this.#random.bytes(RANDOM_BYTES)).toString('hex')}`)
  }

  createFile(path: string): Promise<FileHandle> {
    return open(path, NEW_FILE, PRIVATE)
  }

  /** Where a large file grows: the same after an interruption, so that what is there need not be fetched again. */
  partPath(cid: CID): string {
    return join(this.#folder, `${this.#prefix}${cid}.part`)
  }

  openPart(path: string): Promise<FileHandle> {
    return open(path, PART_FILE, PRIVATE)
  }

  /** Makes the folder, and removes what an interruption left: all but the parts of large files. */
  async prepare(): Promise<void> {
    await makeFolder(this.#folder)
    await this.#remove((name) => !name.endsWith('.part'))
  }

  /** Removes everything that belongs to the workspace. */
  async clear(): Promise<void> {
    await makeFolder(this.#folder)
    await this.#remove(() => true)
  }

  async #remove(wanted: (name: string) => boolean): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (name.startsWith(this.#prefix) && wanted(name)) await rm(join(this.#folder, name), { force: true })
    }
  }
}
