import { aborted, type Clock, type Instant } from '../core/clock.ts'
import { codeOf, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'

/** What an app does around each snapshot of a workspace, such as writing a copy of its database into it. */
export interface SnapshotHooks {
  /**
   * Runs before files are read. What it writes into the workspace is in that snapshot.
   *
   * @throws NodeDaemonError it failed or took too long, and nothing of it runs any more: there is no snapshot now
   */
  before(signal: AbortSignal): Promise<void>
  /** Runs once the files are read, and also where `before` failed. Never rejects: a failure is logged. */
  after(): Promise<void>
}

export interface HookRoundsDeps {
  readonly hooks: SnapshotHooks
  /** The shortest time from one round to the next while nobody waits for a snapshot, in milliseconds. */
  readonly intervalMs: number
  /** Resolves once `touched` was called for every change that was made before this call. */
  readonly caughtUp: () => Promise<void>
  readonly clock: Clock
  readonly log: Logger
}

const RETRY_MIN_MS = 1000
const RETRY_MAX_MS = 60_000
/** Rounds in a row that only the hooks' own time called for. */
const ECHOES_MAX = 3

/**
 * When the hooks run, and what their snapshots prove. A round is `before`, the reading of the files, `after`.
 *
 * What is touched while a hook runs may be the hook's work, or the app's, which then came too late for `before`. So it
 * calls for one more round: when that finds the files as they were in the round before, it was the hook's, and all is
 * settled. A hook that leaves other bytes or times behind each time looks like an app that changes something: after three
 * such rounds in a row it is taken for the hook, and waits for the next change.
 *
 * A `before` that fails postpones the snapshot: it is tried again after 1 s, then after twice as long each time, up to 60 s.
 */
export class HookRounds {
  readonly #deps: HookRoundsDeps
  /** Since when something is in no settled snapshot. */
  #dueSince: Instant | null = null
  #endedAt: Instant | null = null
  /** Is only what a hook touched, or may have touched, left to be looked at? */
  #isEcho = false
  #echoes = 0
  #hookRuns = false
  #touchedMeanwhile = false
  #failures = 0
  #failure: NodeDaemonError | null = null

  constructor(deps: HookRoundsDeps) {
    this.#deps = deps
  }

  get dueSince(): Instant | null {
    return this.#dueSince
  }

  /** Why there is no newer snapshot. */
  get failure(): NodeDaemonError | null {
    return this.#failure
  }

  /** Something was changed in the workspace, or is dirty again since then: its snapshot was not published. */
  touched(since: Instant | null = null): void {
    if (this.#hookRuns) {
      this.#touchedMeanwhile = true
      return
    }
    const from = since ?? this.#deps.clock.now()
    this.#dueSince = Math.min(from, this.#dueSince ?? from)
    this.#isEcho = false
  }

  /** How long a round that nobody waits for has still to wait, in milliseconds. */
  pauseMs(): number {
    if (this.#endedAt === null) return 0
    const pause = this.#failure === null ? this.#deps.intervalMs : this.#backoffMs
    return Math.max(0, this.#endedAt + pause - this.#deps.clock.now())
  }

  get #backoffMs(): number {
    return Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** (this.#failures - 1))
  }

  /**
   * One round. Rejects with `failure` where `before` fails, else as `read` does.
   *
   * @param isKnown was this the state of the snapshot that was published last?
   */
  async around<T>(signal: AbortSignal, read: () => Promise<T>, isKnown: (snapshot: T) => boolean): Promise<T> {
    const echoes = this.#isEcho ? this.#echoes + 1 : 0
    const since = this.#dueSince ?? this.#deps.clock.now()
    let late: boolean | null = null
    try {
      const touched = await this.#watched(() => this.#before(signal))
      this.#dueSince = null
      this.#isEcho = false
      const snapshot = await read()
      late = touched && !isKnown(snapshot)
      return snapshot
    } finally {
      const touched = await this.#watched(() => this.#deps.hooks.after())
      this.#endedAt = this.#deps.clock.now()
      if (late === null) this.#dueSince = since
      else this.#settle(echoes, late || touched)
    }
  }

  async #before(signal: AbortSignal): Promise<void> {
    try {
      await this.#deps.hooks.before(signal)
      this.#failures = 0
      this.#failure = null
    } catch (error) {
      if (signal.aborted) throw aborted(signal)
      this.#failures++
      this.#failure = error instanceof NodeDaemonError ? error : new NodeDaemonError(codeOf(error), messageOf(error))
      throw this.#failure
    }
  }

  /** Was anything touched while the hook ran? */
  async #watched(hook: () => Promise<void>): Promise<boolean> {
    this.#hookRuns = true
    this.#touchedMeanwhile = false
    try {
      await hook()
      await this.#deps.caughtUp()
      return this.#touchedMeanwhile
    } finally {
      this.#hookRuns = false
    }
  }

  #settle(echoes: number, mayBeLate: boolean): void {
    this.#echoes = echoes
    // What was changed while the files were read calls for a round of its own.
    if (!mayBeLate || this.#dueSince !== null) return
    if (echoes < ECHOES_MAX) {
      this.#isEcho = true
      this.#dueSince = this.#deps.clock.now()
      return
    }
    this.#deps.log.warn(
      { rounds: echoes },
      'the snapshot hooks change the workspace each time: what they wrote last waits for the next change'
    )
  }
}
