import type { CID } from 'multiformats/cid'
import { malformed } from './dag-pb.ts'
import { shardNode } from './encode.ts'
import { type BlockSink, keep, type Load, loadNode } from './file.ts'
import { MAX_DEPTH, pathOf } from './hamt.ts'
import type { Metadata } from './metadata.ts'
import type { Entry, ShardLink, ShardNode } from './nodes.ts'

/** A name and the slots that lead to it. */
export interface Place {
  readonly name: string
  readonly path: Uint8Array
}

/** An entry in its place. */
export interface Placed extends Place {
  readonly entry: Entry
}

/** What shall stand in a place: an entry, or nothing. */
export interface Change extends Place {
  readonly entry: Entry | null
}

/** `entries` holds one entry, or, on the last level, all that have the same hash. `open` is in memory and not yet kept. */
type Slot =
  | { readonly kind: 'entries'; readonly entries: readonly Placed[] }
  | { readonly kind: 'kept'; readonly cid: CID; readonly totalBytes: number }
  | { readonly kind: 'open'; readonly slots: Slots }

/** The used slots of one shard. */
export type Slots = Map<number, Slot>

export const placeOf = async (name: string): Promise<Place> => ({ name, path: await pathOf(name) })

const indexOf = ({ path }: Place, depth: number): number => path[depth] ?? 0

/** The shard that holds these entries at this depth. */
export function slotsOf(placed: readonly Placed[], depth: number): Slots {
  const groups = Map.groupBy(placed, (item) => indexOf(item, depth))
  return new Map([...groups].map(([index, group]) => [index, slotOf(group, depth)]))
}

function slotOf(group: readonly Placed[], depth: number): Slot {
  if (group.length === 1 || depth + 1 === MAX_DEPTH) return { kind: 'entries', entries: group }
  return { kind: 'open', slots: slotsOf(group, depth + 1) }
}

/**
 * Reads the shard to which the slots of `prefix` lead. Each entry must stand where its name belongs: no name can then
 * occur twice in a folder, and no small set of blocks can pose as an endless one.
 */
export async function readSlots(cid: CID, prefix: readonly number[], load: Load): Promise<Slots> {
  const node = await loadNode(cid, load)
  if (node.kind !== 'shard') throw malformed(cid, 'it is not a shard of a folder')
  return slotsOfNode(cid, node, prefix)
}

export async function slotsOfNode(cid: CID, node: ShardNode, prefix: readonly number[]): Promise<Slots> {
  checkLevel(cid, node, prefix.length)
  const slots: Slots = new Map()
  const entries: Placed[] = []
  for (const { index, name, cid: target, totalBytes } of node.links) {
    if (name === null) {
      slots.set(index, { kind: 'kept', cid: target, totalBytes })
      continue
    }
    const placed = { ...(await placeOf(name)), entry: { name, cid: target, totalBytes } }
    if ([...prefix, index].some((slot, depth) => slot !== indexOf(placed, depth))) {
      throw malformed(cid, 'an entry does not stand where its name belongs')
    }
    entries.push(placed)
  }
  for (const [index, group] of Map.groupBy(entries, (entry) => indexOf(entry, prefix.length))) {
    slots.set(index, { kind: 'entries', entries: group })
  }
  return slots
}

/** Only the root has metadata, a lower shard has at least two entries, and the hash bounds the depth. */
function checkLevel(cid: CID, node: ShardNode, depth: number): void {
  if ((node.metadata === null) !== depth > 0) throw malformed(cid, 'it is a shard of another level')
  const last = depth + 1 === MAX_DEPTH
  if (depth > 0 && node.links.length === 1 && node.links[0]?.name !== null) {
    throw malformed(cid, 'a shard has a single entry')
  }
  const slots = new Set(node.links.map(({ index }) => index)).size
  if (last ? node.links.some(({ name }) => name === null) : slots < node.links.length) {
    throw malformed(cid, last ? 'it is too deep' : 'two entries share a slot')
  }
}

/** Applies changes in place, reading only the shards that lead to them. */
export async function edit(
  slots: Slots,
  prefix: readonly number[],
  changes: readonly Change[],
  load: Load
): Promise<void> {
  for (const [index, group] of Map.groupBy(changes, (change) => indexOf(change, prefix.length))) {
    const slot = await edited(slots.get(index), [...prefix, index], group, load)
    if (slot === null) slots.delete(index)
    else slots.set(index, slot)
  }
}

