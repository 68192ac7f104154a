import { NodeDaemonError } from '../core/errors.ts'
import type { SignedHead } from '../core/records.ts'

/** Which head of a history is meant: by one of these, or the newest by none. */
export interface Moment {
  /** The newest that is not later, in Unix milliseconds. */
  readonly atMs?: number | undefined
  readonly sequence?: number | undefined
}

/**
 * The head that a moment means; null where it is none of these.
 *
 * @param heads newest first; there may be more, older ones
 * @throws NodeDaemonError `BAD_REQUEST` more than one thing is said
 */
export function chooseHead(heads: readonly SignedHead[], { atMs, sequence }: Moment): SignedHead | null {
  if (sequence !== undefined && atMs !== undefined) throw tooMuchSaid()
  if (sequence !== undefined) return heads.find(({ value }) => value.sequence === sequence) ?? null
  // By their order, not by their times: a writer's clock may have been wrong for a while.
  if (atMs !== undefined) return heads.find(({ value }) => value.createdAtMs <= atMs) ?? null
  return heads[0] ?? null
}

export const tooMuchSaid = (): NodeDaemonError =>
  new NodeDaemonError('BAD_REQUEST', 'a moment is said by a time, a sequence or a head: by one of them', {
    advice: 'say one of --at, --sequence and --head'
  })
