import type { CID } from 'multiformats/cid'
import type { Load } from '../content/file.ts'
import { childrenOf } from '../content/nodes.ts'
import { type Block, matches, RAW_CODEC } from '../core/blocks.ts'
import type { KeyValue } from '../core/key-value.ts'
import { Mutex } from '../core/mutex.ts'
import { decodeEntry, type EntryRecord } from './entry-record.ts'
import { joinPath, nameOf, parentOf, type WorkspacePath } from './paths.ts'
import { RecentBytes } from './recent-bytes.ts'
import { decodeState, encodeState, NEW_STATE, type TreeState } from './tree-state.ts'

/** Where the bytes of a leaf were seen on disk. A hint: who reads them checks them. */
export interface LeafPlace {
  readonly path: WorkspacePath
  readonly offset: number
  readonly size: number
}

/** Entries as they shall be recorded. */
export interface EntryChanges {
  /** Encoded `EntryRecord`s. */
  readonly put: ReadonlyMap<WorkspacePath, Uint8Array>
  readonly remove: ReadonlySet<WorkspacePath>
}

/** Nodes and leaves: written since the last sweep, and found in use by it. */
interface Counts {
  readonly written: number
  readonly live: number
}

const STATE_KEY = 's'
const COUNTS_KEY = 'c'
const ENTRY = 'e'
const NODE = 'n'
const LEAF = 'l'
const BUFFER_ENTRIES = 1024
const BUFFER_BYTES = 4 * 1024 * 1024
const RECENT_NODES = 2048
const RECENT_BYTES = 4 * 1024 * 1024
const SWEEP_BATCH = 1024
/** Fewer blocks that nothing links to are not worth a sweep. */
const SWEEP_LEAST = 4096

/** Something in the index is missing, cannot be read, or is not so on disk: everything must be read again. */
export class Outdated extends Error {}

const entryKey = (path: WorkspacePath): string => `${ENTRY}${parentOf(path)}\0${nameOf(path)}`
/** Enough of a CID to tell blocks apart nearly always; where it does not, a block is kept for longer than needed. */
const markOf = (cid: string): number => Number.parseInt(cid.slice(-9), 36)

/**
 * What is known of a workspace's files: a record for each path, the nodes of the tree, and where leaves were seen.
 * The record of a folder stands only while its node lists exactly what the records of its entries say.
 * Nodes and leaves are kept as they come, in bunches; they mean nothing until a record or the root names them.
 */
export class TreeIndex {
  readonly #store: KeyValue
  readonly #flushing = new Mutex()
  #nextFlush: Promise<void> | null = null
  /** What has come and what is just being handed over. */
  #buffer = new Map<string, Uint8Array>()
  #leaving = new Map<string, Uint8Array>()
  #bufferedBytes = 0
  #written = 0
  /** As they were recorded last, once they have been read: nobody else writes to the store. */
  #state: TreeState | null | undefined
  #counts: Counts | undefined
  /** Rises when a write of these begins, and when it ends. */
  #version = 0
  /** Nodes that were read and checked a moment ago: a tree is walked several times when it is applied. */
  readonly #recent = new RecentBytes(RECENT_NODES, RECENT_BYTES)

  constructor(store: KeyValue) {
    this.#store = store
  }

