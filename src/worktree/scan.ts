import { join } from 'node:path'
import { type BlockSink, buildLink } from '../content/file.ts'
import { buildFolder, type Entry, editFolder } from '../content/folder.ts'
import { faultOfTarget } from '../content/nodes.ts'
import { type Block, RAW_CODEC } from '../core/blocks.ts'
import { aborted } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { forEachParallel, Slots } from '../core/parallel.ts'
import { Changes, compareFolder, type Due } from './changes.ts'
import { isDenied, look } from './disk.ts'
import type { EntryRecord } from './entry-record.ts'
import { type Facts, factsOf, GONE } from './facts.ts'
import type { FileSystem } from './file-system.ts'
import {
  type Fingerprint,
  isRacy,
  linkMetadataOf,
  metadataOf,
  ROOT_FINGERPRINT,
  sameFingerprint
} from './fingerprint.ts'
import { Ledger } from './ledger.ts'
import { decodeName, fits, joinPath, type Touched, type WorkspacePath } from './paths.ts'
import { type ReadDeps, readSteadyFile } from './read-file.ts'
import { SMALL_BYTES } from './reader-messages.ts'
import type { TreeIndex } from './tree-index.ts'
import type { TreeState } from './tree-state.ts'

export interface ScanDeps extends ReadDeps {
  readonly files: FileSystem
  readonly index: TreeIndex
  readonly sink: BlockSink
  /** Compares with nothing and reads everything. */
  readonly forget: boolean
  /** Somebody waits. */
  readonly isPrompt: () => boolean
  /** What was seen at touched paths when the walk began. */
  readonly looked: ReadonlyMap<WorkspacePath, Facts>
}

export const MAX_UNSETTLED = 100
/** As many as fill two bunches of the reader; of large files, fewer than a thread of it has at once. */
const SMALL_AT_ONCE = 128
const LARGE_AT_ONCE = 2
const ENTRIES_AT_ONCE = 128
/** How many folders side by side, on the uppermost levels and below. */
const folderWidth = (path: WorkspacePath): number => (path.split('/').length <= 2 ? 4 : 1)

/** Of so many touched paths, what is small is read at once. */
export const isLittle = (paths: number): boolean => paths > 0 && paths <= FEW_PATHS
/** The folders above count too. */
const FEW_PATHS = 16

/** How often an entry is looked at anew that is another kind of thing by the time it is opened. */
const LOOKS = 3

/** One walk over a workspace's folder: finds what differs from the index and makes the blocks for it. */
export class Scan {
  readonly ledger: Ledger
  readonly unsettled: string[] = []
  readonly #deps: ScanDeps
  readonly #state: TreeState
  readonly #small = new Slots(SMALL_AT_ONCE)
  readonly #large = new Slots(LARGE_AT_ONCE)
  readonly #looked: Map<WorkspacePath, Facts>
  readonly #ahead = new Map<WorkspacePath, Promise<EntryRecord | null>>()

  constructor(deps: ScanDeps, state: TreeState) {
    this.#deps = deps
    this.#state = state
    this.#looked = new Map(deps.looked)
    this.ledger = new Ledger(deps.index, deps.forget ? { files: 0, bytes: 0 } : state)
  }

  /** The folder's tree now, the touched paths looked at and all others taken from the index. */
  async run(touched: Touched): Promise<EntryRecord> {
    if (!this.#deps.forget) for (const path of this.#looked.keys()) this.#readAhead(path)
    const root = await this.#walkTouched('', touched, this.#rootBefore())
    if (root === null) throw new NodeDaemonError('NOT_FOUND', `the folder ${this.#deps.folder} is gone`)
    return root
  }

  #rootBefore(): EntryRecord | null {
    const { root, applying } = this.#state
    if (root === null || applying || this.#deps.forget) return null
    return { kind: 'folder', fingerprint: ROOT_FINGERPRINT, settled: true, cid: root, totalBytes: 0 }
  }

  #readAhead(path: WorkspacePath): void {
    const record = this.#deps.index.entry(path)
    // Its failure is that of whoever asks for it.
    record.catch(() => undefined)
    this.#ahead.set(path, record)
  }

