import { rm } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { Level } from 'level'
import { MemoryLevel } from 'memory-level'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { KeyValue } from '../core/key-value.ts'
import { diskError, systemCode } from './disk.ts'
import { type LevelOperation, LevelWrites, WRITE_BUFFER_BYTES } from './level-writes.ts'

/**
 * An ordered map that stays over a restart. Every value carries a checksum: one that fails it is told as `INTEGRITY`,
 * never returned. A durable write makes all writes before it durable too.
 */
export interface LevelStore extends KeyValue {
  /** As many `get`s, in one go. */
  getMany(keys: readonly string[]): Promise<(Uint8Array | null)[]>
  close(): Promise<void>
}

/** Some entries at once: a page of a range. */
export async function pageOf(
  level: LevelStore,
  range: Parameters<KeyValue['entries']>[0]
): Promise<[string, Uint8Array][]> {
  const page: [string, Uint8Array][] = []
  for await (const entry of level.entries(range)) page.push(entry)
  return page
}

/** What is needed of a Level database with text keys and binary values. */
interface Database {
  get(key: string): Promise<Uint8Array | undefined>
  getMany(keys: string[]): Promise<(Uint8Array | undefined)[]>
  batch(operations: LevelOperation[], options: { readonly sync?: boolean }): Promise<void>
  iterator(range: { gt?: string; gte?: string; lt: string; limit: number }): AsyncIterable<[string, Uint8Array]>
  close(): Promise<void>
}

/** Above every key: Level keys are ordered by their UTF-8 bytes. */
const LAST = '\u{10ffff}'
const VIEW = { keyEncoding: 'utf8', valueEncoding: 'view' } as const

/**
 * Opens the Level folder at `path`, which is created where it is not there.
 *
 * @throws NodeDaemonError `DATA_FOLDER_IN_USE` when another process has it open, `INTEGRITY` when it cannot be read
 */
export async function openLevel(path: string): Promise<LevelStore> {
  const database = new Level<string, Uint8Array>(path, { ...VIEW, writeBufferSize: WRITE_BUFFER_BYTES })
  try {
    await database.open()
  } catch (error) {
    throw openError(error, path)
  }
  // LevelDB syncs its present log only: what lies in an older one is durable once it is a table.
  return levelOver(database, canCompact(database) ? { flush: () => database.compactRange(LAST, LAST) } : {})
}

/** Removes the Level folder at `path` with all that is in it. Nobody may have it open. */
export const destroyLevel = (path: string): Promise<void> => rm(path, { recursive: true, force: true })

interface Compacting {
  compactRange(start: string, end: string): Promise<void>
}

/** Was this thrown because a Level database is damaged, rather than what a caller brought? */
export const isDamagedRow = (error: unknown): boolean =>
  error instanceof NodeDaemonError && error.data !== undefined && 'damagedRow' in error.data

const canCompact = (database: object): database is Compacting => 'compactRange' in database

export function openMemoryLevel(): LevelStore {
  return levelOver(new MemoryLevel<string, Uint8Array>(VIEW))
}

/** The same over any Level database with text keys and binary values. */
export function levelOver(database: Database, hooks: { readonly flush?: () => Promise<void> } = {}): LevelStore {
  const writes = new LevelWrites({
    batch: (operations, options) => database.batch(operations, options),
    flush: hooks.flush ?? (async () => undefined)
  })

  return {
    async get(key) {
      const value = await attempt(() => database.get(key))
      return value === undefined ? null : checked(key, value)
    },
    async getMany(keys) {
      if (keys.length === 0) return []
      const values = await attempt(() => database.getMany([...keys]))
      return values.map((value, index) => (value === undefined ? null : checked(keys[index] ?? '', value)))
    },
    write({ put = [], remove = [] }, options) {
      const framed = put.map(([key, value]) => [key, withChecksum(value)] as const)
      return attempt(() => writes.write({ put: framed, remove }, options))
    },
    async *entries({ prefix, after, limit }) {
      const lower = after !== undefined && Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0
      const range = { ...(lower ? { gt: after } : { gte: prefix }), lt: prefix + LAST, limit: limit ?? -1 }
      for await (const [key, value] of database.iterator(range)) yield [key, checked(key, value)] as const
    },
    close: () => database.close()
  }
}

function withChecksum(value: Uint8Array): Uint8Array {
  const framed = new Uint8Array(value.length + 4)
  framed.set(value, 4)
  new DataView(framed.buffer).setUint32(0, crc32(value))
  return framed
}

function checked(key: string, framed: Uint8Array): Uint8Array {
  const value = framed.subarray(4)
  const view = new DataView(framed.buffer, framed.byteOffset, framed.byteLength)
  if (framed.length < 4 || view.getUint32(0) !== crc32(value)) {
    throw new NodeDaemonError('INTEGRITY', `the value of "${key}" is damaged on disk`, { data: { damagedRow: key } })
  }
  return value
}

async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw levelError(error)
  }
}

function levelError(error: unknown): NodeDaemonError {
  if (error instanceof NodeDaemonError) return error
  const text = messageOf(error)
  if (systemCode(error) === 'LEVEL_DATABASE_NOT_OPEN') {
    return new NodeDaemonError('CLOSED', 'the database is closed', { cause: error })
  }
  if (/no space left|quota exceeded/i.test(text)) return new NodeDaemonError('NO_SPACE', text, { cause: error })
  if (/corruption/i.test(text)) {
    return new NodeDaemonError('INTEGRITY', text, { cause: error, data: { damagedRow: text } })
  }
  return diskError(error, 'the database')
}

function openError(error: unknown, path: string): NodeDaemonError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const code = systemCode(cause)
  if (code === 'LEVEL_LOCKED') {
    return new NodeDaemonError('DATA_FOLDER_IN_USE', `another process uses ${path}`, { cause: error })
  }
  if (code === 'LEVEL_CORRUPTION') {
    return new NodeDaemonError('INTEGRITY', `${path} is damaged: ${messageOf(cause)}`, { cause: error })
  }
  return levelError(cause)
}