  /** The state that was recorded last; null where it cannot be read. */
  async state(): Promise<TreeState | null> {
    if (this.#state !== undefined) return this.#state
    const version = this.#version
    const value = await this.#store.get(STATE_KEY)
    const state = value === null ? NEW_STATE : decodeState(value)
    // What was read beside a write may be older than that.
    if (version === this.#version) this.#state = state
    return state
  }

  /** @throws Outdated */
  async entry(path: WorkspacePath): Promise<EntryRecord | null> {
    const value = await this.#store.get(entryKey(path))
    return value === null ? null : intact(value)
  }

  /** The entries of one folder by their names. @throws Outdated */
  async entriesOf(folder: WorkspacePath): Promise<Map<string, EntryRecord>> {
    const prefix = `${ENTRY}${folder}\0`
    const found = new Map<string, EntryRecord>()
    for await (const [key, value] of this.#store.entries({ prefix })) found.set(key.slice(prefix.length), intact(value))
    return found
  }

  /** The records of one folder's entries as they are kept, by their names. */
  async *keptEntriesOf(folder: WorkspacePath): AsyncGenerator<readonly [string, Uint8Array]> {
    const prefix = `${ENTRY}${folder}\0`
    for await (const [key, value] of this.#store.entries({ prefix })) yield [key.slice(prefix.length), value]
  }

  /** The bytes of a node, checked; null where they are missing or damaged. */
  async node(cid: CID): Promise<Uint8Array | null> {
    const key = `${NODE}${cid}`
    const recent = this.#recent.get(key)
    if (recent !== undefined) return recent
    const bytes = await this.#kept(key)
    if (bytes === null || !matches({ cid, bytes })) return null
    this.#recent.set(key, bytes)
    return bytes
  }

  /** As `node`. @throws Outdated where there is none */
  readonly load: Load = async (cid) => {
    const bytes = await this.node(cid)
    if (bytes === null) throw new Outdated(`the index lacks the tree node ${cid}`)
    return bytes
  }

  async leaf(cid: CID): Promise<LeafPlace | null> {
    const key = `${LEAF}${cid}`
    const value = await this.#kept(key)
    return value === null ? null : decodePlace(value)
  }

  keepNode({ cid, bytes }: Block): Promise<void> {
    const key = `${NODE}${cid}`
    this.#recent.set(key, bytes)
    return this.#keep(key, bytes)
  }

  keepLeaf(cid: CID, place: LeafPlace): Promise<void> {
    return this.#keep(`${LEAF}${cid}`, encodePlace(place))
  }

  async #keep(key: string, value: Uint8Array): Promise<void> {
    this.#buffer.set(key, value)
    this.#bufferedBytes += value.length
    if (this.#buffer.size >= BUFFER_ENTRIES || this.#bufferedBytes >= BUFFER_BYTES) await this.flush()
  }

  async #kept(key: string): Promise<Uint8Array | null> {
    return this.#buffer.get(key) ?? this.#leaving.get(key) ?? (await this.#store.get(key))
  }

  /** Hands the nodes and leaves that came so far to the store. */
  flush(): Promise<void> {
    // One that has not begun takes along what comes until then.
    this.#nextFlush ??= this.#flushing.run(async () => {
      this.#nextFlush = null
      if (this.#buffer.size === 0) return
      this.#leaving = this.#buffer
      this.#buffer = new Map()
      this.#bufferedBytes = 0
      await this.#store.write({ put: [...this.#leaving] }, { durable: false })
      this.#written += this.#leaving.size
      this.#leaving = new Map()
    })
    return this.#nextFlush
  }

  /** Records entries and state, all or nothing; with `durable`, they and all that was kept before are fsynced on return. */
  async record(changes: EntryChanges, state: TreeState, options: { readonly durable: boolean }): Promise<void> {
    await this.flush()
    const put = [...changes.put].map(([path, record]) => [entryKey(path), record] as const)
    const remove = [...changes.remove].filter((path) => !changes.put.has(path)).map(entryKey)
    const { written, live } = await this.#readCounts()
    const total = written + this.#written
    const counts = live === 0 ? { written: 0, live: total } : { written: total, live }
    const states = [[STATE_KEY, encodeState(state)] as const, [COUNTS_KEY, encodeCounts(counts)] as const]
    await this.#rewrite(() => this.#store.write({ put: [...put, ...states], remove }, options))
    this.#state = state
    this.#counts = counts
    this.#written = 0
  }

  /** Changes what is kept of state and counts: should that fail, they are read anew. */
  async #rewrite(write: () => Promise<void>): Promise<void> {
    this.#version++
    this.#state = undefined
    this.#counts = undefined
    try {
      await write()
    } finally {
      this.#version++
    }
  }

  async #readCounts(): Promise<Counts> {
    this.#counts ??= decodeCounts(await this.#store.get(COUNTS_KEY))
    return this.#counts
  }

