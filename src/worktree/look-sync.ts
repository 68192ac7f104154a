import { hash } from 'node:crypto'
import { join } from 'node:path'
import { BoundaryFinder } from '../content/chunker.ts'
import { isDenied, isGone } from './disk.ts'
import { DENIED, type Facts, FactsList, factsOf, GONE } from './facts.ts'
import type { LookFiles } from './file-system.ts'
import { fingerprintOf, sameFingerprint } from './fingerprint.ts'
import { decodeName } from './paths.ts'
import type { Beginning, FileRead, Listing, ReadRequest } from './reader.ts'

/** Some leaves of a file: their bytes one after another, and the SHA-256 of each. */
export interface Slab {
  readonly bytes: Uint8Array
  readonly lengths: readonly number[]
  readonly hashes: Uint8Array
}

/** Gives memory that nobody else writes to. */
export type Allocate = (bytes: number) => Uint8Array

export const SLAB_BYTES = 1024 * 1024
export const HASH_BYTES = 32

/** See `FileReader.begin`. */
export function beginSync(files: LookFiles, folder: string, stamp: string, paths: readonly string[]): Beginning {
  const begunNs = touchedNs(files, stamp)
  const real = unlessGone(() => files.realpath(folder))
  const facts = FactsList.ofLength(paths.length)
  for (const [index, path] of paths.entries()) facts.set(index, lookSync(files, join(real ?? folder, path)))
  return { folder: real, begunNs, facts }
}

function touchedNs(files: LookFiles, stamp: string): bigint | null {
  return unlessGone(() => {
    files.touch(stamp)
    return files.lstat(stamp)?.ctimeNs ?? null
  })
}

function lookSync(files: LookFiles, path: string): Facts {
  try {
    const stats = files.lstat(path)
    return stats === null ? GONE : factsOf(stats)
  } catch (error) {
    if (isGone(error)) return GONE
    if (isDenied(error)) return DENIED
    throw error
  }
}

/** See `FileReader.list`. */
export function listSync(files: LookFiles, folder: string): Listing | null {
  const listed = unlessGone(() => namesIn(files, folder))
  if (listed === null) return null
  const facts = FactsList.ofLength(listed.names.length)
  for (const [index, name] of listed.names.entries()) facts.set(index, lookSync(files, `${folder}/${name}`))
  return { ...listed, facts }
}

function namesIn(files: LookFiles, folder: string): { readonly names: string[]; readonly unnamed: string[] } {
  const texts = files.names(folder)
  // Only where a name may have been read wrongly are the bytes of all of them looked at.
  if (!texts.some((text) => text.includes('\ufffd'))) return { names: texts, unnamed: [] }
  const names: string[] = []
  const unnamed: string[] = []
  for (const bytes of files.bytesOfNames(folder)) {
    const name = decodeName(bytes)
    if (name === null) unnamed.push(bytes.toString())
    else names.push(name)
  }
  return { names, unnamed }
}

/** See `FileReader.read`: gives the slabs of the file as it reads on, and at last how it was read. */
export function* readSyncFrom(
  files: LookFiles,
  { folder, path }: Omit<ReadRequest, 'sizeHint'>,
  allocate: Allocate
): Generator<Slab, FileRead | null> {
  const descriptor = unlessGone(() => files.open(path))
  if (descriptor === null) return null
  try {
    const before = files.stat(descriptor)
    if (!before.isFile() || !liesIn(files, folder, descriptor)) return null
    const fingerprint = fingerprintOf(before)
    const size = yield* slabs(files, descriptor, fingerprint.size, allocate)
    const after = fingerprintOf(files.stat(descriptor))
    const there = unlessGone(() => files.lstat(path))
    const steady = size === fingerprint.size && sameFingerprint(fingerprint, after) && there?.ino === before.ino
    return { fingerprint, size, steady }
  } finally {
    files.close(descriptor)
  }
}

/** Does the open file lie below the folder? Where the system cannot tell, yes. */
function liesIn(files: LookFiles, folder: string, descriptor: number): boolean {
  const path = files.pathOf(descriptor)
  return path === null || path.startsWith(`${folder}/`)
}

function* slabs(files: LookFiles, descriptor: number, size: number, allocate: Allocate): Generator<Slab, number> {
  const boundary = new BoundaryFinder()
  let bytes = allocate(Math.min(SLAB_BYTES, size))
  /** Bytes of a chunk that began in the slab before. */
  let open = 0
  let at = 0
  for (;;) {
    const filled = fill(files, descriptor, bytes, open, at)
    at += filled - open
    const isLast = filled < bytes.length || at === size
    const lengths = cut(boundary, bytes.subarray(0, filled), open, isLast)
    const cutBytes = lengths.reduce((sum, length) => sum + length, 0)
    const slab = slabOf(bytes.subarray(0, cutBytes), lengths)
    // Before the slab is given away: then its memory is no longer ours.
    open = filled - cutBytes
    const next = isLast ? bytes : allocate(Math.min(SLAB_BYTES, open + size - at))
    if (!isLast) next.set(bytes.subarray(cutBytes, filled))
    if (lengths.length > 0) yield slab
    if (isLast) return at
    bytes = next
  }
}

/** Reads until the buffer is full or the file ends. Says how far the buffer is filled. */
function fill(files: LookFiles, descriptor: number, bytes: Uint8Array, from: number, at: number): number {
  let filled = from
  while (filled < bytes.length) {
    const count = files.read(descriptor, bytes, filled, bytes.length - filled, at + filled - from)
    if (count === 0) break
    filled += count
  }
  return filled
}

/** The lengths of the chunks that end in these bytes, of which the first `seen` have been looked at. */
function cut(boundary: BoundaryFinder, bytes: Uint8Array, seen: number, isLast: boolean): number[] {
  const lengths: number[] = []
  let begin = 0
  let at = seen
  while (at < bytes.length) {
    const taken = boundary.next(bytes.subarray(at))
    if (taken === null) break
    at += taken
    lengths.push(at - begin)
    begin = at
  }
  if (isLast && begin < bytes.length) lengths.push(bytes.length - begin)
  return lengths
}

function slabOf(bytes: Uint8Array, lengths: readonly number[]): Slab {
  const hashes = new Uint8Array(lengths.length * HASH_BYTES)
  let at = 0
  for (const [index, length] of lengths.entries()) {
    hashes.set(hash('sha256', bytes.subarray(at, at + length), 'buffer'), index * HASH_BYTES)
    at += length
  }
  return { bytes, lengths, hashes }
}

function unlessGone<T>(work: () => T): T | null {
  try {
    return work()
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}
