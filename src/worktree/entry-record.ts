import { CID } from 'multiformats/cid'
import { FACTS_BYTES, type FactsList } from './facts.ts'
import { type Fingerprint, isRacy } from './fingerprint.ts'

export const ENTRY_KINDS = ['file', 'folder', 'link'] as const
export type EntryKind = (typeof ENTRY_KINDS)[number]

/** What the index knows of one entry on disk. */
export interface EntryRecord {
  readonly kind: EntryKind
  readonly fingerprint: Fingerprint
  /** An equal fingerprint means equal content. False for a file that may have changed right after it was read. */
  readonly settled: boolean
  readonly cid: CID
  readonly totalBytes: number
}

const VERSION = 1
const SETTLED = 0x80
const CID_AT = 44
const MAX_BYTES = 128

/** Layout: version, then what `FactsList` has, with the flag beside the kind, then total bytes (64 bits) and CID. */
export function encodeEntry({ kind, fingerprint, settled, cid, totalBytes }: EntryRecord): Uint8Array {
  const bytes = Buffer.allocUnsafe(CID_AT + cid.bytes.length)
  bytes.writeUInt8(VERSION, 0)
  bytes.writeUInt8(ENTRY_KINDS.indexOf(kind) | (settled ? SETTLED : 0), 1)
  bytes.writeUInt16BE(fingerprint.mode, 2)
  bytes.writeBigUInt64BE(BigInt(fingerprint.size), 4)
  bytes.writeBigInt64BE(fingerprint.mtimeUs, 12)
  bytes.writeBigInt64BE(fingerprint.ctimeNs, 20)
  bytes.writeBigUInt64BE(fingerprint.inode, 28)
  bytes.writeBigUInt64BE(BigInt(totalBytes), 36)
  bytes.set(cid.bytes, CID_AT)
  return bytes
}

/** The same record, settled where nothing can have changed since this time of the file system. */
export function settledSince(value: Uint8Array, nowNs: bigint): Uint8Array {
  const record = decodeEntry(value)
  if (record === null) throw new Error('a record that was just made cannot be read')
  return encodeEntry({ ...record, settled: record.kind === 'folder' || !isRacy(record.fingerprint, nowNs) })
}

/** Is this the record of an entry with these facts, whose content is therefore known? Nothing else of it is checked. */
export function stillStands(value: Uint8Array, facts: FactsList, index: number): boolean {
  const at = index * FACTS_BYTES
  const kind = facts.bytes[at] ?? 0
  return (
    value[0] === VERSION &&
    value[1] === (kind | SETTLED) &&
    kind < ENTRY_KINDS.length &&
    facts.bytes.compare(value, 2, CID_AT - 8, at + 1, at + FACTS_BYTES) === 0
  )
}

/** Null for what is not such a record. */
export function decodeEntry(value: Uint8Array): EntryRecord | null {
  if (value.length <= CID_AT || value.length > MAX_BYTES || value[0] !== VERSION) return null
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const flags = bytes.readUInt8(1)
  const kind = ENTRY_KINDS[flags & ~SETTLED]
  const cid = cidOrNull(bytes.subarray(CID_AT))
  if (kind === undefined || cid === null) return null
  return {
    kind,
    settled: (flags & SETTLED) !== 0,
    fingerprint: {
      mode: bytes.readUInt16BE(2),
      size: Number(bytes.readBigUInt64BE(4)),
      mtimeUs: bytes.readBigInt64BE(12),
      ctimeNs: bytes.readBigInt64BE(20),
      inode: bytes.readBigUInt64BE(28)
    },
    cid,
    totalBytes: Number(bytes.readBigUInt64BE(36))
  }
}

function cidOrNull(bytes: Uint8Array): CID | null {
  try {
    return CID.decode(bytes)
  } catch {
    return null
  }
}
