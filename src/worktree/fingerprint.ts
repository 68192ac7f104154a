import type { Metadata } from '../content/nodes.ts'
import type { FileStats } from './file-system.ts'

/** What tells, without reading, that an entry on disk has not changed. */
export interface Fingerprint {
  /** Permission bits. */
  readonly mode: number
  readonly size: number
  /** Whole microseconds since 1970: `utimes` cannot restore more. */
  readonly mtimeUs: bigint
  readonly ctimeNs: bigint
  readonly inode: bigint
}

/** Of the workspace's own folder, always: so that the root depends on nothing but what is in the folder. */
export const ROOT_FINGERPRINT: Fingerprint = { mode: 0o755, size: 0, mtimeUs: 0n, ctimeNs: 0n, inode: 0n }

const PERMISSION_BITS = 0o7777n
const US_PER_SECOND = 1_000_000n
/** From here on a double, which is what `utimes` takes, does not hold microseconds. */
const FINE_SECONDS = 2n ** 32n

export function fingerprintOf(stats: FileStats): Fingerprint {
  return {
    mode: Number(stats.mode & PERMISSION_BITS),
    size: stats.isFile() ? Number(stats.size) : 0,
    mtimeUs: restorable(floorDivide(stats.mtimeNs, 1000n)),
    ctimeNs: stats.ctimeNs,
    inode: stats.ino
  }
}

export function sameFingerprint(a: Fingerprint, b: Fingerprint): boolean {
  return (
    a.inode === b.inode && a.size === b.size && a.mtimeUs === b.mtimeUs && a.ctimeNs === b.ctimeNs && a.mode === b.mode
  )
}

/**
 * Could the file have changed again, with the same time stamp, after it was looked at? `lookedNs` is the time of the file
 * system, by its own stamps, before the look.
 */
export const isRacy = (fingerprint: Fingerprint, lookedNs: bigint): boolean => fingerprint.ctimeNs >= lookedNs

export function metadataOf({ mode, mtimeUs }: Fingerprint): Metadata {
  const secs = floorDivide(mtimeUs, US_PER_SECOND)
  return { mode, mtime: { secs, nsecs: Number(mtimeUs - secs * US_PER_SECOND) * 1000 } }
}

/** Of a link: its mode means nothing, so it is the same everywhere. */
export const linkMetadataOf = (fingerprint: Fingerprint): Metadata => ({ ...metadataOf(fingerprint), mode: 0o777 })

/**
 * The modification time as `utimes` takes it: seconds, as text because a negative number means "now" there. Half a microsecond
 * is added, so that rounding to a double and down to a nanosecond ends in the same microsecond.
 */
export function utimesText({ mtime }: Metadata): string {
  return mtime.nsecs === 0 ? String(mtime.secs) : String(Number(mtime.secs) + (mtime.nsecs + 500) / 1e9)
}

function restorable(us: bigint): bigint {
  const secs = floorDivide(us, US_PER_SECOND)
  return secs < FINE_SECONDS && secs >= -FINE_SECONDS ? us : secs * US_PER_SECOND
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by
  return value < 0n && quotient * by !== value ? quotient - 1n : quotient
}
