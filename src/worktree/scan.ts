import type { BigIntStats } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlockSink, buildLink } from '../content/file.ts'
import { buildFolder, type Entry, editFolder } from '../content/folder.ts'
import { faultOfTarget } from '../content/nodes.ts'
import { type Block, RAW_CODEC } from '../core/blocks.ts'
import { aborted } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { forEachParallel, Slots } from '../core/parallel.ts'
import { isDenied, isGone, look } from './disk.ts'
import type { EntryRecord } from './entry-record.ts'
import {
  type Fingerprint,
  fingerprintOf,
  isRacy,
  linkMetadataOf,
  metadataOf,
  ROOT_FINGERPRINT,
  sameFingerprint
} from './fingerprint.ts'
import { Ledger } from './ledger.ts'
import { decodeName, fits, joinPath, type Touched, type WorkspacePath } from './paths.ts'
import { type ReadDeps, readSteadyFile } from './read-file.ts'
import type { TreeIndex } from './tree-index.ts'
import type { TreeState } from './tree-state.ts'

export interface ScanDeps extends ReadDeps {
  readonly index: TreeIndex
  readonly sink: BlockSink
  /** Compares with nothing and reads everything. */
  readonly forget: boolean
}

export const MAX_UNSETTLED = 100
const FILES_AT_ONCE = 8
const ENTRIES_AT_ONCE = 16
/** How many folders side by side, on the uppermost levels and below. */
const folderWidth = (path: WorkspacePath): number => (path.split('/').length <= 2 ? 4 : 1)

/** How often an entry is looked at anew that is another kind of thing by the time it is opened. */
const LOOKS = 3

/** One walk over a workspace's folder: finds what differs from the index and makes the blocks for it. */
export class Scan {
  readonly ledger: Ledger
  readonly unsettled: string[] = []
  readonly #deps: ScanDeps
  readonly #state: TreeState
  readonly #reading = new Slots(FILES_AT_ONCE)

  constructor(deps: ScanDeps, state: TreeState) {
    this.#deps = deps
    this.#state = state
    this.ledger = new Ledger(deps.index, deps.forget ? { files: 0, bytes: 0 } : state)
  }

  /** The folder's tree now, the touched paths looked at and all others taken from the index. */
  async run(touched: Touched): Promise<EntryRecord> {
    const root = await this.#walkTouched('', touched, this.#rootBefore())
    if (root === null) throw new NodeDaemonError('NOT_FOUND', `the folder ${this.#deps.folder} is gone`)
    return root
  }

  #rootBefore(): EntryRecord | null {
    const { root, applying } = this.#state
    if (root === null || applying || this.#deps.forget) return null
    return { kind: 'folder', fingerprint: ROOT_FINGERPRINT, settled: true, cid: root, totalBytes: 0 }
  }

