import type { CID } from 'multiformats/cid'
import { NodeDaemonError } from '../core/errors.ts'
import { malformed } from './dag-pb.ts'
import { type Load, leaves, loadNode } from './file.ts'
import { listFolder } from './folder.ts'
import type { Metadata } from './metadata.ts'

const BLOCK = 512
const NAME_MAX = 100
/** Larger numbers than octal digits can say go into an extended header (POSIX.1-2001, pax). */
const SIZE_MAX = 8 ** 11 - 1
/** Deeper than a workspace can be. */
const DEPTH_MAX = 300
/** Small parts travel together: pieces have about this size. */
const PIECE_BYTES = 256 * 1024

type Kind = 'file' | 'folder' | 'link'
const TYPE: Readonly<Record<Kind, string>> = { file: '0', link: '2', folder: '5' }

interface Member {
  readonly path: string
  readonly kind: Kind
  readonly size: number
  readonly metadata: Metadata
  readonly target: string
}

/**
 * What a folder holds as a tar archive (POSIX pax): files, folders and links with their modes and times, below `prefix`. Memory
 * does not grow with it.
 *
 * @throws NodeDaemonError `INTEGRITY` for a tree that is none; also what `load` throws. What was given out is no whole archive
 */
export async function* tarOf(root: CID, prefix: string, load: Load): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of folder(root, `${prefix}/`, load, 0)) {
    parts.push(part)
    bytes += part.length
    if (bytes < PIECE_BYTES) continue
    yield Buffer.concat(parts)
    parts = []
    bytes = 0
  }
  yield Buffer.concat([...parts, new Uint8Array(2 * BLOCK)])
}

async function* folder(cid: CID, path: string, load: Load, depth: number): AsyncGenerator<Uint8Array> {
  if (depth > DEPTH_MAX) throw malformed(cid, 'it is nested too deeply')
  const node = await loadNode(cid, load)
  if (node.kind !== 'folder' && node.kind !== 'shard') throw malformed(cid, 'it is not a folder')
  yield* header({ path, kind: 'folder', size: 0, metadata: node.metadata ?? unknown(0o755), target: '' })
  for await (const entry of listFolder(cid, load)) {
    const below = `${path}${entry.name}`
    const child = await loadNode(entry.cid, load)
    if (child.kind === 'folder' || child.kind === 'shard') yield* folder(entry.cid, `${below}/`, load, depth + 1)
    else if (child.kind === 'link') {
      const { metadata, target } = child
      yield* header({ path: below, kind: 'link', size: 0, metadata, target })
    } else if (child.kind === 'file') {
      yield* header({
        path: below,
        kind: 'file',
        size: child.size,
        metadata: child.metadata ?? unknown(0o644),
        target: ''
      })
      yield* content(entry.cid, child.size, load)
    } else throw malformed(entry.cid, 'it is neither a file nor a folder nor a link')
  }
}

async function* content(cid: CID, size: number, load: Load): AsyncGenerator<Uint8Array> {
  let given = 0
  for await (const leaf of leaves(cid, load)) {
    const bytes = await load(leaf.cid)
    given += bytes.length
    if (bytes.length !== leaf.size) break
    yield bytes
  }
  // A header that says another size would make everything after it unreadable.
  if (given !== size) throw new NodeDaemonError('INTEGRITY', `${cid} does not have the size that it says`)
  const over = size % BLOCK
  if (over > 0) yield new Uint8Array(BLOCK - over)
}

function* header(member: Member): Generator<Uint8Array> {
  const records = extended(member)
  if (records.length > 0) {
    const bytes = Buffer.concat(records)
    const padded = Buffer.alloc(Math.ceil(bytes.length / BLOCK) * BLOCK)
    bytes.copy(padded)
    yield block({ ...member, path: 'pax', target: '' }, 'x', bytes.length)
    yield padded
  }
  yield block(member, TYPE[member.kind], member.size)
}

/** What the plain header cannot say. */
function extended({ path, size, target, metadata }: Member): Buffer[] {
  const { secs, nsecs } = metadata.mtime
  const all: [string, string | null][] = [
    ['path', isPlain(path) ? null : path],
    ['linkpath', isPlain(target) ? null : target],
    ['size', size > SIZE_MAX ? String(size) : null],
    ['mtime', nsecs === 0 && isOctal(secs) ? null : timeText(secs, nsecs)]
  ]
  return all.flatMap(([key, value]) => (value === null ? [] : [record(key, value)]))
}

/** A line that begins with its own length in bytes. */
function record(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + String(rest).length
  if (String(length).length > String(rest).length) length = rest + String(length).length
  return Buffer.from(`${length} ${key}=${value}\n`)
}

function timeText(secs: bigint, nsecs: number): string {
  if (nsecs === 0) return String(secs)
  const micros = secs * 1_000_000n + BigInt(nsecs / 1000)
  const absolute = micros < 0n ? -micros : micros
  const fraction = String(absolute % 1_000_000n).padStart(6, '0')
  return `${micros < 0n ? '-' : ''}${absolute / 1_000_000n}.${fraction}`
}

const isPlain = (text: string): boolean => text.length <= NAME_MAX && /^[\x20-\x7e]*$/.test(text)
const isOctal = (value: bigint): boolean => value >= 0n && value <= BigInt(SIZE_MAX)
const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`

function block({ path, target, metadata }: Member, type: string, size: number): Buffer {
  const bytes = Buffer.alloc(BLOCK)
  const secs = isOctal(metadata.mtime.secs) ? Number(metadata.mtime.secs) : 0
  bytes.write(path.slice(0, NAME_MAX), 0, NAME_MAX, 'utf8')
  bytes.write(octal(metadata.mode & 0o7777, 7), 100, 'latin1')
  bytes.write(octal(0, 7), 108, 'latin1')
  bytes.write(octal(0, 7), 116, 'latin1')
  bytes.write(octal(Math.min(size, SIZE_MAX), 11), 124, 'latin1')
  bytes.write(octal(secs, 11), 136, 'latin1')
  bytes.write('        ', 148, 'latin1')
  bytes.write(type, 156, 'latin1')
  bytes.write(target.slice(0, NAME_MAX), 157, NAME_MAX, 'utf8')
  bytes.write('ustar\u000000', 257, 'latin1')
  const sum = bytes.reduce((all, byte) => all + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return bytes
}

const unknown = (mode: number): Metadata => ({ mode, mtime: { secs: 0n, nsecs: 0 } })
