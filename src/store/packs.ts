import type { Block } from '../core/blocks.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { type Location, markerBlock, type Position, sectionHead } from './car.ts'
import type { Disk } from './disk.ts'
import {
  BATCH_BYTES,
  endsWithMarker,
  listPacks,
  PACK_START,
  PACKS_FOLDER,
  type PackItem,
  packEnd,
  packPath,
  packStart,
  readPack
} from './pack-files.ts'

export const PACK_BYTES = 256 * 1024 * 1024

/** The main repository's log: blocks one after another in CAR files. One process at a time may have it open. */
export interface Packs {
  /**
   * Writes blocks at the end of the log, not yet durable. `onWritten` is called with their places, in the same turn in
   * which they become part of the log, and must not throw.
   *
   * @throws NodeDaemonError `NO_SPACE` nothing was written; `BUSY` after a failure, until `recover`
   */
  append(blocks: readonly Block[], onWritten: (locations: readonly Location[]) => void): Promise<void>
  /** On return all that was written before the call is durable. Those who wait at the same time share one sync. */
  commit(): Promise<void>
  /** The bytes at a place, not compared with any name; fewer where the pack ends. */
  read(location: Location): Promise<Uint8Array>
  /** All sections from a place on, in order. */
  sections(from: Position | null): AsyncGenerator<PackItem & { readonly pack: number }>
  /** Where the next section goes. */
  readonly end: Position
  /** A sync failed, and what was written since the last one is void. */
  readonly broken: boolean
  readonly count: number
  /** The end of what counts in each pack, in order. */
  ends(): Promise<readonly Position[]>
  /** Goes on in a new pack, unless the present one is empty. To be called while nobody appends. */
  roll(): Promise<void>
  /**
   * On return all that was written is durable, and the log itself says so: should anything of it rot, it is told from a
   * torn end without an index. To be called while nobody appends.
   */
  mark(): Promise<void>
  /** Goes on in a new pack, which says that whatever was not durable is void. To be called while nobody appends. */
  recover(): Promise<void>
}

interface Entry {
  readonly blocks: readonly Block[]
  readonly onWritten: (locations: readonly Location[]) => void
  readonly bytes: number
  readonly done: PromiseWithResolvers<void>
}

/** Opens packs that were mended. */
export async function openPacks(disk: Disk, options: { readonly packBytes?: number } = {}): Promise<Packs> {
  const numbers = await listPacks(disk)
  const last = numbers.at(-1)
  const size = last === undefined ? 0 : await disk.size(packPath(last))
  const end = { pack: last ?? 0, offset: size ?? 0 }
  const isMarked = last === undefined || (await endsWithMarker(disk, end))
  return new PackLog(disk, end, isMarked, numbers.length, options.packBytes ?? PACK_BYTES)
}

class PackLog implements Packs {
  readonly #disk: Disk
  readonly #packBytes: number
  #end: Position
  #synced: Position
  #count: number
  #broken = false
  /** The last section is a marker, as the first one of a pack is. */
  #isMarked: boolean
  /** A new pack was begun and not finished: the present one gets nothing more, since the new one names its end. */
  #mustRoll: boolean
  #queue: Entry[] = []
  #waiters: PromiseWithResolvers<void>[] = []
  #running = false

  constructor(disk: Disk, end: Position, isMarked: boolean, count: number, packBytes: number) {
    this.#disk = disk
    this.#isMarked = isMarked
    this.#end = end
    this.#synced = end
    this.#count = count
    this.#packBytes = packBytes
    this.#mustRoll = end.pack === 0
  }

  get end(): Position {
    return this.#end
  }

  get broken(): boolean {
    return this.#broken
  }

  get count(): number {
    return this.#count
  }

  append(blocks: readonly Block[], onWritten: (locations: readonly Location[]) => void): Promise<void> {
    const bytes = blocks.reduce((sum, block) => sum + block.bytes.length, 0)
    const done = Promise.withResolvers<void>()
    this.#queue.push({ blocks, onWritten, bytes, done })
    this.#start()
    return done.promise
  }

  commit(): Promise<void> {
    const done = Promise.withResolvers<void>()
    this.#waiters.push(done)
    this.#start()
    return done.promise
  }

  read({ pack, offset, length }: Location): Promise<Uint8Array> {
    return this.#disk.read(packPath(pack), offset, length)
  }

