import type { DiskPath, FileStats, FileSystem, LookFiles, OpenAs, OpenFile } from '../../src/worktree/file-system.ts'
import { inlineReader } from '../../src/worktree/inline-reader.ts'
import type { FileReader } from '../../src/worktree/reader.ts'
import { type FileCall, MemoryFile, nsOf, PERMISSION_BITS } from './memory-file.ts'
import { type Attributes, type FolderNode, type MemoryNode, SystemError, statsOf } from './memory-nodes.ts'
import type { MemoryVolume, Place } from './memory-volume.ts'

/**
 * Called before each call is carried out. What it throws is what the call fails with: it is then not carried out. A
 * `SystemError` at a sync means a disk that could not write.
 */
export type BeforeCall = (call: FileCall, path: string) => void

const PRIVATE_FILE = 0o600

/** A volume as one process sees it. All that is done is done at once, in the order of the calls. */
export class MemoryFileSystem implements FileSystem {
  readonly #volume: MemoryVolume
  readonly #before: BeforeCall
  #ended = false
  /** Open files and folders. None may be left once all work is done. */
  #open = 0

  constructor(volume: MemoryVolume, before: BeforeCall = () => undefined) {
    this.#volume = volume
    this.#before = before
  }

  get openFiles(): number {
    return this.#open
  }

  /** The process is dead: no call of it reaches the volume any more; each fails. */
  end(): void {
    this.#ended = true
  }

  async lstat(path: DiskPath): Promise<FileStats> {
    return this.#run('lstat', path, () => statsOf(this.#volume.node(path, false)))
  }

  async open(path: DiskPath, as: OpenAs): Promise<OpenFile> {
    return this.#opened(path, as)
  }

  async names(folder: DiskPath): Promise<Buffer[]> {
    return this.#namesIn(folder)
  }