async function edited(
  slot: Slot | undefined,
  prefix: readonly number[],
  changes: readonly Change[],
  load: Load
): Promise<Slot | null> {
  if (slot === undefined || slot.kind === 'entries') {
    const entries = new Map(slot?.entries.map((placed) => [placed.name, placed]))
    for (const { name, path, entry } of changes) {
      if (entry === null) entries.delete(name)
      else entries.set(name, { name, path, entry })
    }
    return entries.size === 0 ? null : slotOf([...entries.values()], prefix.length - 1)
  }
  const inner = slot.kind === 'open' ? slot.slots : await readSlots(slot.cid, prefix, load)
  await edit(inner, prefix, changes, load)
  return collapsed(inner)
}

/** A shard that is left with one entry gives way to it. */
function collapsed(slots: Slots): Slot | null {
  const [only] = slots.values()
  if (only === undefined) return null
  return slots.size === 1 && only.kind === 'entries' && only.entries.length === 1 ? only : { kind: 'open', slots }
}

/** Makes the nodes of everything that is open, the lowest first. */
export async function write(
  slots: Slots,
  metadata: Metadata | null,
  sink: BlockSink
): Promise<{ cid: CID; totalBytes: number }> {
  const links: ShardLink[] = []
  for (const [index, slot] of slots) {
    if (slot.kind === 'entries') links.push(...slot.entries.map(({ entry }) => ({ index, ...entry })))
    else if (slot.kind === 'kept') links.push({ index, name: null, cid: slot.cid, totalBytes: slot.totalBytes })
    else links.push({ index, name: null, ...(await write(slot.slots, null, sink)) })
  }
  return keep(shardNode(links, metadata), sink)
}

/** All entries at and below a shard. */
export async function* entriesOf(slots: Slots, prefix: readonly number[], load: Load): AsyncGenerator<Entry> {
  for (const [index, slot] of slots) {
    if (slot.kind === 'entries') {
      for (const { entry } of slot.entries) yield entry
    } else {
      const path = [...prefix, index]
      const inner = slot.kind === 'open' ? slot.slots : await readSlots(slot.cid, path, load)
      yield* entriesOf(inner, path, load)
    }
  }
}

/** The entry in this place, along the one path that leads to it. */
export async function find(root: CID, node: ShardNode, { name, path }: Place, load: Load): Promise<Entry | null> {
  let cid = root
  let shard = node
  for (let depth = 0; ; depth++) {
    checkLevel(cid, shard, depth)
    const there = shard.links.filter(({ index }) => index === path[depth])
    const [next] = there
    if (next === undefined) return null
    if (next.name !== null) {
      const found = there.find((link) => link.name === name)
      return found === undefined ? null : { name, cid: found.cid, totalBytes: found.totalBytes }
    }
    cid = next.cid
    const below = await loadNode(cid, load)
    if (below.kind !== 'shard') throw malformed(cid, 'it is not a shard of a folder')
    shard = below
  }
}

/**
 * All entries where they weigh at most `limit`, else null. Reads only as many shards as it takes to know: every shard
 * below the root has at least two entries, and none weighs less than `least`.
 */
export async function entriesWithin(
  root: Slots,
  limit: number,
  weigh: (entry: Entry) => number,
  least: number,
  load: Load
): Promise<Entry[] | null> {
  const entries: Entry[] = []
  const unread: { readonly cid: CID; readonly prefix: readonly number[] }[] = []
  let weight = 0
  const count = (slots: Slots, prefix: readonly number[]): void => {
    for (const [index, slot] of slots) {
      const path = [...prefix, index]
      if (slot.kind === 'open') {
        count(slot.slots, path)
      } else if (slot.kind === 'kept') {
        unread.push({ cid: slot.cid, prefix: path })
        weight += 2 * least
      } else {
        entries.push(...slot.entries.map(({ entry }) => entry))
        weight += slot.entries.reduce((sum, { entry }) => sum + weigh(entry), 0)
      }
    }
  }
  count(root, [])
  for (let next = unread.shift(); next !== undefined && weight <= limit; next = unread.shift()) {
    weight -= 2 * least
    count(await readSlots(next.cid, next.prefix, load), next.prefix)
  }
  return weight <= limit ? entries : null
}
