/** What a file system keeps beside the content. */
export interface Metadata {
  /** Permission bits: 0 to 0o7777. */
  readonly mode: number
  /** Since the start of 1970: whole seconds (64 bits, signed) and, on top, whole microseconds given in nanoseconds. */
  readonly mtime: { readonly secs: bigint; readonly nsecs: number }
}

/** As UnixFS writes it: a default mode and zero nanoseconds are left out. */
export interface MetadataFields {
  mode?: number
  mtime?: { seconds?: bigint; fractionalNanoseconds?: number }
}

const DEFAULT_MODE = { folder: 0o755, other: 0o644 } as const
type DefaultMode = keyof typeof DEFAULT_MODE

/** Why this cannot be kept; null when it can. */
export function faultOfMetadata({ mode, mtime: { secs, nsecs } }: Metadata): string | null {
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) return 'the mode is not within 0 and 0o7777'
  if (BigInt.asIntN(64, secs) !== secs) return 'the seconds do not fit 64 bits'
  if (!Number.isInteger(nsecs) || nsecs < 0 || nsecs > 999_999_000) return 'the nanoseconds are not within a second'
  if (nsecs % 1000 !== 0) return 'the nanoseconds are not whole microseconds'
  return null
}

export function metadataFields({ mode, mtime }: Metadata, kind: DefaultMode): MetadataFields {
  return {
    ...(mode !== DEFAULT_MODE[kind] && { mode }),
    mtime: { seconds: mtime.secs, ...(mtime.nsecs !== 0 && { fractionalNanoseconds: mtime.nsecs }) }
  }
}

/** The metadata that a node carries; null where it carries none. Undefined where it is not as `metadataFields` writes it. */
export function metadataOf({ mode, mtime }: MetadataFields, kind: DefaultMode): Metadata | null | undefined {
  if (mtime === undefined) return mode === undefined ? null : undefined
  if (mtime.seconds === undefined || mode === DEFAULT_MODE[kind] || mtime.fractionalNanoseconds === 0) return undefined
  const metadata = {
    mode: mode ?? DEFAULT_MODE[kind],
    mtime: { secs: mtime.seconds, nsecs: mtime.fractionalNanoseconds ?? 0 }
  }
  return faultOfMetadata(metadata) === null ? metadata : undefined
}
