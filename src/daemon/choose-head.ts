import { NodeDaemonError } from '../core/errors.ts'
import type { SignedHead } from '../core/records.ts'

/** Which head of a workspace is meant: by one of these, or the newest by none. */
export interface Moment {
  /** The newest that is not later, in Unix milliseconds. */
  readonly atMs?: number | undefined
  readonly sequence?: number | undefined
  /** A CID, also of a diverged head. */
  readonly head?: string | undefined
}

/**
 * The head that a moment means; null where it is none of those that were given.
 *
 * @param heads in the order of the history, newest first; more may be before the last of them
 * @throws NodeDaemonError `BAD_REQUEST` more than one thing is said
 */
export function chooseHead(
  heads: readonly SignedHead[],
  diverged: readonly SignedHead[],
  { atMs, sequence, head }: Moment
): SignedHead | null {
  const said = [atMs, sequence, head].filter((one) => one !== undefined)
  if (said.length > 1) {
    throw new NodeDaemonError('BAD_REQUEST', 'a moment is said by a time, a sequence or a head: by one of them', {
      advice: 'say one of --at, --sequence and --head'
    })
  }
  if (head !== undefined) return [...heads, ...diverged].find(({ cid }) => cid.toString() === head) ?? null
  if (sequence !== undefined) return heads.find(({ value }) => value.sequence === sequence) ?? null
  // By their order, not by their times: a writer's clock may have been wrong for a while.
  if (atMs !== undefined) return heads.find(({ value }) => value.createdAtMs <= atMs) ?? null
  return heads[0] ?? null
}
