import type { WorkspaceId } from '../core/ids.ts'
import type { WorkspaceState } from './workspace-state.ts'

/** Where every workspace stands, and those that wait for a change of one. */
export class WorkspaceStates {
  readonly #states = new Map<WorkspaceId, WorkspaceState>()
  readonly #changed = new Map<WorkspaceId, Set<() => void>>()

  get(workspace: WorkspaceId): WorkspaceState {
    return this.#states.get(workspace) ?? { state: 'restoring' }
  }

  set(workspace: WorkspaceId, state: WorkspaceState): void {
    this.#states.set(workspace, state)
    this.touch(workspace)
  }

  /** Wakes whoever waits for a workspace, without a change of its state. */
  touch(workspace: WorkspaceId): void {
    for (const wake of this.#changed.get(workspace) ?? []) wake()
  }

  /** Resolves at the next change of this workspace. Rejects by the signal. */
  changed(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = this.#changed.get(workspace) ?? new Set()
      this.#changed.set(workspace, waiting)
      const settle = (): void => {
        waiting.delete(settle)
        if (waiting.size === 0 && this.#changed.get(workspace) === waiting) this.#changed.delete(workspace)
        signal.removeEventListener('abort', settle)
        if (signal.aborted) reject(signal.reason)
        else resolve()
      }
      waiting.add(settle)
      signal.addEventListener('abort', settle, { once: true })
      if (signal.aborted) settle()
    })
  }
}