  async #before(path: WorkspacePath): Promise<EntryRecord | null> {
    return this.#deps.forget ? null : await (this.#ahead.get(path) ?? this.#deps.index.entry(path))
  }

  /** What is at the path; what was seen there when the walk began counts once. */
  async #look(path: WorkspacePath): Promise<Facts> {
    const seen = this.#looked.get(path)
    this.#looked.delete(path)
    if (seen !== undefined) return seen
    const stats = await look(this.#deps.files, this.#onDisk(path))
    return stats === null ? GONE : factsOf(stats)
  }

  async #walkTouched(path: WorkspacePath, touched: Touched, before: EntryRecord | null): Promise<EntryRecord | null> {
    if (touched.whole || before?.kind !== 'folder') return this.#walk(path, before, null)
    const facts = await this.#look(path)
    if (facts.kind !== 'folder') return this.#walk(path, before, facts)
    const changes = new Changes()
    await forEachParallel(touched.below, ENTRIES_AT_ONCE, async ([name, below]) => {
      const child = joinPath(path, name)
      const was = await this.#before(child)
      changes.note(name, was, await this.#walkTouched(child, below, was))
    })
    return this.ledger.replaced(path, before, await this.#edited(path, facts, before, changes))
  }

  /** The entry and all below it as they are now, recorded. Null where there is nothing that can be kept. */
  async #walk(path: WorkspacePath, before: EntryRecord | null, facts: Facts | null): Promise<EntryRecord | null> {
    if (this.#deps.signal?.aborted) throw aborted(this.#deps.signal)
    return this.ledger.replaced(path, before, await this.#taken(path, before, facts))
  }

  async #taken(path: WorkspacePath, before: EntryRecord | null, seen: Facts | null): Promise<EntryRecord | null> {
    try {
      for (let times = 0; times < LOOKS; times++) {
        const facts = (times === 0 ? seen : null) ?? (await this.#look(path))
        if (facts.kind === 'gone') return null
        if (facts.kind === 'denied') break
        if (facts.kind === 'other' || !fits(path)) return this.#unsettle(path, null)
        const now = await this.#takenAs(path, facts, before)
        if (now !== null) return now
      }
    } catch (error) {
      if (!isDenied(error) || path === '') throw error
    }
    return this.#unsettle(path, before)
  }

  /** Null where it is not any longer what the facts say. */
  async #takenAs(path: WorkspacePath, facts: Facts, before: EntryRecord | null): Promise<EntryRecord | null> {
    if (facts.kind === 'folder') return this.#walkFolder(path, facts, before?.kind === 'folder' ? before : null)
    const known = before?.settled === true && sameFingerprint(before.fingerprint, facts.fingerprint)
    if (known && before.kind === facts.kind) return before
    return facts.kind === 'file' ? this.#readFile(path, facts) : this.#readLink(path, facts)
  }

  #readFile(path: WorkspacePath, { fingerprint: { size: sizeHint } }: Facts): Promise<EntryRecord | null> {
    const slots = sizeHint > SMALL_BYTES ? this.#large : this.#small
    return slots.run(async () => {
      const sinkOfAttempt = (): BlockSink => this.#sinkOfFile(path)
      const { isPrompt, signal, looked } = this.#deps
      const options = { prompt: isPrompt(), atOnce: isLittle(looked.size) && looked.has(path), signal }
      const read = await readSteadyFile(this.#deps, this.#onDisk(path), sizeHint, options, sinkOfAttempt)
      if (read === null) return null
      const { fingerprint, settled, steady, built } = read
      const record = { kind: 'file', fingerprint, settled, cid: built.cid, totalBytes: built.totalBytes } as const
      return steady ? record : this.#unsettle(path, record)
    })
  }

  #sinkOfFile(path: WorkspacePath): BlockSink {
    let offset = 0
    let last: Block | null = null
    return async (block) => {
      const size = block.bytes.length
      if (block.cid.code === RAW_CODEC) {
        // A hole is the same leaf again and again.
        const isSame = last?.cid.equals(block.cid) === true
        last = block
        offset += size
        if (isSame) return
        await this.#deps.index.keepLeaf(block.cid, { path, offset: offset - size, size })
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

  async #readLink(path: WorkspacePath, { fingerprint }: Facts): Promise<EntryRecord | null> {
    const target = decodeName(await this.#deps.files.readlink(this.#onDisk(path)))
    if (target === null || faultOfTarget(target) !== null) return this.#unsettle(path, null)
    const block = buildLink(target, linkMetadataOf(fingerprint))
    await this.#offerNode(block)
    const settled = !isRacy(fingerprint, this.#deps.begunNs)
    return { kind: 'link', fingerprint, settled, cid: block.cid, totalBytes: block.bytes.length }
  }

  async #walkFolder(path: WorkspacePath, facts: Facts, before: EntryRecord | null): Promise<EntryRecord | null> {
    const { reader, isPrompt, signal, index, forget } = this.#deps
    const listing = await reader.list(this.#onDisk(path), { prompt: isPrompt(), signal })
    if (listing === null) return null
    for (const name of listing.unnamed) this.#unsettle(joinPath(path, name), null)
    const compared = await compareFolder(forget ? null : index, path, listing)
    const changes = new Changes()
    const visit = async ({ name, facts: seen, was }: Due): Promise<void> => {
      changes.note(name, was, await this.#walk(joinPath(path, name), was, seen))
    }
    await forEachParallel(compared.others, ENTRIES_AT_ONCE, visit)
    await forEachParallel(compared.folders, folderWidth(path), visit)
    for (const [name, was] of compared.gone) {
      await this.ledger.replaced(joinPath(path, name), was, null)
      changes.note(name, was, null)
    }
    return before === null ? this.#built(path, facts, changes) : this.#edited(path, facts, before, changes)
  }

  /** The folder made anew. What of it the index had before this walk stands in the index. */
  async #built(path: WorkspacePath, facts: Facts, changes: Changes): Promise<EntryRecord> {
    const { index, forget } = this.#deps
    const entries = new Map<string, Entry>()
    if (!forget)
      for (const [name, { cid, totalBytes }] of await index.entriesOf(path))
        entries.set(name, { name, cid, totalBytes })
    changes.applyTo(entries)
    const fingerprint = path === '' ? ROOT_FINGERPRINT : facts.fingerprint
    const built = await buildFolder(entries.values(), metadataOf(fingerprint), this.#offerNode)
    return { kind: 'folder', fingerprint, settled: true, cid: built.cid, totalBytes: built.totalBytes }
  }

  /** The folder with these changes, the touched ones or all; the same record where there are none. */
  async #edited(path: WorkspacePath, facts: Facts, before: EntryRecord, changes: Changes): Promise<EntryRecord> {
    const fingerprint = path === '' ? ROOT_FINGERPRINT : facts.fingerprint
    if (changes.count === 0 && sameMetadata(before.fingerprint, fingerprint)) return before
    const { load } = this.#deps.index
    const built = await editFolder(before.cid, metadataOf(fingerprint), changes, load, this.#offerNode)
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

const sameMetadata = (a: Fingerprint, b: Fingerprint): boolean => a.mode === b.mode && a.mtimeUs === b.mtimeUs