  async *sections(from: Position | null): AsyncGenerator<PackItem & { readonly pack: number }> {
    for (const { pack, offset } of await this.ends()) {
      if (from !== null && pack < from.pack) continue
      const start = pack === from?.pack ? from.offset : PACK_START
      for await (const item of readPack(this.#disk, pack, start, offset)) yield { ...item, pack }
    }
  }

  async ends(): Promise<readonly Position[]> {
    const packs = await listPacks(this.#disk)
    const ends: Position[] = []
    for (const [index, pack] of packs.entries()) {
      if (pack === this.#end.pack) ends.push(this.#end)
      else ends.push({ pack, offset: await packEnd(this.#disk, pack, packs[index + 1]) })
    }
    return ends
  }

  async roll(): Promise<void> {
    this.#refuseBroken()
    if (this.#end.offset > PACK_START) await this.#roll()
  }

  async mark(): Promise<void> {
    this.#refuseBroken()
    await this.#sync()
    // The next pack names the end of this one, which gets nothing more.
    if (this.#mustRoll && this.#end.pack > 0) await this.#roll()
    if (this.#isMarked) return
    const marker = markerBlock(this.#end)
    const head = sectionHead(marker)
    await this.#write([head, marker.bytes])
    this.#end = { pack: this.#end.pack, offset: this.#end.offset + head.length + marker.bytes.length }
    this.#isMarked = true
    await this.#sync()
  }

  async recover(): Promise<void> {
    if (!this.#broken) return
    await this.#begin(this.#synced)
    this.#broken = false
  }

  #start(): void {
    if (this.#running) return
    this.#running = true
    void this.#run()
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0 || this.#waiters.length > 0) {
      await this.#writeNext()
      await this.#syncForWaiters()
    }
    this.#running = false
  }

  async #writeNext(): Promise<void> {
    const batch = this.#nextBatch()
    if (batch.length === 0) return
    try {
      this.#refuseBroken()
      await this.#writeBatch(batch)
    } catch (error) {
      for (const { done } of batch) done.reject(error)
    }
  }

  #nextBatch(): Entry[] {
    let bytes = 0
    const rest = this.#queue.findIndex((entry, index) => {
      bytes += entry.bytes
      return index > 0 && bytes > BATCH_BYTES
    })
    return this.#queue.splice(0, rest < 0 ? this.#queue.length : rest)
  }

  async #writeBatch(batch: readonly Entry[]): Promise<void> {
    const bytes = batch.reduce((sum, entry) => sum + entry.bytes, 0)
    const full = this.#end.offset > PACK_START && this.#end.offset + bytes > this.#packBytes
    if (full || this.#mustRoll) await this.#roll()
    const parts: Uint8Array[] = []
    let offset = this.#end.offset
    const add = (block: Block): Location => {
      const head = sectionHead(block)
      parts.push(head, block.bytes)
      const location = { pack: this.#end.pack, offset: offset + head.length, length: block.bytes.length }
      offset = location.offset + location.length
      return location
    }
    if (this.#isSynced() && !this.#isMarked) add(markerBlock(this.#end))
    const placed = batch.map(({ blocks }) => blocks.map(add))
    await this.#write(parts)
    this.#end = { pack: this.#end.pack, offset }
    this.#isMarked = false
    for (const [index, entry] of batch.entries()) {
      entry.onWritten(placed[index] ?? [])
      entry.done.resolve()
    }
  }

  async #write(parts: readonly Uint8Array[]): Promise<void> {
    const path = packPath(this.#end.pack)
    try {
      await this.#disk.append(path, parts)
    } catch (error) {
      await this.#disk.truncate(path, this.#end.offset).catch(() => {
        this.#broken = true
      })
      throw error
    }
  }

  async #syncForWaiters(): Promise<void> {
    const waiters = this.#waiters.splice(0)
    if (waiters.length === 0) return
    try {
      this.#refuseBroken()
      await this.#sync()
      for (const { resolve } of waiters) resolve()
    } catch (error) {
      for (const { reject } of waiters) reject(error)
    }
  }

  async #sync(): Promise<void> {
    if (this.#isSynced()) return
    const end = this.#end
    try {
      await this.#disk.sync(packPath(end.pack))
    } catch (error) {
      this.#broken = true
      throw error
    }
    this.#synced = end
  }

  async #roll(): Promise<void> {
    await this.#sync()
    this.#mustRoll = true
    await this.#begin(this.#end)
  }

  /** Begins the next pack, which names the end of the one before it. */
  async #begin(end: Position): Promise<void> {
    const pack = this.#end.pack + 1
    const path = packPath(pack)
    await this.#disk.remove(path)
    await this.#disk.append(path, packStart(end))
    await this.#disk.sync(path)
    await this.#disk.syncFolder(PACKS_FOLDER)
    this.#end = { pack, offset: PACK_START }
    this.#synced = this.#end
    this.#isMarked = true
    this.#mustRoll = false
    this.#count++
  }

  #isSynced(): boolean {
    return this.#synced.pack === this.#end.pack && this.#synced.offset === this.#end.offset
  }

  #refuseBroken(): void {
    if (this.#broken) throw new NodeDaemonError('BUSY', 'the repository is recovering from a failed write; try again')
  }
}
