import type { Clock, Instant } from '../core/clock.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { PlannedHandover } from '../placement/plan-drain.ts'
import type { Waiting } from './drain.ts'
import type { DrainSights } from './drain-deps.ts'

/** A workspace to be handed over; `move` null: it went elsewhere by itself, and that is to be proven. */
export interface Task {
  readonly workspace: WorkspaceId
  readonly move: PlannedHandover | null
}

/** One that is to be done now. */
export interface DueTask extends Task {
  /** Its users are waited for no more. */
  readonly isLate: boolean
}

const RETRY_MS_MIN = 1000
const RETRY_MS_MAX = 15_000
/** How much longer than planned the last handovers may take, and what is left for trying them again. */
const COST_FACTOR = 2
const SPARE_MS_MAX = 15_000
const SPARE_SHARE = 0.25

interface Failures {
  readonly count: number
  readonly notBefore: Instant
}

/** What a drain does next: first what nobody is at work in. Others wait until the deadline leaves just enough time. */
export class DrainQueue {
  readonly #clock: Clock
  readonly #sights: Pick<DrainSights, 'isOccupied'>
  readonly #failures = new Map<WorkspaceId, Failures>()
  #tasks: Task[] = []
  #startedAt: Instant

  constructor(clock: Clock, sights: Pick<DrainSights, 'isOccupied'>) {
    this.#clock = clock
    this.#sights = sights
    this.#startedAt = clock.now()
  }

  /** A new drain begins. */
  begin(): void {
    this.#failures.clear()
    this.#tasks = []
    this.#startedAt = this.#clock.now()
  }

  /** Instead of what was there. Moves come in the order in which they are to be done. */
  fill(moves: readonly PlannedHandover[], elsewhere: readonly WorkspaceId[]): void {
    this.#tasks = [
      ...elsewhere.map((workspace) => ({ workspace, move: null })),
      ...moves.map((move) => ({ workspace: move.workspace.workspace, move }))
    ]
  }

  /** Takes the first that can be done now; null where there is none. */
  next(deadline: Instant): DueTask | null {
    const now = this.#clock.now()
    let until: Instant | null = null
    const at = this.#tasks.findIndex((task) => {
      if ((this.#failures.get(task.workspace)?.notBefore ?? now) > now) return false
      if (task.move === null || !this.#sights.isOccupied(task.workspace)) return true
      until ??= this.#until(deadline)
      return now >= until
    })
    const [task] = at === -1 ? [] : this.#tasks.splice(at, 1)
    if (task === undefined) return null
    return { ...task, isLate: now >= deadline - this.#spareMs(deadline) || this.#sights.isOccupied(task.workspace) }
  }

  failed(workspace: WorkspaceId): void {
    const count = (this.#failures.get(workspace)?.count ?? 0) + 1
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(count - 1, 10))
    this.#failures.set(workspace, { count, notBefore: this.#clock.now() + waitMs })
  }

  succeeded(workspace: WorkspaceId): void {
    this.#failures.delete(workspace)
  }

  /** Those that are waited for now, and until when. */
  waiting(deadline: Instant): Waiting {
    const until = this.#until(deadline)
    const waited = this.#clock.now() < until ? this.#occupied() : []
    return { workspaces: new Set(waited.map(({ workspace }) => workspace)), until }
  }

  #until(deadline: Instant): Instant {
    const costMs = this.#occupied().reduce((sum, { move }) => sum + (move?.costMs ?? 0), 0)
    return deadline - COST_FACTOR * costMs - this.#spareMs(deadline)
  }

  #spareMs(deadline: Instant): number {
    return Math.min(SPARE_MS_MAX, (deadline - this.#startedAt) * SPARE_SHARE)
  }

  #occupied(): Task[] {
    return this.#tasks.filter(({ workspace, move }) => move !== null && this.#sights.isOccupied(workspace))
  }
}
