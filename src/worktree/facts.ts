import { Buffer } from 'node:buffer'
import type { FileStats } from './file-system.ts'
import { type Fingerprint, fingerprintOf } from './fingerprint.ts'

/** What may stand at a path. `other`: a socket, a pipe, a device. `denied`: this process may not look there. */
export const KINDS = ['file', 'folder', 'link', 'other', 'denied', 'gone'] as const
export type Kind = (typeof KINDS)[number]

/** What one look at a path tells. The fingerprint means something for files, folders and links only. */
export interface Facts {
  readonly kind: Kind
  readonly fingerprint: Fingerprint
}

/** Layout, the same in `EntryRecord`s: kind (u8), mode (u16), size, mtime, ctime, inode (64 bits each). */
export const FACTS_BYTES = 35

/** Facts of many paths, one after another. */
export class FactsList {
  readonly bytes: Buffer

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  static ofLength(count: number): FactsList {
    return new FactsList(new Uint8Array(count * FACTS_BYTES))
  }

  set(index: number, { kind, fingerprint }: Facts): void {
    const at = index * FACTS_BYTES
    this.bytes.writeUInt8(KINDS.indexOf(kind), at)
    this.bytes.writeUInt16BE(fingerprint.mode, at + 1)
    this.bytes.writeBigUInt64BE(BigInt(fingerprint.size), at + 3)
    this.bytes.writeBigInt64BE(fingerprint.mtimeUs, at + 11)
    this.bytes.writeBigInt64BE(fingerprint.ctimeNs, at + 19)
    this.bytes.writeBigUInt64BE(fingerprint.inode, at + 27)
  }

  get(index: number): Facts {
    const at = index * FACTS_BYTES
    return {
      kind: this.kind(index),
      fingerprint: {
        mode: this.bytes.readUInt16BE(at + 1),
        size: Number(this.bytes.readBigUInt64BE(at + 3)),
        mtimeUs: this.bytes.readBigInt64BE(at + 11),
        ctimeNs: this.bytes.readBigInt64BE(at + 19),
        inode: this.bytes.readBigUInt64BE(at + 27)
      }
    }
  }

  kind(index: number): Kind {
    return KINDS[this.bytes.readUInt8(index * FACTS_BYTES)] ?? 'other'
  }
}

const NOTHING: Fingerprint = { mode: 0, size: 0, mtimeUs: 0n, ctimeNs: 0n, inode: 0n }
export const GONE: Facts = { kind: 'gone', fingerprint: NOTHING }
export const DENIED: Facts = { kind: 'denied', fingerprint: NOTHING }

export const factsOf = (stats: FileStats): Facts => ({ kind: kindOf(stats), fingerprint: fingerprintOf(stats) })

function kindOf(stats: FileStats): Kind {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'folder'
  return stats.isSymbolicLink() ? 'link' : 'other'
}
