import { z } from 'zod'
import { sha256 } from '../core/blocks.ts'
import type { Clock } from '../core/clock.ts'
import { hasCode, NodeDaemonError } from '../core/errors.ts'
import { Mutex } from '../core/mutex.ts'
import { parse } from '../core/parse.ts'
import type { ControlStore } from '../store/control-store.ts'
import { fromDocument, toDocument } from './documents.ts'

/** One decision: who did what to whom. */
export interface Decision {
  /** The name of an admin, `local` for the command line of the same machine, or a PeerId. */
  readonly actor: string
  /** Such as `peer.approve`. */
  readonly action: string
  readonly target: string
  readonly details: Readonly<Record<string, unknown>>
}

export interface AuditEntry extends Decision {
  /** Counts from 1. */
  readonly number: number
  /** Unix milliseconds. */
  readonly at: number
  /** SHA-256 of the entry before this one, in hexadecimal; 64 zeros for the first. */
  readonly previous: string
}

/** Where the log ends. Whoever keeps one can show later that nothing up to it was changed. */
export interface AuditHead {
  readonly number: number
  readonly hash: string
}

export interface AuditVerdict {
  readonly ok: boolean
  readonly entries: number
  /** The first entry that is missing, changed, or does not follow from the one before. */
  readonly brokenAt: number | null
}

/** Keeps a decision. It is durable on return. */
export type Audit = (decision: Decision) => Promise<void>

const HEAD_KEY = 'audit-head'
const DETAILS_BYTES_MAX = 16 * 1024
const LIST_MAX = 10_000
const NO_HASH = '0'.repeat(64)

const keyOf = (number: number): string => `audit/${String(number).padStart(12, '0')}`
const hashOf = (bytes: Uint8Array): string => sha256(bytes).toString('hex')

const headSchema = z.object({ number: z.number().int().min(0), hash: z.string().length(64) })
const entrySchema = z.object({
  number: z.number().int().min(1),
  at: z.number(),
  actor: z.string(),
  action: z.string(),
  target: z.string(),
  details: z.record(z.string(), z.unknown()),
  previous: z.string().length(64)
})

/**
 * An append-only log in which every entry names the hash of the one before, and a head the hash of the last: an edit, a
 * deletion, an insertion or a cut end shows. Who can rewrite the whole store can forge a whole log; `verify` with a
 * head that was kept elsewhere shows that too.
 */
export class AuditLog {
  readonly #store: ControlStore
  readonly #clock: Clock
  readonly #writes = new Mutex()
  #head: AuditHead

  private constructor(store: ControlStore, clock: Clock, head: AuditHead) {
    this.#store = store
    this.#clock = clock
    this.#head = head
  }

  static async open(deps: { readonly store: ControlStore; readonly clock: Clock }): Promise<AuditLog> {
    return new AuditLog(deps.store, deps.clock, await lastHead(deps.store))
  }

  /** The newest entry of this log. */
  get head(): AuditHead {
    return this.#head
  }

  /**
   * Durable on return, in the order of the calls.
   *
   * @throws NodeDaemonError `TOO_LARGE` for details over 16 KiB; `CONFLICT` where another process writes the log too
   */
  readonly append: Audit = (decision) => this.#writes.run(() => this.#append(decision))

  async #append(decision: Decision): Promise<void> {
    if (toDocument(decision.details).length > DETAILS_BYTES_MAX) {
      throw new NodeDaemonError('TOO_LARGE', 'the details of a decision are too large for the audit log')
    }
    const number = this.#head.number + 1
    const value = toDocument({
      number,
      at: this.#clock.wall(),
      actor: parse.line(decision.actor, 100),
      action: parse.line(decision.action, 100),
      target: parse.line(decision.target, 200),
      details: decision.details,
      previous: this.#head.hash
    } satisfies AuditEntry)
    const head: AuditHead = { number, hash: hashOf(value) }
    await this.#store.transact([
      { kind: 'put', key: keyOf(number), value, ifRevision: 0 },
      { kind: 'put', key: HEAD_KEY, value: toDocument(head), ifRevision: 'any' }
    ])
    this.#head = head
  }

  /** The newest entries, newest first; at most 10,000. What cannot be read is left out: `verify` tells it. */
  async list(options: { readonly limit: number }): Promise<AuditEntry[]> {
    const newest = this.#head.number
    const oldest = Math.max(1, newest - Math.min(options.limit, LIST_MAX) + 1)
    const entries: AuditEntry[] = []
    for (let number = newest; number >= oldest; number--) {
      const entry = readEntry(await this.#value(number), number)
      if (entry !== null) entries.push(entry)
    }
    return entries
  }

  /** Is the chain whole, from the first entry to the last, and does it contain the heads that were kept elsewhere? */
  async verify(witnessed: readonly AuditHead[] = []): Promise<AuditVerdict> {
    const end = this.#head
    const stored = readHead(await this.#stored(HEAD_KEY))
    const heads = new Map(witnessed.map(({ number, hash }) => [number, hash]))
    let previous = NO_HASH
    for (let number = 1; number <= end.number; number++) {
      const value = await this.#value(number)
      const entry = readEntry(value, number)
      if (value === null || entry?.previous !== previous) return broken(end, number)
      previous = hashOf(value)
      if ((heads.get(number) ?? previous) !== previous) return broken(end, number)
    }
    const missing = witnessed.find(({ number }) => number > end.number)
    if (missing !== undefined) return broken(end, end.number + 1)
    const endIsTold = end.number === 0 ? stored === null : stored !== null && stored.number >= end.number
    if (previous !== (end.number === 0 ? NO_HASH : end.hash) || !endIsTold) return broken(end, end.number)
    return { ok: true, entries: end.number, brokenAt: null }
  }

  #value(number: number): Promise<Uint8Array | null> {
    return this.#stored(keyOf(number))
  }

  /** Null also for what the store finds damaged: to the log that is as good as gone. */
  async #stored(key: string): Promise<Uint8Array | null> {
    try {
      return (await this.#store.get(key))?.value ?? null
    } catch (error) {
      if (hasCode(error, 'INTEGRITY')) return null
      throw error
    }
  }
}

const broken = (end: AuditHead, brokenAt: number): AuditVerdict => ({ ok: false, entries: end.number, brokenAt })

/**
 * Where to go on. Entries without their head, or beyond it, were tampered with: the log goes on behind them, but does not
 * follow from them, so that the break can be seen for ever.
 */
async function lastHead(store: ControlStore): Promise<AuditHead> {
  const stored = await store.get(HEAD_KEY)
  const head = stored === null ? null : fromDocument(headSchema, HEAD_KEY, stored.value)
  let last = 0
  for await (const { key } of store.list('audit/')) last = Math.max(last, Number(key.slice('audit/'.length)) || 0)
  if (last <= (head?.number ?? 0)) return head ?? { number: 0, hash: NO_HASH }
  return { number: last, hash: NO_HASH }
}

function readEntry(value: Uint8Array | null, number: number): AuditEntry | null {
  const entry = value === null ? null : readOrNull(entrySchema, keyOf(number), value)
  return entry?.number === number ? entry : null
}

const readHead = (value: Uint8Array | null): AuditHead | null =>
  value === null ? null : readOrNull(headSchema, HEAD_KEY, value)

function readOrNull<T>(schema: z.ZodType<T>, key: string, value: Uint8Array): T | null {
  try {
    return fromDocument(schema, key, value)
  } catch (error) {
    if (hasCode(error, 'INTEGRITY')) return null
    throw error
  }
}
