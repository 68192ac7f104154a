import { type EntryRecord, encodeEntry } from './entry-record.ts'
import { joinPath, type WorkspacePath } from './paths.ts'
import type { TreeIndex } from './tree-index.ts'

const ROOM_BYTES_MAX = 64 * 1024

/** What has been seen or put on disk since the index was recorded, and the counts that follow from it. */
export class Ledger {
  /** Encoded: a first look at a workspace has one for every entry, and a record takes ten times the memory. */
  readonly put = new Map<WorkspacePath, Uint8Array>()
  readonly remove = new Set<WorkspacePath>()
  /** Everything but folders. */
  files: number
  /** Content of the files. */
  bytes: number
  readonly #index: TreeIndex
  #placedBytes = 0
  /** Memory for the next records. */
  #room = new Uint8Array(0)
  #roomBytes = 512

  constructor(index: TreeIndex, counts: { readonly files: number; readonly bytes: number }) {
    this.#index = index
    this.files = counts.files
    this.bytes = counts.bytes
  }

  /** Notes what stands at a path now, and what therefore no longer does. Returns `now`. */
  async replaced<T extends EntryRecord | null>(path: WorkspacePath, before: EntryRecord | null, now: T): Promise<T> {
    if (now === before || path === '') return now
    this.#count(before, -1)
    this.#count(now, 1)
    if (now === null) this.remove.add(path)
    else this.#put(path, now)
    if (before?.kind === 'folder' && now?.kind !== 'folder') await this.#dropBelow(path)
    return now
  }

  /** The same, compared with what the index has. */
  async changed(path: WorkspacePath, now: EntryRecord | null): Promise<void> {
    await this.replaced(path, await this.#index.entry(path), now)
  }

  async #dropBelow(folder: WorkspacePath): Promise<void> {
    for (const [name, was] of await this.#index.entriesOf(folder)) {
      await this.replaced(joinPath(folder, name), was, null)
    }
  }

  #put(path: WorkspacePath, now: EntryRecord): void {
    this.put.set(path, this.#kept(encodeEntry(now)))
    this.#placedBytes += now.fingerprint.size
  }

  /** A copy among others of its kind: on its own, each would hold on to memory that it shared with what is long gone. */
  #kept(bytes: Uint8Array): Uint8Array {
    if (this.#room.length < bytes.length) {
      this.#roomBytes = Math.min(2 * this.#roomBytes, ROOM_BYTES_MAX)
      this.#room = new Uint8Array(this.#roomBytes)
    }
    const kept = this.#room.subarray(0, bytes.length)
    kept.set(bytes)
    this.#room = this.#room.subarray(bytes.length)
    return kept
  }

  #count(record: EntryRecord | null, by: 1 | -1): void {
    if (record === null || record.kind === 'folder') return
    this.files += by
    this.bytes += by * record.fingerprint.size
  }

  /** Has it come to this many entries or bytes of placed files? */
  isDue({ entries, bytes }: { readonly entries: number; readonly bytes: number }): boolean {
    return this.put.size >= entries || this.#placedBytes >= bytes
  }

  /** Begins anew, with the same counts: all was recorded. */
  recorded(): void {
    this.#placedBytes = 0
    this.put.clear()
    this.remove.clear()
  }
}
