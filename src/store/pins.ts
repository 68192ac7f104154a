import type { CID } from 'multiformats/cid'
import type { Clock, Instant } from '../core/clock.ts'
import type { WorkspaceId } from '../core/ids.ts'
import { Marks, type MarksKey } from './marks.ts'

const HOUR_MS = 60 * 60 * 1000
const BOUNDS: PinBounds = { all: 1_000_000, each: 65_536 }

/** Entries of a generation: of all workspaces together, and of each. */
interface PinBounds {
  readonly all: number
  readonly each: number
}

/**
 * Blocks that somebody was told of, or brought, within the last hour: nothing may take them away. In memory, in two
 * generations of an hour, so that a pin holds for one hour at least and about two at most. Where there is no room for
 * the pins of a workspace, all that it holds counts as pinned for an hour.
 */
export class Pins {
  readonly #clock: Clock
  readonly #key: MarksKey
  readonly #bounds: PinBounds
  #now: Marks
  #before: Marks
  /** Entries of the present generation. */
  #counts = new Map<WorkspaceId, number>()
  #fullUntil = new Map<WorkspaceId, Instant>()
  #since: Instant
  #held = 0

  constructor(clock: Clock, key: MarksKey, bounds: PinBounds = BOUNDS) {
    this.#clock = clock
    this.#key = key
    this.#bounds = bounds
    this.#now = new Marks(2, key)
    this.#before = new Marks(2, key)
    this.#since = clock.now()
  }

  /** To be called before reading what is told of the blocks. */
  add(workspace: WorkspaceId, cids: readonly CID[]): void {
    this.#turn()
    const room = this.#bounds.all - this.#now.size
    const own = this.#bounds.each - (this.#counts.get(workspace) ?? 0)
    let left = Math.min(room, own)
    for (const cid of cids) {
      if (left > 0) left -= this.#now.add(cid) ? 1 : 0
      else if (!this.#now.has(cid)) this.#fullUntil.set(workspace, this.#clock.now() + HOUR_MS)
    }
    const added = Math.min(room, own) - left
    if (added > 0) this.#counts.set(workspace, (this.#counts.get(workspace) ?? 0) + added)
  }

  has(cid: CID): boolean {
    return this.#now.has(cid) || this.#before.has(cid)
  }

  /** Not all pins of the workspace of the last hour could be remembered: whatever it holds may be pinned. */
  isFull(workspace: WorkspaceId): boolean {
    const until = this.#fullUntil.get(workspace)
    return until !== undefined && this.#clock.now() < until
  }

  /** Nothing ends before the returned function is called. */
  hold(): () => void {
    this.#turn()
    this.#held++
    return () => {
      this.#held--
      if (this.#held === 0 && this.#clock.now() - this.#since >= HOUR_MS) this.#begin(this.#now)
    }
  }

  #turn(): void {
    const passed = this.#clock.now() - this.#since
    if (this.#held > 0 || passed < HOUR_MS) return
    this.#begin(passed < 2 * HOUR_MS ? this.#now : new Marks(2, this.#key))
  }

  #begin(before: Marks): void {
    this.#before = before
    this.#now = new Marks(2, this.#key)
    this.#counts = new Map()
    this.#since = this.#clock.now()
    this.#fullUntil = new Map([...this.#fullUntil].filter(([, until]) => until > this.#since))
  }
}
