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
  users: number
}

/** Locks and properties of all workspaces, within one bound. A workspace without any takes no memory between requests. */
export class Memory {
  readonly #clock: Clock
  readonly #limits: FilesLimits
  readonly #budget: Budget
  readonly #kept = new Map<WorkspaceId | null, Kept>()

  constructor(clock: Clock, limits: FilesLimits) {
    this.#clock = clock
    this.#limits = limits
    this.#budget = new Budget(limits.rememberedBytesMax)
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

  #create(): Kept {
    const budget = new Budget(this.#limits.rememberedBytesPerWorkspaceMax, this.#budget)
    return { users: 0, locks: new LockTable(this.#clock, budget), properties: new PropertyTable(budget) }
  }

  #forgetIfEmpty(workspace: WorkspaceId | null, kept: Kept): void {
    if (kept.users === 0 && kept.locks.empty && kept.properties.empty) this.#kept.delete(workspace)
  }
}
