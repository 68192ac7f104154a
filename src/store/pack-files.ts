import { type Block, MAX_BLOCK_BYTES, matches } from '../core/blocks.ts'
import type { Logger } from '../core/log.ts'
import {
  CAR_HEADER,
  type Location,
  MARKER_BYTES,
  markerBlock,
  markerEnd,
  markersIn,
  type Position,
  parseSection,
  sectionHead
} from './car.ts'
import type { Disk } from './disk.ts'
import { type Note, noteOf } from './notes.ts'
import { isBlockCid } from './rows.ts'

export const PACKS_FOLDER = 'repository/packs'
/** How much is written at once. A torn write is never longer. */
export const BATCH_BYTES = 8 * 1024 * 1024
const WINDOW_BYTES = 4 * 1024 * 1024
const PACK_NAME = /^(\d{8})\.car$/
const NEW_PACK_NAME = /^\d{8}\.car\.new$/

export const packPath = (pack: number): string => `${PACKS_FOLDER}/${String(pack).padStart(8, '0')}.car`

/** How every pack begins: the CAR header, and a marker that names the end of the pack before it. */
export function packStart(end: Position): Uint8Array[] {
  const marker = markerBlock(end)
  return [CAR_HEADER, sectionHead(marker), marker.bytes]
}

/** The first byte after that. */
export const PACK_START = packStart({ pack: 0, offset: 0 }).reduce((sum, part) => sum + part.length, 0)

/** Where a pack is written anew, until it takes the old one's place. */
export const newPackPath = (pack: number): string => `${packPath(pack)}.new`

/** The numbers of the packs, rising. */
export async function listPacks(disk: Disk): Promise<number[]> {
  const names = await disk.list(PACKS_FOLDER)
  return names.flatMap((name) => PACK_NAME.exec(name)?.[1] ?? []).map(Number)
}

export type PackItem =
  | {
      readonly kind: 'block'
      readonly start: number
      readonly block: Block
      readonly location: Location
      /** Do the bytes match the name? */
      readonly valid: boolean
    }
  /** All that comes before was durable when this was written. */
  | { readonly kind: 'marker'; readonly start: number }
  | { readonly kind: 'note'; readonly start: number; readonly note: Note }
  /** From here on sections cannot be told apart, up to the next marker. */
  | { readonly kind: 'broken'; readonly start: number }

/** What a pack holds from the section at `from` on, in order, up to `until`. */
export async function* readPack(disk: Disk, pack: number, from: number, until: number): AsyncGenerator<PackItem> {
  let base = from
  let bytes: Uint8Array = new Uint8Array(0)
  let offset = 0
  while (base + offset < until) {
    const parsed = parseSection(bytes, offset)
    const start = base + offset
    if (parsed.kind === 'short') {
      const more = await disk.read(packPath(pack), start, Math.min(WINDOW_BYTES, until - start))
      const stuck = more.length <= bytes.length - offset
      base = start
      bytes = more
      offset = 0
      if (!stuck) continue
    }
    if (parsed.kind === 'section') {
      yield item(pack, base, start, parsed)
      offset = parsed.end
    } else {
      yield { kind: 'broken', start }
      base = await nextMarker(disk, pack, start + 1, until)
      bytes = new Uint8Array(0)
      offset = 0
    }
  }
}

/** Where the next marker begins that names its own place, as no content can; `until` where there is none. */
async function nextMarker(disk: Disk, pack: number, from: number, until: number): Promise<number> {
  for (let base = from; base < until; base += WINDOW_BYTES) {
    const bytes = await disk.read(packPath(pack), base, Math.min(WINDOW_BYTES + MARKER_BYTES, until - base))
    for (const offset of markersIn(bytes)) {
      const parsed = parseSection(bytes, offset)
      const end = parsed.kind === 'section' ? markerEnd(parsed.block) : null
      if (end?.pack === pack && end.offset === base + offset) return base + offset
    }
  }
  return until
}

function item(pack: number, base: number, start: number, parsed: { block: Block; dataOffset: number }): PackItem {
  const { block, dataOffset } = parsed
  const end = markerEnd(block)
  if (end !== null && end.pack === pack && end.offset === start) return { kind: 'marker', start }
  const note = noteOf(block)
  if (note !== null) return { kind: 'note', start, note }
  const location = { pack, offset: base + dataOffset, length: block.bytes.length }
  const valid = block.bytes.length <= MAX_BLOCK_BYTES && isBlockCid(block.cid) && matches(block)
  return { kind: 'block', start, block, location, valid }
}

