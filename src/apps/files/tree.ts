import { isUtf8 } from 'node:buffer'
import { lstatSync, type Stats } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { AppRequestContext } from '../app.ts'
import { childOf, type FilePath } from './path.ts'
import { Refusal, systemCode } from './refusal.ts'

/** A link is listed, moved and removed as what it is, and never followed. `other`: pipes, sockets, devices. */
export type Kind = 'file' | 'folder' | 'link' | 'other'

export interface Entry {
  readonly path: FilePath
  readonly kind: Kind
  readonly sizeBytes: number
  readonly modifiedMs: number
  readonly createdMs: number
  /** Permission bits. */
  readonly mode: number
  /** Quoted, strong: changes with every change that goes through this app. */
  readonly etag: string
}

/** `parent` says whether it could be created there. */
export interface Absence {
  readonly path: FilePath
  readonly kind: 'absent'
  readonly parent: boolean
}

export type Found = Entry | Absence

type Place = Pick<AppRequestContext, 'workspace' | 'folder'>

const STATS_AT_ONCE = 32

/**
 * What lies at a path. Every component is looked at, so that no link leads out of the workspace. The kernel knows them
 * nearly always: to ask a thread for each would cost ten times as much as the answer.
 *
 * @throws Refusal 403 where a component above it is a link
 */
export async function lookup(place: Place, path: FilePath): Promise<Found> {
  if (place.workspace === null) return path === '' ? EMPTY_ROOT : { path, kind: 'absent', parent: !path.includes('/') }
  if (path === '') return entryOf('', lstatSync(place.folder))
  const names = path.split('/')
  let at = place.folder
  for (const name of names.slice(0, -1)) {
    at = join(at, name)
    const stats = seen(at)
    if (stats?.isSymbolicLink()) throw new Refusal(403, 'a part of this path is a link; links are not followed')
    if (!stats?.isDirectory()) return { path, kind: 'absent', parent: false }
  }
  const stats = seen(join(place.folder, path))
  return stats === null ? { path, kind: 'absent', parent: true } : entryOf(path, stats)
}

/** As `lookup`, where something must be there. */
export async function lookupEntry(place: Place, path: FilePath): Promise<Entry> {
  const found = await lookup(place, path)
  if (found.kind === 'absent') throw new Refusal(404, 'there is no such file or folder')
  return found
}

const EMPTY_ROOT: Entry = {
  path: '',
  kind: 'folder',
  sizeBytes: 0,
  modifiedMs: 0,
  createdMs: 0,
  mode: 0o755,
  etag: '"0-0"'
}

function seen(path: string): Stats | null {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) ?? null
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return null
    throw error
  }
}

async function lstatOrNull(path: string): Promise<Stats | null> {
  try {
    return await lstat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return null
    throw error
  }
}

export function entryOf(path: FilePath, stats: Stats): Entry {
  return {
    path,
    kind: kindOf(stats),
    sizeBytes: stats.size,
    modifiedMs: stats.mtimeMs,
    createdMs: stats.birthtimeMs || stats.mtimeMs,
    mode: stats.mode & 0o777,
    etag: etagOf(stats)
  }
}

export function kindOf(stats: Pick<Stats, 'isFile' | 'isDirectory' | 'isSymbolicLink'>): Kind {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'folder'
  return stats.isSymbolicLink() ? 'link' : 'other'
}

/**
 * From size and time to the microsecond, and not from the inode: a workspace that moves to another instance keeps both,
 * so that clients' copies stay valid and their `If-Match` holds. Uploads get times of their own (see `Stamps`).
 */
function etagOf(stats: Stats): string {
  return `"${stats.size.toString(36)}-${Math.round(stats.mtimeMs * 1000).toString(36)}"`
}

export interface Listing {
  readonly entries: readonly Entry[]
  /** There are more than were asked for. */
  readonly truncated: boolean
}

/** What a folder holds, in the order of names. Names that are not UTF-8 cannot be addressed and are left out. */
export async function list(place: Place, path: FilePath, entriesMax: number): Promise<Listing> {
  if (place.workspace === null) return { entries: [], truncated: false }
  const { names, truncated } = await namesIn(join(place.folder, path), entriesMax)
  const entries: Entry[] = []
  for (let start = 0; start < names.length; start += STATS_AT_ONCE) {
    const part = names.slice(start, start + STATS_AT_ONCE)
    const stats = await Promise.all(part.map((name) => lstatOrNull(join(place.folder, path, name))))
    part.forEach((name, index) => {
      const found = stats[index]
      if (found) entries.push(entryOf(childOf(path, name), found))
    })
  }
  return { entries, truncated }
}

async function namesIn(folder: string, entriesMax: number): Promise<{ names: string[]; truncated: boolean }> {
  const names: string[] = []
  let truncated = false
  // Closed by the loop, also when it is left early.
  for await (const entry of await opendir(folder, { encoding: 'buffer' as BufferEncoding, bufferSize: 256 })) {
    const name = entry.name as unknown as Buffer
    if (!isUtf8(name)) continue
    if (names.length === entriesMax) {
      truncated = true
      break
    }
    names.push(name.toString('utf8'))
  }
  return { names: names.sort(), truncated }
}
