import type { PeerIdText, ServiceName } from '../core/ids.ts'

/** An instance, as placement sees it. */
export interface Candidate {
  readonly peer: PeerIdText
  readonly name: string
  readonly services: readonly ServiceName[]
  /** Its label `zone`: what may fail together, such as a building or a provider. Null where nothing is said. */
  readonly zone: string | null
  /** What it lends, in bytes. */
  readonly capacityBytes: number
  /** What the workspaces on it use, as home or standby, in bytes. */
  readonly usedBytes: number
  /** What its disk has left, in bytes. */
  readonly freeBytes: number
}

/** Free bytes that are never planned with. */
export const RESERVE_BYTES = 64 * 1024 * 1024

/** How much more of users' data an instance can take, in bytes. */
export function roomOf(candidate: Candidate): number {
  return Math.max(0, Math.min(candidate.capacityBytes - candidate.usedBytes, candidate.freeBytes - RESERVE_BYTES))
}
