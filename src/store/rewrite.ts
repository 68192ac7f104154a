import type { CID } from 'multiformats/cid'
import type { Block } from '../core/blocks.ts'
import { RECORD_CODEC } from '../core/envelope.ts'
import { type Location, markerBlock, sectionHead } from './car.ts'
import type { Disk } from './disk.ts'
import { droppedNote, type HeadKind, type Note, verdictNote } from './notes.ts'
import { namedEnd, newPackPath, PACK_START, type PackItem, packStart, readPack } from './pack-files.ts'

const LOOKUP_ITEMS = 256
const MARKER_EVERY_BYTES = 1024 * 1024
const WRITE_BYTES = 4 * 1024 * 1024

/** What is asked about the blocks of a pack that is written anew. */
export interface RewriteView {
  /** Where the index finds these blocks. */
  locations(cids: readonly CID[]): Promise<(Location | null)[]>
  isLive(cid: CID): boolean
  /** How a head was judged whose note is lost; null for what is no head, or no retained one. */
  kindOf(cid: CID): Promise<HeadKind | null>
}

export interface Rewritten {
  /** The length of the new pack. */
  readonly end: number
  readonly moved: readonly { readonly cid: CID; readonly location: Location }[]
  readonly dropped: readonly { readonly cid: CID; readonly location: Location }[]
}

/**
 * Writes what is needed of a pack, in its order, into a new file beside it; durable on return.
 *
 * @param end where what counts in the pack ends
 * @returns null where the pack is damaged, so that what is needed cannot all be told
 */
export async function rewrite(disk: Disk, pack: number, end: number, view: RewriteView): Promise<Rewritten | null> {
  const path = newPackPath(pack)
  await disk.remove(path)
  const rewriting = new Rewriting(disk, pack, view)
  const before = await namedEnd(disk, pack)
  if (before === null) return null
  await disk.append(path, packStart(before))
  let items: PackItem[] = []
  let bytes = 0
  for await (const item of readPack(disk, pack, PACK_START, end)) {
    if (item.kind === 'broken') return null
    items.push(item)
    bytes += item.kind === 'block' ? item.block.bytes.length : 0
    if (items.length < LOOKUP_ITEMS && bytes < WRITE_BYTES) continue
    if (!(await rewriting.take(items))) return null
    items = []
    bytes = 0
  }
  if (!(await rewriting.take(items))) return null
  return await rewriting.finish()
}

class Rewriting {
  readonly #disk: Disk
  readonly #pack: number
  readonly #view: RewriteView
  readonly #moved: { cid: CID; location: Location }[] = []
  readonly #dropped: { cid: CID; location: Location }[] = []
  #parts: Uint8Array[] = []
  #partBytes = 0
  #end = PACK_START
  #markerAt = PACK_START
  #verdict: (Note & { readonly kind: 'verdict' }) | null = null

  constructor(disk: Disk, pack: number, view: RewriteView) {
    this.#disk = disk
    this.#pack = pack
    this.#view = view
  }

  /** False where a block that is needed is damaged. */
  async take(items: readonly PackItem[]): Promise<boolean> {
    const cids = items.flatMap((item) => (item.kind === 'block' && item.valid ? [item.block.cid] : []))
    const locations = (await this.#view.locations(cids)).values()
    for (const item of items) {
      if (item.kind === 'note') await this.#takeNote(item.note)
      if (item.kind !== 'block') continue
      if (!item.valid) return false
      const location = locations.next().value ?? null
      if (location !== null && isSame(location, item.location)) await this.#takeBlock(item)
    }
    await this.#write(WRITE_BYTES)
    return true
  }

  async finish(): Promise<Rewritten> {
    await this.#write(1)
    await this.#disk.sync(newPackPath(this.#pack))
    return { end: this.#end, moved: this.#moved, dropped: this.#dropped }
  }

  async #takeNote(note: Note): Promise<void> {
    this.#verdict = note.kind === 'verdict' ? note : null
    if (note.kind === 'verdict') return
    // A note is needed as long as a record stands in some pack that it takes back.
    const locations = await this.#view.locations(note.heads)
    const heads = note.heads.filter((_, index) => locations[index] !== null)
    if (heads.length > 0) this.#add(droppedNote(heads))
  }

  async #takeBlock({ block, location }: PackItem & { readonly kind: 'block' }): Promise<void> {
    const verdict = this.#verdict
    this.#verdict = null
    const { cid } = block
    if (!this.#view.isLive(cid)) {
      this.#dropped.push({ cid, location })
      return
    }
    if (this.#end - this.#markerAt >= MARKER_EVERY_BYTES) this.#mark()
    if (cid.code === RECORD_CODEC) {
      const told = verdict?.head.equals(cid) === true ? verdict : null
      const as = told === null ? await this.#view.kindOf(cid) : told.as
      if (as !== null) this.#add(verdictNote(cid, as, told?.acceptedAtMs))
    }
    this.#moved.push({ cid, location: this.#add(block) })
  }

  #mark(): void {
    this.#markerAt = this.#end
    this.#add(markerBlock({ pack: this.#pack, offset: this.#end }))
  }

  #add(block: Block): Location {
    const head = sectionHead(block)
    const location = { pack: this.#pack, offset: this.#end + head.length, length: block.bytes.length }
    this.#parts.push(head, block.bytes)
    this.#partBytes += head.length + block.bytes.length
    this.#end = location.offset + location.length
    return location
  }

  async #write(enough: number): Promise<void> {
    if (this.#partBytes < enough) return
    await this.#disk.append(newPackPath(this.#pack), this.#parts)
    this.#parts = []
    this.#partBytes = 0
  }
}

const isSame = (a: Location, b: Location): boolean =>
  a.pack === b.pack && a.offset === b.offset && a.length === b.length