  async #before(path: WorkspacePath): Promise<EntryRecord | null> {
    return this.#deps.forget ? null : await this.#deps.index.entry(path)
  }

  async #walkTouched(path: WorkspacePath, touched: Touched, before: EntryRecord | null): Promise<EntryRecord | null> {
    const stats = touched.whole || before?.kind !== 'folder' ? null : await look(this.#onDisk(path))
    if (before === null || stats === null || !stats.isDirectory()) return this.#walk(path, before)
    const changes = new Changes()
    await forEachParallel(touched.below, ENTRIES_AT_ONCE, async ([name, below]) => {
      const child = joinPath(path, name)
      const was = await this.#before(child)
      changes.note(name, was, await this.#walkTouched(child, below, was))
    })
    return this.ledger.replaced(path, before, await this.#folder(path, stats, before, changes))
  }

  /** The entry and all below it as they are now, recorded. Null where there is nothing that can be kept. */
  async #walk(path: WorkspacePath, before: EntryRecord | null): Promise<EntryRecord | null> {
    if (this.#deps.signal?.aborted) throw aborted(this.#deps.signal)
    return this.ledger.replaced(path, before, await this.#taken(path, before))
  }

  async #taken(path: WorkspacePath, before: EntryRecord | null): Promise<EntryRecord | null> {
    try {
      for (let times = 0; times < LOOKS; times++) {
        const stats = await look(this.#onDisk(path))
        if (stats === null) return null
        if (!isKept(stats) || !fits(path)) return this.#unsettle(path, null)
        const now = await this.#takenAs(path, stats, before)
        if (now !== null) return now
      }
    } catch (error) {
      if (!isDenied(error) || path === '') throw error
    }
    return this.#unsettle(path, before)
  }

  /** Null where it is not any longer what `stats` says. */
  async #takenAs(path: WorkspacePath, stats: BigIntStats, before: EntryRecord | null): Promise<EntryRecord | null> {
    if (stats.isDirectory()) return this.#walkFolder(path, stats, before?.kind === 'folder' ? before : null)
    const known = before?.settled === true && sameFingerprint(before.fingerprint, fingerprintOf(stats))
    if (stats.isFile()) return known && before.kind === 'file' ? before : this.#readFile(path)
    return known && before.kind === 'link' ? before : this.#readLink(path, stats)
  }

  #readFile(path: WorkspacePath): Promise<EntryRecord | null> {
    return this.#reading.run(async () => {
      const read = await readSteadyFile(this.#deps, this.#onDisk(path), () => this.#sinkOfFile(path))
      if (read === null) return null
      const { fingerprint, settled, steady, built } = read
      const record = { kind: 'file', fingerprint, settled, cid: built.cid, totalBytes: built.totalBytes } as const
      return steady ? record : this.#unsettle(path, record)
    })
  }

  #sinkOfFile(path: WorkspacePath): BlockSink {
    let offset = 0
    return async (block) => {
      const size = block.bytes.length
      if (block.cid.code === RAW_CODEC) {
        await this.#deps.index.keepLeaf(block.cid, { path, offset, size })
        offset += size
        await this.#deps.sink(block)
      } else {
        await this.#offerNode(block)
      }
    }
  }

  readonly #offerNode = async (block: Block): Promise<void> => {
    await this.#deps.index.keepNode(block)
    await this.#deps.sink(block)
  }

  async #readLink(path: WorkspacePath, stats: BigIntStats): Promise<EntryRecord | null> {
    const target = decodeName(await readlink(this.#onDisk(path), { encoding: 'buffer' }))
    if (target === null || faultOfTarget(target) !== null) return this.#unsettle(path, null)
    const fingerprint = fingerprintOf(stats)
    const block = buildLink(target, linkMetadataOf(fingerprint))
    await this.#offerNode(block)
    const settled = !isRacy(fingerprint, this.#deps.begunNs)
    return { kind: 'link', fingerprint, settled, cid: block.cid, totalBytes: block.bytes.length }
  }

  async #walkFolder(path: WorkspacePath, stats: BigIntStats, before: EntryRecord | null): Promise<EntryRecord | null> {
    const names = await this.#namesIn(path)
    if (names === null) return null
    const known = this.#deps.forget ? new Map<string, EntryRecord>() : await this.#deps.index.entriesOf(path)
    const found = new Map<string, EntryRecord>()
    const changes = new Changes()
    const visit = async (name: string): Promise<void> => {
      const was = known.get(name) ?? null
      const now = await this.#walk(joinPath(path, name), was)
      if (now !== null) found.set(name, now)
      changes.note(name, was, now)
    }
    await forEachParallel(names.others, ENTRIES_AT_ONCE, visit)
    await forEachParallel(names.folders, folderWidth(path), visit)
    const present = new Set([...names.others, ...names.folders])
    for (const [name, was] of known) {
      if (present.has(name)) continue
      await this.ledger.replaced(joinPath(path, name), was, null)
      changes.note(name, was, null)
    }
    return this.#folder(path, stats, before, changes, found)
  }

  /** Null where the folder is gone. */
  async #namesIn(path: WorkspacePath): Promise<{ folders: string[]; others: string[] } | null> {
    const listed = await readdir(this.#onDisk(path), { encoding: 'buffer', withFileTypes: true }).catch(nullIfGone)
    if (listed === null) return null
    const names = { folders: [] as string[], others: [] as string[] }
    for (const entry of listed) {
      const name = decodeName(entry.name)
      if (name === null) this.#unsettle(joinPath(path, entry.name.toString()), null)
      else if (entry.isDirectory()) names.folders.push(name)
      else names.others.push(name)
    }
    return names
  }

  /** @param found all entries of the folder; left out where only the touched ones were looked at */
  async #folder(
    path: WorkspacePath,
    stats: BigIntStats,
    before: EntryRecord | null,
    changes: Changes,
    found?: ReadonlyMap<string, EntryRecord>
  ): Promise<EntryRecord> {
    const fingerprint = path === '' ? ROOT_FINGERPRINT : fingerprintOf(stats)
    if (before !== null && changes.count === 0 && sameMetadata(before.fingerprint, fingerprint)) return before
    const metadata = metadataOf(fingerprint)
    const few = before !== null && (found === undefined || 2 * changes.count < found.size)
    const { index } = this.#deps
    const built = few
      ? await editFolder(before.cid, metadata, changes, index.load, this.#offerNode)
      : await buildFolder(entriesOf(found ?? new Map()), metadata, this.#offerNode)
    return { kind: 'folder', fingerprint, settled: true, cid: built.cid, totalBytes: built.totalBytes }
  }

  #unsettle<T extends EntryRecord | null>(path: WorkspacePath, record: T): T {
    if (this.unsettled.length < MAX_UNSETTLED) this.unsettled.push(path)
    return record
  }

  #onDisk(path: WorkspacePath): string {
    return join(this.#deps.folder, path)
  }
}

/** What differs from the folder that the index knows. */
class Changes {
  readonly put: Entry[] = []
  readonly remove: string[] = []

  note(name: string, before: EntryRecord | null, now: EntryRecord | null): void {
    if (now === null && before !== null) this.remove.push(name)
    if (now !== null && before?.cid.equals(now.cid) !== true) {
      this.put.push({ name, cid: now.cid, totalBytes: now.totalBytes })
    }
  }

  get count(): number {
    return this.put.length + this.remove.length
  }
}

function* entriesOf(found: ReadonlyMap<string, EntryRecord>): Generator<Entry> {
  for (const [name, { cid, totalBytes }] of found) yield { name, cid, totalBytes }
}

const isKept = (stats: BigIntStats): boolean => stats.isFile() || stats.isDirectory() || stats.isSymbolicLink()

const sameMetadata = (a: Fingerprint, b: Fingerprint): boolean => a.mode === b.mode && a.mtimeUs === b.mtimeUs

const nullIfGone = (error: unknown): null => {
  if (isGone(error)) return null
  throw error
}
