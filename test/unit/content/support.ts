import { createHash } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import type { BlockSink, Load } from '../../../src/content/file.ts'
import type { Entry, Metadata } from '../../../src/content/nodes.ts'
import { type Block, blockOf, RAW_CODEC, verifyBlock } from '../../../src/core/blocks.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'

export const METADATA: Metadata = { mode: 0o640, mtime: { secs: 1_700_000_000n, nsecs: 123_456_000 } }
export const FOLDER_METADATA: Metadata = { mode: 0o750, mtime: { secs: 1_600_000_000n, nsecs: 1000 } }

/** Blocks in memory that count what is loaded and made. */
export class Blocks {
  readonly map = new Map<string, Block>()
  loaded: string[] = []
  made: Block[] = []

  readonly sink: BlockSink = (block) => {
    verifyBlock(block)
    this.made.push(block)
    this.map.set(block.cid.toString(), block)
  }

  readonly load: Load = async (cid) => {
    this.loaded.push(cid.toString())
    return this.bytes(cid)
  }

  bytes(cid: CID): Uint8Array {
    const block = this.map.get(cid.toString())
    if (block === undefined) throw new NodeDaemonError('NOT_FOUND', `no block ${cid}`)
    return block.bytes
  }

  block(cid: CID): Block {
    return { cid, bytes: this.bytes(cid) }
  }

  forgetCounts(): void {
    this.loaded = []
    this.made = []
  }

  /** As the exporter of ipfs-unixfs wants it. */
  get blockstore(): { get(cid: CID): AsyncGenerator<Uint8Array> } {
    const bytes = (cid: CID): Uint8Array => this.bytes(cid)
    return {
      async *get(cid) {
        yield bytes(cid)
      }
    }
  }
}

/** Bytes that look random and are the same for the same seed: SHAKE256 of it. */
export const noise = (length: number, seed = 'noise'): Buffer =>
  length === 0 ? Buffer.alloc(0) : createHash('shake256', { outputLength: length }).update(seed).digest()

export async function* sliced(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0
  for (let turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length] ?? bytes.length
    yield bytes.subarray(at, at + length)
    at += length
  }
}

export const whole = (bytes: Uint8Array): AsyncGenerator<Uint8Array> => sliced(bytes, [Math.max(bytes.length, 1)])

export async function collected<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

export const entryOf = (name: string, content = name): Entry => {
  const { cid, bytes } = blockOf(RAW_CODEC, Buffer.from(content))
  return { name, cid, totalBytes: bytes.length }
}

export const entriesNamed = (count: number, prefix = 'entry'): Entry[] =>
  Array.from({ length: count }, (_, index) => entryOf(`${prefix}-${index}`))