  async makeFolder(path: string, mode: number): Promise<void> {
    this.#run('makeFolder', path, () => {
      const place = this.#free(path)
      this.#volume.put(place, this.#volume.folder(mode & PERMISSION_BITS))
    })
  }

  async makeFolders(path: string, mode: number): Promise<string | null> {
    return this.#run('makeFolders', path, () => {
      let first: string | null = null
      const names = path.split('/')
      for (let depth = 2; depth <= names.length; depth++) {
        const above = names.slice(0, depth).join('/')
        const place = this.#volume.find(above, true)
        if (place.node?.kind === 'folder') continue
        if (place.node !== null) throw new SystemError(depth === names.length ? 'EEXIST' : 'ENOTDIR')
        this.#volume.put(place, this.#volume.folder(mode & PERMISSION_BITS))
        first ??= above
      }
      return first
    })
  }

  async rename(from: string, to: string): Promise<void> {
    this.#run('rename', `${from}' -> '${to}`, () => {
      const node = this.#volume.node(from, false)
      const place = this.#volume.find(to, false)
      if (place.node === node) return
      checkReplaceable(node, place)
      this.#volume.put(place, node)
    })
  }

  async unlink(path: DiskPath): Promise<void> {
    this.#run('unlink', path, () => {
      const place = this.#volume.find(path, false)
      if (place.node === null) throw new SystemError('ENOENT')
      if (place.node.kind === 'folder') throw new SystemError('EISDIR')
      this.#volume.remove(place)
    })
  }

  async removeFolder(path: DiskPath): Promise<void> {
    this.#run('removeFolder', path, () => {
      const place = this.#volume.find(path, false)
      if (place.node === null) throw new SystemError('ENOENT')
      if (place.node.kind !== 'folder') throw new SystemError('ENOTDIR')
      if (place.node.names.size > 0) throw new SystemError('ENOTEMPTY')
      this.#volume.remove(place)
    })
  }

  async symlink(target: string, path: string): Promise<void> {
    this.#run('symlink', path, () => {
      if (target === '') throw new SystemError('ENOENT')
      this.#volume.put(this.#free(path), this.#volume.link(Buffer.from(target)))
    })
  }

  async readlink(path: string): Promise<Buffer> {
    return this.#run('readlink', path, () => {
      const node = this.#volume.node(path, false)
      if (node.kind !== 'link') throw new SystemError('EINVAL')
      return Buffer.from(node.target)
    })
  }

  async chmod(path: DiskPath, mode: number): Promise<void> {
    this.#set('chmod', path, true, { mode: mode & PERMISSION_BITS })
  }

  async utimes(path: string, time: string): Promise<void> {
    this.#set('utimes', path, true, { mtimeNs: nsOf(time) })
  }

  async lutimes(path: string, time: string): Promise<void> {
    this.#set('lutimes', path, false, { mtimeNs: nsOf(time) })
  }

  #set(call: FileCall, path: DiskPath, follow: boolean, attributes: Partial<Attributes>): void {
    this.#run(call, path, () => this.#volume.setAttributes(this.#volume.node(path, follow), attributes))
  }

  async realpath(path: string): Promise<string> {
    return this.#realpath(path)
  }

  async freeBytes(folder: string): Promise<number> {
    return this.#run('freeBytes', folder, () => {
      this.#volume.node(folder, true)
      return this.#volume.freeBytes
    })
  }

  async syncFolder(path: DiskPath): Promise<void> {
    this.#run('syncFolder', path, () => this.#volume.sync(this.#volume.node(path, true)))
  }

  async syncFileSystem(folder: string): Promise<boolean> {
    if (!this.#volume.syncsWhole) return false
    try {
      this.#run('syncFileSystem', folder, () => this.#volume.syncAll())
      return true
    } catch (error) {
      if (error instanceof SystemError) this.#volume.failedSyncAll()
      return false
    }
  }

  /** The same files, looked at by a reader. */
  look(): LookFiles {
    const open = new Map<number, MemoryFile>()
    let descriptors = 2
    const file = (descriptor: number): MemoryFile => {
      const found = open.get(descriptor)
      if (found === undefined) throw new SystemError('EBADF')
      return found
    }
    return {
      lstat: (path) =>
        this.#run('lstat', path, () => {
          const { node } = this.#volume.find(path, false)
          return node === null ? null : statsOf(node)
        }),
      touch: (path) => this.#set('utimes', path, true, { mtimeNs: 0n }),
      realpath: (path) => this.#realpath(path),
      names: (folder) => this.#namesIn(folder).map((name) => name.toString()),
      bytesOfNames: (folder) => this.#namesIn(folder),
      open: (path) => {
        open.set(++descriptors, this.#opened(path, 'read'))
        return descriptors
      },
      pathOf: (descriptor) => this.#volume.pathOf(file(descriptor).node),
      stat: (descriptor) => file(descriptor).statNow(),
      read: (descriptor, bytes, offset, length, at) =>
        file(descriptor).readNow(bytes.subarray(offset, offset + length), at),
      close: (descriptor) => {
        file(descriptor).closeNow()
        open.delete(descriptor)
      }
    }
  }

  #opened(path: DiskPath, as: OpenAs): MemoryFile {
    return this.#run('open', path, () => {
      const node = this.#nodeToOpen(path, as)
      this.#open++
      return new MemoryFile(node, as, {
        volume: this.#volume,
        run: (call, work) => this.#run(call, path, work),
        closed: () => {
          this.#open--
        }
      })
    })
  }

  #nodeToOpen(path: DiskPath, as: OpenAs): MemoryNode {
    const place = this.#volume.find(path, false)
    if (place.node === null) {
      if (as === 'read' || as === 'folder') throw new SystemError('ENOENT')
      const file = this.#volume.file(PRIVATE_FILE)
      this.#volume.put(place, file)
      return file
    }
    if (as === 'create') throw new SystemError('EEXIST')
    if (as === 'folder' && place.node.kind !== 'folder') throw new SystemError('ENOTDIR')
    if (as === 'extend' && place.node.kind === 'folder') throw new SystemError('EISDIR')
    if (place.node.kind === 'link') throw new SystemError('ELOOP')
    return place.node
  }

  #namesIn(folder: DiskPath): Buffer[] {
    return this.#run('names', folder, () =>
      [...this.#volume.folderAt(folder).names.keys()].map((name) => Buffer.from(name, 'latin1'))
    )
  }

  #realpath(path: string): string {
    return this.#run('realpath', path, () => this.#volume.pathOf(this.#volume.node(path, true)))
  }

  /** Where something new can stand. */
  #free(path: string): Place {
    const place = this.#volume.find(path, false)
    if (place.node !== null) throw new SystemError('EEXIST')
    return place
  }

  #run<T>(call: FileCall, path: DiskPath, work: () => T): T {
    if (this.#ended) throw new SystemError('EIO', 'the process has ended')
    this.#before(call, path.toString())
    try {
      return work()
    } catch (error) {
      throw error instanceof SystemError ? new SystemError(error.code, `${call} '${path}'`) : error
    }
  }
}

/** Reads the files of a volume as the production's inline reader does. */
export const memoryReader = (files: MemoryFileSystem): FileReader => inlineReader(files.look())

function checkReplaceable(node: MemoryNode, { node: old, folder }: Place): void {
  for (let above: FolderNode | null = folder; above !== null; above = above.parent) {
    if (above === node) throw new SystemError('EINVAL')
  }
  if (old === null) return
  if (node.kind !== 'folder' && old.kind === 'folder') throw new SystemError('EISDIR')
  if (node.kind === 'folder' && old.kind !== 'folder') throw new SystemError('ENOTDIR')
  if (old.kind === 'folder' && old.names.size > 0) throw new SystemError('ENOTEMPTY')
}
