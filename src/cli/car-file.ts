import { type FileHandle, open } from 'node:fs/promises'
import type { CID } from 'multiformats/cid'
import type { Block } from '../core/blocks.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { parseSection } from '../store/car.ts'
import { carOf } from '../store/car-export.ts'

const READ_BYTES = 4 * 1024 * 1024

interface Place {
  readonly offset: number
  readonly length: number
}

/** A CAR file of one root, with its blocks at hand by their names. Memory: about 150 bytes for each block. */
export class CarFile implements AsyncDisposable {
  readonly #file: FileHandle
  readonly #places: ReadonlyMap<string, Place>

  private constructor(file: FileHandle, places: ReadonlyMap<string, Place>) {
    this.#file = file
    this.#places = places
  }

  /** @throws NodeDaemonError `INTEGRITY` when it is no CAR of this root, or cut short */
  static async open(path: string, root: CID): Promise<CarFile> {
    const file = await open(path, 'r')
    try {
      return new CarFile(file, await indexOf(file, root))
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Those of them that the file has. Their bytes are not yet compared with their names. */
  async blocks(cids: readonly CID[]): Promise<Block[]> {
    const found: Block[] = []
    for (const cid of cids) {
      const place = this.#places.get(keyOf(cid))
      if (place !== undefined) found.push({ cid, bytes: await readAt(this.#file, place.offset, place.length) })
    }
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }
}

/** One byte in memory for each byte of the CID. */
const keyOf = (cid: CID): string => Buffer.from(cid.bytes).toString('latin1')

const broken = (why: string): NodeDaemonError =>
  new NodeDaemonError('INTEGRITY', `what came is not the snapshot that was asked for: ${why}`, {
    advice: 'try it again'
  })

async function indexOf(file: FileHandle, root: CID): Promise<Map<string, Place>> {
  const { size } = await file.stat()
  const header = await headerOf(root)
  const start = await readAt(file, 0, Math.min(size, header.length))
  if (!Buffer.from(header).equals(start)) throw broken('it has another root')
  const places = new Map<string, Place>()
  for (let at = header.length; at < size; ) {
    const window = await readAt(file, at, Math.min(READ_BYTES, size - at))
    const end = indexSections(window, at, places)
    if (end === 0) throw broken('it is cut short or damaged')
    at += end
  }
  return places
}

/** Notes the sections that lie whole in `window`, which begins at `base` of the file; returns where the last one ends. */
function indexSections(window: Uint8Array, base: number, places: Map<string, Place>): number {
  let end = 0
  for (;;) {
    const parsed = parseSection(window, end)
    if (parsed.kind !== 'section') return parsed.kind === 'short' ? end : 0
    const { cid, bytes } = parsed.block
    places.set(keyOf(cid), { offset: base + parsed.dataOffset, length: bytes.length })
    end = parsed.end
  }
}

async function headerOf(root: CID): Promise<Uint8Array> {
  for await (const part of carOf([root], noBlocks())) return part
  throw new NodeDaemonError('UNEXPECTED', 'a CAR without a header')
}

async function* noBlocks(): AsyncGenerator<Block> {}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done)
    if (bytesRead === 0) throw broken('it is cut short')
    done += bytesRead
  }
  return bytes
}
