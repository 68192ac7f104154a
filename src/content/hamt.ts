import { murmur364 } from '@multiformats/murmur3'

/** Slots of a folder shard. */
export const FANOUT = 256
/** The multicodec of murmur3-x64-64, as UnixFS writes it. */
export const HASH_TYPE = 0x22n
/** The hash has eight bytes, one for each level. */
export const MAX_DEPTH = 8

/** Where an entry stands: its slot on each level, from the root down. */
export async function pathOf(name: string): Promise<Uint8Array> {
  return murmur364.encode(Buffer.from(name))
}

/** The slots in use, as a big-endian number whose bit i stands for slot i, without leading zeros. */
export function bitfieldOf(indexes: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FANOUT / 8)
  for (const index of indexes) {
    const at = bytes.length - 1 - (index >> 3)
    bytes[at] = (bytes[at] ?? 0) | (1 << (index & 7))
  }
  return bytes.subarray(bytes.findIndex((byte) => byte !== 0))
}

/** Two upper-case hexadecimal digits. */
export const prefixOf = (index: number): string => index.toString(16).toUpperCase().padStart(2, '0')
