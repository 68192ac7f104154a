import type { CID } from 'multiformats/cid'
import type { FileLink } from '../content/nodes.ts'
import { type Block, RAW_CODEC, verifyBlock } from '../core/blocks.ts'
import { aborted } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { batches, forEachParallel } from '../core/parallel.ts'
import type { FileSystem } from './file-system.ts'
import { leafOnDisk } from './leaf.ts'
import { fileNodeOf } from './plan.ts'
import type { TreeIndex } from './tree-index.ts'

/** Asks others for blocks; each is checked here. All must come. */
export type Fetch = (cids: readonly CID[]) => Promise<Block[]>

/** How many blocks one call of `fetch` asks for at most. */
const NODES_AT_ONCE = 256
const READS_AT_ONCE = 8
/** More levels than any file has that was made here. */
const MAX_LEVELS = 14

/** Blocks of a tree that is to be applied: what is on this disk is taken from there, all else is fetched. */
export class Intake {
  fetchedBytes = 0
  readonly #files: FileSystem
  readonly #folder: string
  readonly #index: TreeIndex
  readonly #fetch: Fetch
  readonly #signal: AbortSignal | undefined
  readonly #nothingHere: boolean

  constructor(deps: {
    readonly files: FileSystem
    readonly folder: string
    readonly index: TreeIndex
    readonly fetch: Fetch
    readonly signal: AbortSignal | undefined
    /** No file on disk has content: looking for what is there already is not worth it. */
    readonly nothingHere: boolean
  }) {
    this.#files = deps.files
    this.#folder = deps.folder
    this.#index = deps.index
    this.#fetch = deps.fetch
    this.#signal = deps.signal
    this.#nothingHere = deps.nothingHere
  }

  /** Sees to it that the index has these tree nodes. */
  async nodes(cids: Iterable<CID>): Promise<void> {
    const missing = new Map<string, CID>()
    const unique = new Map([...cids].map((cid) => [cid.toString(), cid]))
    await forEachParallel(unique, READS_AT_ONCE, async ([key, cid]) => {
      if (this.#nothingHere || (await this.#index.node(cid)) === null) missing.set(key, cid)
    })
    for (const batch of batches(missing.values(), NODES_AT_ONCE)) {
      for (const block of await this.#fetched(batch)) await this.#index.keepNode(block)
    }
  }

  /** Sees to it that the index has all nodes between a file and its leaves. The file's own it has already. */
  async innerNodes(file: CID): Promise<void> {
    let level = [file]
    for (let depth = 0; level.length > 0; depth++) {
      if (depth > MAX_LEVELS) throw new NodeDaemonError('INTEGRITY', 'a file has too many levels')
      const below = new Map<string, CID>()
      for (const cid of level) {
        for (const link of fileNodeOf(cid, await this.#index.load(cid)).links) {
          if (link.cid.code !== RAW_CODEC) below.set(link.cid.toString(), link.cid)
        }
      }
      level = [...below.values()]
      await this.nodes(level)
    }
  }

  /** The bytes of these leaves by their CIDs. All of them are in memory at once. */
  async leaves(wanted: readonly FileLink[]): Promise<Map<string, Uint8Array>> {
    const unique = new Map(wanted.map((leaf) => [leaf.cid.toString(), leaf]))
    const found = new Map<string, Uint8Array>()
    const here = { files: this.#files, folder: this.#folder, index: this.#index }
    await forEachParallel(this.#nothingHere ? [] : unique, READS_AT_ONCE, async ([key, { cid }]) => {
      const bytes = await leafOnDisk(here, cid)
      if (bytes !== null) found.set(key, bytes)
    })
    const missing = [...unique].filter(([key]) => !found.has(key)).map(([, { cid }]) => cid)
    for (const { cid, bytes } of await this.#fetched(missing)) found.set(cid.toString(), bytes)
    for (const { cid, size } of wanted) {
      if (found.get(cid.toString())?.length === size) continue
      throw new NodeDaemonError('INTEGRITY', `the leaf ${cid} does not have the size that its file says`)
    }
    return found
  }

  async #fetched(cids: readonly CID[]): Promise<Block[]> {
    if (this.#signal?.aborted) throw aborted(this.#signal)
    if (cids.length === 0) return []
    const came = new Map((await this.#fetch(cids)).map((block) => [block.cid.toString(), block]))
    return cids.map((cid) => {
      const block = came.get(cid.toString())
      if (block === undefined) throw new NodeDaemonError('NOT_FOUND', `nobody sent the block ${cid}`)
      verifyBlock(block)
      this.fetchedBytes += block.bytes.length
      return block
    })
  }
}