/** Is a marker the last section before this place? */
export async function endsWithMarker(disk: Disk, { pack, offset }: Position): Promise<boolean> {
  if (offset <= PACK_START) return true
  const start = offset - MARKER_BYTES
  for await (const { kind } of readPack(disk, pack, start, offset)) return kind === 'marker'
  return false
}

/** Where the valid part of a pack ends: at its size, or where the pack after it says that it does. */
export async function packEnd(disk: Disk, pack: number, next: number | undefined): Promise<number> {
  const size = (await disk.size(packPath(pack))) ?? 0
  const named = next === undefined ? null : await namedEnd(disk, next)
  return named?.pack === pack ? Math.min(size, named.offset) : size
}

/** The end of the pack before, as this one names it; null where it is not to be read. */
export async function namedEnd(disk: Disk, pack: number): Promise<Position | null> {
  const head = await disk.read(packPath(pack), 0, PACK_START)
  const parsed = parseSection(head, CAR_HEADER.length)
  return parsed.kind === 'section' ? markerEnd(parsed.block) : null
}

/**
 * Brings the end of the last pack in order after whatever stop: what was not proven durable and does not verify is cut
 * off, together with what follows it. Whatever may be more than a torn write is kept aside. On return the packs are
 * durable as they are.
 *
 * @param indexed up to where the index has seen durable sections; null where there is no index
 * @returns whether sections that the index knows were cut off: it must be built anew
 */
export async function mendPacks(disk: Disk, indexed: Position | null, log: Logger): Promise<{ lost: boolean }> {
  await disk.makeFolder(PACKS_FOLDER)
  for (const name of await disk.list(PACKS_FOLDER)) {
    if (NEW_PACK_NAME.test(name)) await disk.remove(`${PACKS_FOLDER}/${name}`)
  }
  const last = (await listPacks(disk)).at(-1)
  if (last === undefined) return { lost: indexed !== null && indexed.pack > 0 }
  if (await isUnborn(disk, last)) {
    await disk.remove(packPath(last))
    await disk.syncFolder(PACKS_FOLDER)
    const again = await mendPacks(disk, indexed, log)
    return { lost: again.lost || (indexed !== null && indexed.pack >= last) }
  }
  const lost = await mendTail(disk, last, indexed, log)
  await disk.sync(packPath(last))
  await disk.syncFolder(PACKS_FOLDER)
  return { lost }
}

/** A pack whose creation did not end holds nothing yet. */
async function isUnborn(disk: Disk, pack: number): Promise<boolean> {
  const size = (await disk.size(packPath(pack))) ?? 0
  if (size > PACK_START) return false
  const head = await disk.read(packPath(pack), 0, CAR_HEADER.length)
  return size < PACK_START || !Buffer.from(CAR_HEADER).equals(head) || (await namedEnd(disk, pack)) === null
}

async function mendTail(disk: Disk, pack: number, indexed: Position | null, log: Logger): Promise<boolean> {
  const size = (await disk.size(packPath(pack))) ?? 0
  const known = indexed?.pack === pack ? indexed.offset : PACK_START
  const lost = indexed !== null && (indexed.pack > pack || known > size)
  const cut = await tailEnd(disk, pack, lost ? PACK_START : known, size)
  if (cut === size) return lost
  log.warn({ pack, cutBytes: size - cut, offset: cut }, 'the end of the last pack was torn and is cut off')
  if (indexed === null || size - cut > BATCH_BYTES || lost) await keepAside(disk, pack, cut, size)
  await disk.truncate(packPath(pack), cut)
  return lost
}

async function tailEnd(disk: Disk, pack: number, from: number, size: number): Promise<number> {
  let damaged: number | null = null
  for await (const item of readPack(disk, pack, from, size)) {
    if (item.kind === 'marker') damaged = null
    else if (item.kind === 'broken' || (item.kind === 'block' && !item.valid)) damaged ??= item.start
  }
  return damaged ?? size
}

async function keepAside(disk: Disk, pack: number, from: number, to: number): Promise<void> {
  const path = `${packPath(pack)}.${from}.torn`
  await disk.remove(path)
  for (let offset = from; offset < to; offset += WINDOW_BYTES) {
    await disk.append(path, [await disk.read(packPath(pack), offset, Math.min(WINDOW_BYTES, to - offset))])
  }
  await disk.sync(path)
  await disk.syncFolder(PACKS_FOLDER)
}
