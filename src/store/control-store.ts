import { NodeDaemonError } from '../core/errors.ts'
import type { KeyValue } from '../core/key-value.ts'
import { Mutex } from '../core/mutex.ts'

/** What a change expects to find: a revision, 0 for "there is no such key", or `any`. */
export type Expected = number | 'any'

export interface ControlEntry {
  readonly key: string
  readonly value: Uint8Array
  readonly revision: number
}

export type ControlChange =
  | { readonly kind: 'put'; readonly key: string; readonly value: Uint8Array; readonly ifRevision: Expected }
  | { readonly kind: 'remove'; readonly key: string; readonly ifRevision: Expected }

/**
 * The coordinator's small durable state, changed by compare-and-swap. A revision rises with every change of the whole
 * store and is never given twice, so that a key that was removed and written again does not look unchanged.
 * Every change is durable (fsynced) on return.
 *
 * @throws NodeDaemonError `CONFLICT` when a revision is not the expected one: nothing was changed;
 * `TOO_LARGE` when a key, a value or a transaction exceeds its bound
 */
export interface ControlStore {
  get(key: string): Promise<ControlEntry | null>
  /** Returns the new revision. */
  put(key: string, value: Uint8Array, options: { readonly ifRevision: Expected }): Promise<number>
  /** Removing a key that is not there is done already, where `any` or 0 was expected. */
  remove(key: string, options: { readonly ifRevision: Expected }): Promise<void>
  /** The entries whose keys begin with `prefix`, in the order of their keys. */
  list(prefix: string): AsyncIterable<ControlEntry>
  /** All of the changes or none. No key may come twice. Returns the revision that all of them got. */
  transact(changes: readonly ControlChange[]): Promise<number>
}

export const CONTROL_LIMITS = { keyBytes: 512, valueBytes: 4 * 1024 * 1024, changes: 4096 } as const

const COUNTER = 'revision'
const DATA = 'data/'

/** One process at a time may have the same `store`. */
export function controlStore(store: KeyValue): ControlStore {
  const writes = new Mutex()

  const get = async (key: string): Promise<ControlEntry | null> => {
    const row = await store.get(DATA + key)
    return row === null ? null : entryOf(key, row)
  }

  const commit = async (changes: readonly ControlChange[]): Promise<number> => {
    await Promise.all(changes.map(async (change) => expectRevision(change, (await get(change.key))?.revision ?? 0)))
    const revision = revisionOf(await store.get(COUNTER)) + 1
    const puts = changes.flatMap((change) => (change.kind === 'put' ? [rowOf(change, revision)] : []))
    const removes = changes.flatMap(({ kind, key }) => (kind === 'remove' ? [DATA + key] : []))
    await store.write({ put: [...puts, [COUNTER, numberBytes(revision)]], remove: removes }, { durable: true })
    return revision
  }

  const transact = async (changes: readonly ControlChange[]): Promise<number> => {
    checkBounds(changes)
    return await writes.run(() => commit(changes))
  }

  return {
    get,
    transact,
    put: (key, value, { ifRevision }) => transact([{ kind: 'put', key, value, ifRevision }]),
    async remove(key, { ifRevision }) {
      await transact([{ kind: 'remove', key, ifRevision }])
    },
    async *list(prefix) {
      for await (const [key, row] of store.entries({ prefix: DATA + prefix })) {
        yield entryOf(key.slice(DATA.length), row)
      }
    }
  }
}

function checkBounds(changes: readonly ControlChange[]): void {
  const large = changes.find(
    (change) =>
      Buffer.byteLength(change.key) > CONTROL_LIMITS.keyBytes ||
      (change.kind === 'put' && change.value.length > CONTROL_LIMITS.valueBytes)
  )
  if (large !== undefined || changes.length > CONTROL_LIMITS.changes) {
    throw new NodeDaemonError(
      'TOO_LARGE',
      `a change of the control store is too large: ${large?.key.slice(0, 80) ?? ''}`
    )
  }
  if (new Set(changes.map(({ key }) => key)).size < changes.length) {
    throw new NodeDaemonError('BAD_REQUEST', 'a transaction names a key twice')
  }
}

function expectRevision({ key, ifRevision }: ControlChange, revision: number): void {
  if (ifRevision === 'any' || ifRevision === revision) return
  throw new NodeDaemonError('CONFLICT', `"${key}" has revision ${revision}, not ${ifRevision}`, {
    data: { key, revision, expected: ifRevision }
  })
}

function rowOf(change: { key: string; value: Uint8Array }, revision: number): readonly [string, Uint8Array] {
  return [DATA + change.key, Buffer.concat([numberBytes(revision), change.value])]
}

const entryOf = (key: string, row: Uint8Array): ControlEntry => ({
  key,
  revision: revisionOf(row),
  value: new Uint8Array(row.subarray(8))
})

function numberBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

function revisionOf(row: Uint8Array | null): number {
  return row === null ? 0 : Number(new DataView(row.buffer, row.byteOffset, row.byteLength).getBigUint64(0))
}
