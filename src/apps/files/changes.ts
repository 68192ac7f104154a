import { chmod, mkdir, rename, unlink } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { copyTree } from './copy-tree.ts'
import {
  acknowledge,
  admit,
  commit,
  diskPath,
  type Exchange,
  requireConditions,
  requirePresence,
  requireUnlocked
} from './exchange.ts'
import { type FilePath, isBelow, parseTarget } from './path.ts'
import { Refusal } from './refusal.ts'
import type { Reply } from './reply.ts'
import { requireRoom, roomBelow } from './room.ts'
import { type Entry, type Found, lookup, lookupEntry } from './tree.ts'

const WHOLE = { membership: true, below: true }

export async function makeFolder(exchange: Exchange): Promise<Reply> {
  const { target, context } = exchange
  if (hasBody(exchange.request)) throw new Refusal(415, 'a folder is made without a body')
  await commit(exchange, async () => {
    const found = await lookup(context, target.path)
    if (found.kind !== 'absent') throw new Refusal(405, 'there is something of that name already')
    if (!found.parent) throw new Refusal(409, 'the folder that it should go into is missing')
    await admit(exchange, found, WHOLE)
    context.allowance.take(0)
    const path = diskPath(exchange, target.path)
    await mkdir(path)
    await chmod(path, 0o755)
  })
  await acknowledge(exchange, [target.path])
  return { status: 201 }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

export async function remove(exchange: Exchange): Promise<Reply> {
  const { target, context, remembered } = exchange
  if (target.path === '') throw new Refusal(403, 'the workspace itself cannot be removed')
  await commit(exchange, async () => {
    const entry = await lookupEntry(context, target.path)
    requireSlashFits(exchange, entry)
    if (entry.kind === 'folder') requireDepth(exchange, ['infinity'])
    await admit(exchange, entry, WHOLE)
    await takeAway(exchange, entry)
    remembered.locks.drop(target.path, true)
    remembered.properties.drop(target.path)
  })
  await acknowledge(exchange, [target.path])
  return { status: 204 }
}

async function takeAway(exchange: Exchange, entry: Entry): Promise<void> {
  const path = diskPath(exchange, entry.path)
  if (entry.kind !== 'folder') return unlink(path)
  const away = exchange.staging.place(exchange.context.staging)
  await rename(path, away)
  exchange.staging.discard(away)
}

export async function move(exchange: Exchange): Promise<Reply> {
  const { target, context, remembered, staging } = exchange
  const destination = destinationOf(exchange)
  const replaced = await commit(exchange, async () => {
    const source = await lookupEntry(context, target.path)
    requireSlashFits(exchange, source)
    if (source.kind === 'folder') requireDepth(exchange, ['infinity'])
    await admit(exchange, source, WHOLE)
    const found = await admitDestination(exchange, destination)
    await requirePathsFit(exchange, source, destination)
    const to = diskPath(exchange, destination)
    const kinds = { from: source.kind, to: found.kind }
    await staging.install(diskPath(exchange, target.path), to, kinds, context.staging)
    remembered.locks.drop(target.path, true)
    remembered.locks.drop(destination, false)
    remembered.properties.move(target.path, destination)
    return found.kind !== 'absent'
  })
  await acknowledge(exchange, [target.path, destination])
  return { status: replaced ? 204 : 201 }
}

export async function copy(exchange: Exchange): Promise<Reply> {
  const { target, context, remembered, staging, limits } = exchange
  const destination = destinationOf(exchange)
  const source = await lookupEntry(context, target.path)
  requireSlashFits(exchange, source)
  const shallow = requireDepth(exchange, ['0', 'infinity']) === '0'
  await requireConditions(exchange, source)
  const replaceable = await admitDestination(exchange, destination)
  const staged = staging.place(context.staging)
  try {
    const take = copiedBytes(exchange, replaceable)
    const check = (bytes: number): void => {
      requirePresence(exchange)
      take(bytes)
    }
    const room = roomBelow(destination)
    const bounds = { shallow, entriesMax: limits.copiedEntriesMax, room, check }
    await copyTree(diskPath(exchange, target.path), staged, bounds)
    const replaced = await commit(exchange, async () => {
      const found = await admitDestination(exchange, destination)
      const kinds = { from: source.kind, to: found.kind }
      await staging.install(staged, diskPath(exchange, destination), kinds, context.staging)
      remembered.locks.drop(destination, false)
      remembered.properties.copy(target.path, destination)
      return found.kind !== 'absent'
    })
    await acknowledge(exchange, [destination])
    return { status: replaced ? 204 : 201 }
  } catch (error) {
    staging.discard(staged)
    throw error
  }
}

/** Counts what a copy adds: a file that is replaced makes room for its own size. */
function copiedBytes({ context }: Exchange, replaced: Found): (bytes: number) => void {
  let spare = replaced.kind === 'file' ? replaced.sizeBytes : 0
  if (replaced.kind === 'absent') context.allowance.take(0)
  return (bytes) => {
    const freed = Math.min(spare, bytes)
    spare -= freed
    if (bytes > freed) context.allowance.take(bytes - freed)
  }
}

/** What a folder holds gets longer paths where the folder does. @throws Refusal 414 */
async function requirePathsFit(exchange: Exchange, source: Entry, destination: FilePath): Promise<void> {
  const [before, after] = [roomBelow(source.path), roomBelow(destination)]
  const tighter = after.bytes < before.bytes || after.names < before.names
  if (source.kind === 'folder' && tighter) await requireRoom(Buffer.from(diskPath(exchange, source.path)), after)
}

/** A file is not addressed with a slash at its end. */
function requireSlashFits({ target }: Exchange, entry: Entry): void {
  if (target.slash && entry.kind !== 'folder') throw new Refusal(404, 'there is no such folder')
}

function requireDepth({ request }: Exchange, allowed: readonly string[]): string {
  const depth = String(request.headers.depth ?? 'infinity').toLowerCase()
  if (!allowed.includes(depth)) throw new Refusal(400, `the Depth header must be ${allowed.join(' or ')} here`)
  return depth
}

/**
 * The path that a COPY or MOVE leads to.
 *
 * @throws Refusal 400 where it is missing or no path, 403 where it is the source, above it or below it, 502 where it is
 *   on another server
 */
function destinationOf({ request, context, target }: Exchange): FilePath {
  const header = request.headers.destination
  if (typeof header !== 'string') throw new Refusal(400, 'the Destination header is missing')
  const host = /^https?:\/\/([^/?#]*)/i.exec(header)?.[1]
  const hosts = [request.headers.host, request.headers['x-forwarded-host']].map((name) => String(name).toLowerCase())
  if (host === undefined ? !header.startsWith('/') : !hosts.includes(host.toLowerCase())) {
    throw new Refusal(502, 'the destination is on another server')
  }
  const { path } = parseTarget(header, context.base)
  if (target.path === '' || path === '') throw new Refusal(403, 'the workspace itself stays where it is')
  if (path === target.path || isBelow(path, target.path) || isBelow(target.path, path)) {
    throw new Refusal(403, 'source and destination must not lie in each other')
  }
  return path
}

/** What is at the destination now, where it may be made or replaced. */
async function admitDestination(exchange: Exchange, destination: FilePath): Promise<Found> {
  const found = await lookup(exchange.context, destination)
  if (found.kind === 'absent' && !found.parent) throw new Refusal(409, 'the folder that it should go into is missing')
  if (found.kind !== 'absent' && String(exchange.request.headers.overwrite).toUpperCase() === 'F') {
    throw new Refusal(412, 'there is something of that name at the destination already')
  }
  requireUnlocked(exchange, destination, { membership: found.kind === 'absent', below: true })
  return found
}