  /** All paths that have a record, readable or not. */
  async *paths(): AsyncGenerator<WorkspacePath> {
    for await (const [key] of this.#store.entries({ prefix: ENTRY })) {
      const [folder = '', name = ''] = key.slice(ENTRY.length).split('\0')
      yield joinPath(folder, name)
    }
  }

  /** Removes nodes and leaves that the recorded root does not lead to, once they are many beside those that it does lead to. */
  async sweepWhenDue(): Promise<void> {
    const { written, live: before } = await this.#readCounts()
    const root = (await this.state())?.root ?? null
    if (root === null || written <= Math.max(SWEEP_LEAST, before)) return
    const marks = await this.#marks(root)
    this.#recent.clear()
    let live = 0
    let stale: string[] = []
    for (const prefix of [NODE, LEAF]) {
      for await (const [key] of this.#store.entries({ prefix })) {
        if (marks.has(markOf(key))) live++
        else stale.push(key)
        if (stale.length < SWEEP_BATCH) continue
        await this.#store.write({ remove: stale }, { durable: false })
        stale = []
      }
    }
    const counts = { written: 0, live }
    await this.#store.write({ put: [[COUNTS_KEY, encodeCounts(counts)]], remove: stale }, { durable: false })
    this.#counts = counts
  }

  async #marks(root: CID): Promise<Set<number>> {
    const marks = new Set<number>()
    const pending = [root]
    for (let cid = pending.pop(); cid !== undefined; cid = pending.pop()) {
      const mark = markOf(cid.toString())
      if (marks.has(mark)) continue
      marks.add(mark)
      const bytes = cid.code === RAW_CODEC ? null : await this.node(cid)
      if (bytes !== null) for (const child of childrenOf({ cid, bytes })) pending.push(child)
    }
    return marks
  }

  /** Forgets everything, durably. */
  async clear(): Promise<void> {
    this.#buffer = new Map()
    this.#bufferedBytes = 0
    this.#recent.clear()
    await this.#rewrite(() => this.#removeAll())
  }

  async #removeAll(): Promise<void> {
    let remove: string[] = []
    for await (const [key] of this.#store.entries({ prefix: '' })) {
      remove.push(key)
      if (remove.length < SWEEP_BATCH) continue
      await this.#store.write({ remove }, { durable: false })
      remove = []
    }
    await this.#store.write({ remove }, { durable: true })
  }
}

export function intact(value: Uint8Array): EntryRecord {
  const record = decodeEntry(value)
  if (record === null) throw new Outdated('a record of the index cannot be read')
  return record
}

function encodePlace({ path, offset, size }: LeafPlace): Uint8Array {
  const text = Buffer.from(path)
  const bytes = Buffer.alloc(12 + text.length)
  bytes.writeDoubleBE(offset, 0)
  bytes.writeUInt32BE(size, 8)
  text.copy(bytes, 12)
  return bytes
}

function decodePlace(value: Uint8Array): LeafPlace | null {
  if (value.length < 12) return null
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const offset = bytes.readDoubleBE(0)
  if (!Number.isSafeInteger(offset) || offset < 0) return null
  return { offset, size: bytes.readUInt32BE(8), path: bytes.toString('utf8', 12) }
}

function encodeCounts({ written, live }: Counts): Uint8Array {
  const bytes = Buffer.alloc(16)
  bytes.writeDoubleBE(written, 0)
  bytes.writeDoubleBE(live, 8)
  return bytes
}

/** What cannot be read counts as none: the next sweep counts anew. */
function decodeCounts(value: Uint8Array | null): Counts {
  if (value?.length !== 16) return { written: 0, live: 0 }
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return { written: bytes.readDoubleBE(0), live: bytes.readDoubleBE(8) }
}
