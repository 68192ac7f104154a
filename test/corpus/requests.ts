import { CHUNKS, FRAMING } from './framing.ts'
import { BYTES, TARGETS } from './lines.ts'
import { CUT, OVERSIZE, SPOOFED } from './people-and-sizes.ts'

export { ALICES_TOKEN, BOBS_WORKSPACE } from './parts.ts'

/** What is sent on one connection, as latin1. */
export interface HostileRequest {
  readonly name: string
  readonly bytes: string
}

const GROUPS = {
  framing: FRAMING,
  chunks: CHUNKS,
  bytes: BYTES,
  targets: TARGETS,
  spoofed: SPOOFED,
  oversize: OVERSIZE,
  cut: CUT
}

/** Requests that nobody should send. */
export const HOSTILE: readonly HostileRequest[] = Object.entries(GROUPS).flatMap(([group, cases]) =>
  cases.map(([name, bytes]) => ({ name: `${group}: ${name}`, bytes }))
)
