import { type ErrorCode, NodeDaemonError } from '../../../src/core/errors.ts'
import type { Disk } from '../../../src/store/disk.ts'
import type { IndexPlace } from '../../../src/store/open-repository.ts'

/** Does a call that fails do its work first, not at all, or in part? */
export type Fault = 'before' | 'after' | 'torn'

/** Counts the calls that change something, and lets chosen ones fail. */
export class Faults {
  calls = 0
  /** The number of the first call that fails, and how many fail. */
  at = Number.POSITIVE_INFINITY
  times = Number.POSITIVE_INFINITY
  fault: Fault = 'before'
  /** What a call that fails is refused with. */
  code: ErrorCode = 'UNEXPECTED'
  /** The numbers of the calls that can be torn. */
  readonly appends = new Set<number>()
  /** Files of which a sync has failed: the system forgets what it could not write, and says later that all is well. */
  readonly #forgotten = new Set<string>()

  disk(inner: Disk): Disk {
    return {
      append: (path, parts) =>
        this.#run(
          () => inner.append(path, parts),
          () => {
            const whole = Buffer.concat(parts)
            return inner.append(path, [whole.subarray(0, whole.length / 2)])
          }
        ),
      sync: (path) => this.#sync(inner, path),
      syncFolder: (path) => this.#run(() => inner.syncFolder(path)),
      rename: (from, to) => this.#run(() => inner.rename(from, to)),
      truncate: (path, length) => this.#run(() => inner.truncate(path, length)),
      remove: (path) =>
        this.#run(() => {
          this.#forgotten.delete(path)
          return inner.remove(path)
        }),
      makeFolder: (path) => this.#run(() => inner.makeFolder(path)),
      read: (path, offset, length) => inner.read(path, offset, length),
      list: (path) => inner.list(path),
      size: (path) => inner.size(path),
      freeBytes: () => inner.freeBytes(),
      close: () => inner.close()
    }
  }

  index(inner: IndexPlace): IndexPlace {
    return {
      open: async () => {
        await this.#run(async () => undefined)
        const level = await inner.open()
        return { ...level, write: (changes, options) => this.#run(() => level.write(changes, options)) }
      },
      destroy: () => this.#run(() => inner.destroy())
    }
  }

  async #sync(inner: Disk, path: string): Promise<void> {
    if (this.#forgotten.has(path)) return
    try {
      await this.#run(() => inner.sync(path))
    } catch (error) {
      if (this.fault !== 'after') this.#forgotten.add(path)
      throw error
    }
  }

  async #run<T>(work: () => Promise<T>, torn?: () => Promise<T>): Promise<T> {
    const call = ++this.calls
    if (torn !== undefined) this.appends.add(call)
    if (call < this.at || call >= this.at + this.times) return await work()
    if (this.fault === 'after') await work()
    if (this.fault === 'torn' && torn !== undefined) await torn()
    throw new NodeDaemonError(this.code, `call ${call} failed`)
  }
}
