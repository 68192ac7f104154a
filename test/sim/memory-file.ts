import type { FileStats, FileSystem, OpenAs, OpenFile } from '../../src/worktree/file-system.ts'
import { type MemoryNode, SystemError, statsOf } from './memory-nodes.ts'
import type { MemoryVolume } from './memory-volume.ts'

/** A call to the file system, as faults are told of it: those of `FileSystem`, and of an open file. */
export type FileCall = keyof FileSystem | 'stat' | 'read' | 'write' | 'truncate' | 'sync'

export const PERMISSION_BITS = 0o7777

export interface MemoryFileDeps {
  readonly volume: MemoryVolume
  readonly run: <T>(call: FileCall, work: () => T) => T
  readonly closed: () => void
}

/** An open file or folder of a volume. */
export class MemoryFile implements OpenFile {
  readonly node: MemoryNode
  readonly #as: OpenAs
  readonly #deps: MemoryFileDeps
  #closed = false

  constructor(node: MemoryNode, as: OpenAs, deps: MemoryFileDeps) {
    this.node = node
    this.#as = as
    this.#deps = deps
  }

  async stat(): Promise<FileStats> {
    return this.statNow()
  }

  statNow(): FileStats {
    return this.#run('stat', () => statsOf(this.node))
  }

  async read(bytes: Uint8Array, at: number): Promise<number> {
    return this.readNow(bytes, at)
  }

  readNow(bytes: Uint8Array, at: number): number {
    return this.#run('read', () => {
      if (this.node.kind !== 'file') throw new SystemError('EISDIR')
      if (this.#as === 'create') throw new SystemError('EBADF')
      return this.node.content.read(bytes, at)
    })
  }

  async write(bytes: Uint8Array, at: number): Promise<number> {
    return this.#run('write', () => this.#deps.volume.write(this.#writable('EBADF'), bytes, at))
  }

  async truncate(size: number): Promise<void> {
    this.#run('truncate', () => this.#deps.volume.truncate(this.#writable('EINVAL'), size))
  }

  #writable(otherwise: 'EBADF' | 'EINVAL'): MemoryNode & { readonly kind: 'file' } {
    if (this.node.kind !== 'file' || this.#as === 'read') throw new SystemError(otherwise)
    return this.node
  }

  async chmod(mode: number): Promise<void> {
    this.#run('chmod', () => this.#deps.volume.setAttributes(this.node, { mode: mode & PERMISSION_BITS }))
  }

  async utimes(time: string): Promise<void> {
    this.#run('utimes', () => this.#deps.volume.setAttributes(this.node, { mtimeNs: nsOf(time) }))
  }

  async sync(): Promise<void> {
    try {
      this.#run('sync', () => this.#deps.volume.sync(this.node))
    } catch (error) {
      if (error instanceof SystemError && this.node.kind === 'file') this.node.content.failedSync()
      throw error
    }
  }

  async close(): Promise<void> {
    this.closeNow()
  }

  closeNow(): void {
    if (this.#closed) throw new SystemError('EBADF')
    this.#closed = true
    this.#deps.closed()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closeNow()
  }

  #run<T>(call: FileCall, work: () => T): T {
    if (this.#closed) throw new SystemError('EBADF')
    return this.#deps.run(call, work)
  }
}

/** As the system makes nanoseconds of a time in seconds: of a double, towards the past. */
export function nsOf(time: string): bigint {
  const seconds = Number(time)
  const whole = Math.trunc(seconds)
  return BigInt(whole) * 1_000_000_000n + BigInt(Math.trunc((seconds - whole) * 1e9))
}
