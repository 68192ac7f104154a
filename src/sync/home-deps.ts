import type { Clock } from '../core/clock.ts'
import type { Signed } from '../core/envelope.ts'
import type { NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { Logger } from '../core/log.ts'
import type { Receipt, SignedHead } from '../core/records.ts'
import type { Worktree } from '../worktree/worktree.ts'
import type { RemoteRepository } from './repository-client.ts'
import type { HookRoundsDeps } from './snapshot-hooks.ts'

export interface HomeSyncDeps {
  readonly worktree: Worktree
  /** The repository as soon as it is within reach. Rejects only by the signal. */
  readonly remote: (signal: AbortSignal) => Promise<RemoteRepository>
  readonly identity: Identity
  readonly clock: Clock
  readonly log: Logger
  /**
   * A head was accepted: remembered durably before anything that depends on it. The repository's receipt is null where it
   * did not arrive.
   */
  readonly onPublished: (head: SignedHead, receipt: Signed<Receipt> | null) => Promise<void>
  /** The repository refuses this home's heads for good: another one took over. */
  readonly onFenced: (error: NodeDaemonError) => void
  /** What runs around each snapshot; null: nothing does. */
  readonly hooks: Pick<HookRoundsDeps, 'hooks' | 'intervalMs' | 'caughtUp'> | null
}

/** What has not been proven durable elsewhere: the loss window. */
export interface Unsynced {
  readonly bytes: number
  readonly ageMs: number
}
