import { closeSync, constants, fstatSync, openSync, read as readPiece, type Stats } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { type ByteRange, isUnchanged, rangeOf } from './conditions.ts'
import { drained } from './drained.ts'
import { diskPath, type Exchange, requireIf } from './exchange.ts'
import { listFolder } from './listing.ts'
import { mediaTypeOf } from './media-types.ts'
import { nameOf } from './path.ts'
import { Refusal } from './refusal.ts'
import { COMMON_HEADERS, type Reply, textReply } from './reply.ts'
import { type Entry, entryOf, lookupEntry } from './tree.ts'

/** Whatever a user has uploaded may be looked at, and can do nothing. */
const SANDBOX =
  "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data: 'self'; media-src 'self'; frame-ancestors 'self'"

/** Files up to this size are sent from memory: fewer system calls. */
const SMALL_BYTES = 64 * 1024
const PIECE_BYTES = 256 * 1024

/** GET and HEAD. Null: the answer was sent already. */
export async function read(exchange: Exchange): Promise<Reply | null> {
  const { context, target, request } = exchange
  const entry = await lookupEntry(context, target.path)
  if (entry.kind === 'link') throw new Refusal(403, 'this is a link; links are not followed')
  if (entry.kind === 'other') throw new Refusal(403, 'this is not a plain file')
  await requireIf(exchange)
  if (entry.kind === 'folder') return listFolder(exchange, entry)
  if (target.slash) throw new Refusal(404, 'there is no such folder')
  using file = new PlainFile(diskPath(exchange, target.path))
  const opened = entryOf(target.path, file.stat())
  if (opened.kind !== 'file') throw new Refusal(403, 'this is not a plain file')
  if (isUnchanged(request.headers, opened, true)) return { status: 304, headers: validators(opened) }
  // Awaited here, so that the file stays open until all of it is sent.
  return await readFile(exchange, file, opened)
}

const readAt = promisify(readPiece)

/**
 * An open file. The kernel knows it already, since it was looked up a moment ago: to ask a thread for opening and closing would
 * cost more than they do. What is in it may have to come from the disk.
 */
class PlainFile implements Disposable {
  readonly #fd: number

  /** Never follows a link, and does not wait for the other end of a pipe. */
  constructor(path: string) {
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  }

  stat(): Stats {
    return fstatSync(this.#fd)
  }

  /** How many bytes were read; 0 at the end. */
  async read(into: Buffer, position: number): Promise<number> {
    return (await readAt(this.#fd, into, 0, into.length, position)).bytesRead
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}

const validators = (file: Entry): Record<string, string> => ({
  ETag: file.etag,
  'Last-Modified': new Date(file.modifiedMs).toUTCString()
})

async function readFile({ request, response }: Exchange, file: PlainFile, entry: Entry): Promise<Reply | null> {
  const size = entry.sizeBytes
  const range = rangeOrReply(request.headers, entry)
  if (range !== null && 'status' in range) return range
  const start = range?.start ?? 0
  const length = range === null ? size : range.end - range.start + 1
  const headers = {
    ...validators(entry),
    'Content-Type': mediaTypeOf(nameOf(entry.path)),
    'Content-Security-Policy': SANDBOX,
    'Accept-Ranges': 'bytes',
    ...(range === null ? {} : { 'Content-Range': `bytes ${range.start}-${range.end}/${size}` })
  }
  const status = range === null ? 200 : 206
  if (request.method !== 'HEAD' && length <= SMALL_BYTES) {
    return { status, headers, body: await readSmall(file, start, length) }
  }
  response.writeHead(status, { ...COMMON_HEADERS, ...headers, 'Content-Length': length })
  if (request.method === 'HEAD') response.end()
  else await stream(response, file, start, length)
  return null
}

function rangeOrReply(headers: Exchange['request']['headers'], entry: Entry): ByteRange | Reply | null {
  try {
    return rangeOf(headers, entry.etag, entry.modifiedMs, entry.sizeBytes)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return textReply(416, error.message, { 'Content-Range': `bytes */${entry.sizeBytes}` })
  }
}

async function readSmall(file: PlainFile, start: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length)
  let filled = 0
  while (filled < length) {
    const bytesRead = await file.read(buffer.subarray(filled), start + filled)
    if (bytesRead === 0) throw new Refusal(503, 'the file was changed meanwhile; try again')
    filled += bytesRead
  }
  return buffer
}

async function stream(response: ServerResponse, file: PlainFile, start: number, length: number): Promise<void> {
  for (let sent = 0; sent < length; ) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, length - sent))
    const bytesRead = await file.read(piece, start + sent)
    // A file that was cut short meanwhile: the client must notice that this is not all of it.
    if (bytesRead === 0 || response.destroyed) {
      response.destroy()
      return
    }
    sent += bytesRead
    if (!response.write(piece.subarray(0, bytesRead))) await drained(response)
  }
  response.end()
}
