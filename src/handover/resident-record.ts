import { open, type Signed } from '../core/envelope.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { KeyValue } from '../core/key-value.ts'
import {
  headRecord,
  ownershipRecord,
  type Receipt,
  receiptRecord,
  type SignedHead,
  type SignedOwnership
} from '../core/records.ts'

/** What an instance remembers of a workspace over a restart. */
export interface ResidentRecord {
  readonly role: 'home' | 'standby' | 'kept' | 'new'
  readonly ownership: SignedOwnership
  /** The newest head that is on this disk, or was published from it. */
  readonly head: SignedHead | null
  /** A standby's own receipt for that head. Nobody else has one: where a home served, others have written into the files. */
  readonly receipt: Signed<Receipt> | null
  /** The repository's own receipt for the head that was published last from here. */
  readonly published: Signed<Receipt> | null
  /** Unix time until which the files of a workspace that was handed over stay. */
  readonly keptUntilMs: number | null
  /** The files may be older than what was acknowledged: power was lost since they were written. */
  readonly suspect: boolean
  /** The files are being replaced by those of an earlier moment: until that is published, only the newest head counts. */
  readonly restoring: boolean
}

/** How many of these records name a workspace whose home this instance is, as far as it knows. */
export async function countHomes(records: KeyValue): Promise<number> {
  let count = 0
  for await (const [, bytes] of records.entries({ prefix: '' })) {
    if ((JSON.parse(Buffer.from(bytes).toString()) as Stored).role === 'home') count++
  }
  return count
}

export function encodeRecord(record: ResidentRecord): Uint8Array {
  const { role, ownership, head, receipt, published, keptUntilMs, suspect, restoring } = record
  const text = (signed: Signed<unknown> | null): string | null =>
    signed === null ? null : Buffer.from(signed.bytes).toString('base64')
  return Buffer.from(
    JSON.stringify({
      role,
      keptUntilMs,
      suspect,
      restoring,
      ownership: text(ownership),
      head: text(head),
      receipt: text(receipt),
      published: text(published)
    })
  )
}

interface Stored {
  readonly role: ResidentRecord['role']
  readonly keptUntilMs: number | null
  readonly suspect: boolean
  readonly restoring?: boolean
  readonly ownership: string
  readonly head: string | null
  readonly receipt: string | null
  readonly published?: string | null
}

export async function decodeRecord(bytes: Uint8Array, coordinator: PeerIdText): Promise<ResidentRecord> {
  const stored = JSON.parse(Buffer.from(bytes).toString()) as Stored
  const raw = (text: string): Uint8Array => Buffer.from(text, 'base64')
  return {
    role: stored.role,
    keptUntilMs: stored.keptUntilMs,
    suspect: stored.suspect,
    restoring: stored.restoring === true,
    ownership: await open(ownershipRecord, raw(stored.ownership), coordinator),
    head: stored.head === null ? null : await open(headRecord, raw(stored.head)),
    receipt: stored.receipt === null ? null : await open(receiptRecord, raw(stored.receipt)),
    published: typeof stored.published === 'string' ? await open(receiptRecord, raw(stored.published)) : null
  }
}
