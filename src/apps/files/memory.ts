import type { Clock } from '../../core/clock.ts'
import type { WorkspaceId } from '../../core/ids.ts'
import { Budget } from './budget.ts'
import type { FilesLimits } from './limits.ts'
import { LockTable } from './locks.ts'
import { PropertyTable } from './properties.ts'

/** What is remembered about a workspace beside its files. */
export interface Remembered {
  readonly locks: LockTable
  readonly properties: PropertyTable
}

interface Kept extends Remembered {
  readonly budget: Budget
  users: number
}

/**
 * Locks and properties of all workspaces, within one bound: beyond it, the workspaces that take the most lose theirs. A
 * workspace without any takes no memory between requests.
 */
export class Memory {
  readonly #clock: Clock
  readonly #limits: FilesLimits
  readonly #budget: Budget
  readonly #kept = new Map<WorkspaceId | null, Kept>()

  constructor(clock: Clock, limits: FilesLimits) {
    this.#clock = clock
    this.#limits = limits
    this.#budget = new Budget(limits.rememberedBytesMax, { makeRoom: (bytes) => this.#makeRoom(bytes) })
  }

  /** Lends what is remembered about a workspace while `work` runs. */
  async use<T>(workspace: WorkspaceId | null, work: (remembered: Remembered) => Promise<T>): Promise<T> {
    const kept = this.#kept.get(workspace) ?? this.#create()
    this.#kept.set(workspace, kept)
    kept.users++
    try {
      return await work(kept)
    } finally {
      kept.users--
      this.#forgetIfEmpty(workspace, kept)
    }
  }

  /** Forgets locks that have run out, everywhere. */
  sweep(): void {
    for (const [workspace, kept] of [...this.#kept]) {
      kept.locks.sweep()
      this.#forgetIfEmpty(workspace, kept)
    }
  }

  /** Else a few users could keep everybody else from locking anything. */
  #makeRoom(bytes: number): void {
    while (!this.#budget.hasRoom(bytes)) {
      const idle = [...this.#kept].filter(([, { users }]) => users === 0)
      const [first, ...others] = idle
      if (first === undefined) return
      const [workspace, kept] = others.reduce(
        (most, one) => (one[1].budget.used > most[1].budget.used ? one : most),
        first
      )
      kept.locks.drop('', true)
      kept.properties.drop('')
      this.#kept.delete(workspace)
    }
  }

  #create(): Kept {
    const budget = new Budget(this.#limits.rememberedBytesPerWorkspaceMax, { parent: this.#budget })
    return { users: 0, budget, locks: new LockTable(this.#clock, budget), properties: new PropertyTable(budget) }
  }

  #forgetIfEmpty(workspace: WorkspaceId | null, kept: Kept): void {
    if (kept.users === 0 && kept.locks.empty && kept.properties.empty) this.#kept.delete(workspace)
  }
}
