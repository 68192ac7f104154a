import { constants, type Stats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { acknowledge, admit, commit, diskPath, type Exchange } from './exchange.ts'
import { Refusal } from './refusal.ts'
import type { Reply } from './reply.ts'
import { type Entry, entryOf, type Found, lookup } from './tree.ts'

const NEW_FILE_MODE = 0o644
const SECONDS = /^\d{1,11}(?:\.\d{1,9})?$/

/** Makes or replaces a file. Nothing of it is seen before all of it has arrived. */
export async function put(exchange: Exchange): Promise<Reply> {
  const { request, response, context, target, staging } = exchange
  requirePlainBody(exchange)
  const before = await admitPut(exchange)
  const grow = growth(exchange, before)
  if (context.expectsContinue) response.writeContinue()
  const clientTime = clientTimeOf(request)
  const staged = staging.place(context.staging)
  const mode = before.kind === 'file' ? before.mode : NEW_FILE_MODE
  try {
    const file = await receive(request, staged, { mode, seconds: clientTime ?? exchange.stamps.next(), grow })
    const replaced = await commit(exchange, async () => {
      const found = await admitPut(exchange)
      const kinds = { from: 'file', to: found.kind } as const
      await staging.install(staged, diskPath(exchange, target.path), kinds, context.staging)
      return found.kind !== 'absent'
    })
    await acknowledge(exchange, [target.path])
    return putReply(replaced, entryOf(target.path, file), clientTime !== null)
  } catch (error) {
    staging.discard(staged)
    throw error
  }
}

function requirePlainBody({ request, target }: Exchange): void {
  const encoding = request.headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity') throw new Refusal(415, 'send files without Content-Encoding')
  if (request.headers['content-range'] !== undefined) throw new Refusal(400, 'send files as a whole')
  if (target.slash) throw new Refusal(target.path === '' ? 405 : 409, 'this is the name of a folder, not of a file')
}

async function admitPut(exchange: Exchange): Promise<Found> {
  const found = await lookup(exchange.context, exchange.target.path)
  if (found.kind === 'absent' && !found.parent) throw new Refusal(409, 'the folder that it should go into is missing')
  if (found.kind === 'folder') throw new Refusal(405, 'there is a folder of that name')
  if (found.kind === 'link') throw new Refusal(403, 'this is a link; links are not followed')
  if (found.kind === 'other') throw new Refusal(403, 'this is not a plain file')
  await admit(exchange, found, { membership: found.kind === 'absent', below: false })
  return found
}

/** The time that sync clients give with `X-OC-Mtime`, in seconds. */
function clientTimeOf(request: IncomingMessage): number | null {
  const value = String(request.headers['x-oc-mtime'] ?? '')
  return SECONDS.test(value) ? Number(value) : null
}

/**
 * Counts what an upload adds to the workspace: what is announced at once, before anything is read; the rest as it comes. A
 * file that is replaced makes room for its own size.
 *
 * @throws NodeDaemonError `NO_SPACE`
 */
function growth({ context, request }: Exchange, before: Found): (arrivedBytes: number) => void {
  const spare = before.kind === 'file' ? before.sizeBytes : 0
  let taken = 0
  const grow = (totalBytes: number): void => {
    const wanted = totalBytes - spare - taken
    if (wanted <= 0) return
    context.allowance.take(wanted)
    taken += wanted
  }
  if (before.kind === 'absent') context.allowance.take(0)
  grow(Number(request.headers['content-length'] ?? 0))
  return grow
}

interface Receiving {
  readonly mode: number
  /** The time of last change. */
  readonly seconds: number
  /** Told of all that has arrived; throws to give up. */
  readonly grow: (arrivedBytes: number) => void
}

async function receive(request: IncomingMessage, path: string, { mode, seconds, grow }: Receiving): Promise<Stats> {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants
  await using file = await open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, mode)
  let bytes = 0
  // The connection stays open where the disk fails, to say so.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    grow(bytes + chunk.length)
    await writeAll(file, chunk)
    bytes += chunk.length
  }
  const expected = request.headers['content-length']
  if (!request.complete || (expected !== undefined && Number(expected) !== bytes)) {
    throw new Refusal(400, 'the upload was cut short')
  }
  await file.utimes(seconds, seconds)
  const stats = await file.stat()
  if (stats.size !== bytes) throw new Refusal(507, 'there is no room left on the disk; nothing was changed')
  if ((stats.mode & 0o777) !== mode) await file.chmod(mode)
  return stats
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let offset = 0; offset < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, offset, chunk.length - offset)
    if (bytesWritten === 0) throw new Refusal(507, 'there is no room left on the disk; nothing was changed')
    offset += bytesWritten
  }
}

function putReply(replaced: boolean, file: Entry, timeAccepted: boolean): Reply {
  const headers = {
    ETag: file.etag,
    'Last-Modified': new Date(file.modifiedMs).toUTCString(),
    ...(timeAccepted ? { 'X-OC-Mtime': 'accepted' } : {})
  }
  return { status: replaced ? 204 : 201, headers }
}
