import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import { KeyedSignal } from '../core/keyed-signal.ts'
import type { WorkspaceState } from './workspace-state.ts'

/** Where every workspace stands, and those that wait for a change of one. */
export class WorkspaceStates {
  readonly #states = new Map<WorkspaceId, WorkspaceState>()
  readonly #changed = new KeyedSignal<WorkspaceId>()
  readonly #onTouch: (workspace: WorkspaceId) => void

  /** `onTouch` hears of whatever those who wait hear of. */
  constructor(onTouch: (workspace: WorkspaceId) => void = () => undefined) {
    this.#onTouch = onTouch
  }

  get(workspace: WorkspaceId): WorkspaceState {
    return this.#states.get(workspace) ?? { state: 'restoring' }
  }

  set(workspace: WorkspaceId, state: WorkspaceState): void {
    this.#states.set(workspace, state)
    this.touch(workspace)
  }

  /** The workspace is no more. */
  delete(workspace: WorkspaceId): void {
    this.#states.delete(workspace)
    this.touch(workspace)
  }

  /** Wakes whoever waits for a workspace, without a change of its state. */
  touch(workspace: WorkspaceId): void {
    this.#changed.tell(workspace)
    this.#onTouch(workspace)
  }

  /** Resolves at the next change of this workspace. Rejects by the signal. */
  changed(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    return this.#changed.next(workspace, signal)
  }
}

/** Of a workspace that was not looked at since the start. */
export const initialState = (home: PeerIdText | null): WorkspaceState =>
  home === null ? { state: 'orphaned', reason: 'no instance can serve it now' } : { state: 'restoring' }
