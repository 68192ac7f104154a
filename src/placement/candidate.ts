import type { PeerIdText, ServiceName } from '../core/ids.ts'

/** An instance, as placement sees it. */
export interface Candidate {
  readonly peer: PeerIdText
  readonly name: string
  /** What it may be home and standby of: see `runnable`. */
  readonly services: readonly ServiceName[]
  /** Why it may not, of what it offers beside that. */
  readonly unfit: ReadonlyMap<ServiceName, string>
  /** Its label `zone`: what may fail together, such as a building or a provider. Null where nothing is said. */
  readonly zone: string | null
  /** Does it take workspaces that could go elsewhere as well? Its label `newcomers=no` says that it does not. */
  readonly newcomers: boolean
  /** What it lends, in bytes. */
  readonly capacityBytes: number
  /** What the workspaces on it use, as home or standby, in bytes. */
  readonly usedBytes: number
  /** What its disk has left, in bytes. */
  readonly freeBytes: number
  /** Its disk as a whole, in bytes; 0 where it is not known. */
  readonly diskTotalBytes: number
  /** Load per processor, in thousandths. */
  readonly loadPermille: number
}

/** Free bytes that are never planned with. */
export const RESERVE_BYTES = 64 * 1024 * 1024
/** An instance with less than this share of what it lends, or than this many bytes, the smaller of both, gives away. */
const MARK_SHARE = 0.1
const MARK_BYTES = 5 * 1024 ** 3
/** An instance with more work than this for each processor is given no more, where others are not. */
export const LOAD_PERMILLE_MAX = 2000

/** How much more of users' data an instance can take, in bytes. */
export function roomOf(candidate: Candidate): number {
  return Math.max(0, Math.min(candidate.capacityBytes - candidate.usedBytes, candidate.freeBytes - RESERVE_BYTES))
}

/** What is left of what an instance lends, in bytes. */
export const leftOf = ({ capacityBytes, usedBytes, freeBytes }: Candidate): number =>
  Math.min(capacityBytes - usedBytes, freeBytes)

/** With less than this left, in bytes, an instance gives data away and takes no newcomers. */
export const markOf = ({ capacityBytes, diskTotalBytes }: Candidate): number =>
  Math.min(MARK_BYTES, MARK_SHARE * Math.min(capacityBytes, diskTotalBytes || capacityBytes))

/** Has it passed its mark, so that it must give some of its data away? */
export const isShortOfRoom = (candidate: Candidate): boolean => leftOf(candidate) < markOf(candidate)
