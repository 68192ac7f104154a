import type { PeerIdText, WorkspaceId } from '../../core/ids.ts'
import type { Flights } from '../flights.ts'

/** A front door, as whoever moves workspaces sees it. What another process tells of itself may be a moment old. */
export interface Door {
  /** Are requests of the workspace in flight? */
  isBusy(workspace: WorkspaceId): boolean
  /** Are connections open that speak another protocol than HTTP by now, or requests in flight that take long? */
  isHeldOpen(workspace: WorkspaceId): boolean
  /** For how long nobody has asked anything of it: 0 while somebody does, five minutes for longer. */
  quietMs(workspace: WorkspaceId): number
  /** Resolves once no request of the workspace is in flight, and none is sent while it does not pass. */
  idle(workspace: WorkspaceId, signal: AbortSignal): Promise<void>
  /** Breaks requests in flight off: those that have taken long, or all of them. */
  breakOff(workspace: WorkspaceId, which: 'long' | 'all'): void
  /** Breaks what is under way to a home that is given up. */
  dropHome(home: PeerIdText): void
}

/** The front door of this process. */
export function localDoor(
  flights: Flights,
  door: Pick<Door, 'dropHome'> & { readonly hasSockets: (workspace: WorkspaceId) => boolean }
): Door {
  return {
    isBusy: (workspace) => flights.isBusy(workspace),
    isHeldOpen: (workspace) => door.hasSockets(workspace) || flights.hasLong(workspace),
    quietMs: (workspace) => flights.quietMs(workspace),
    idle: (workspace, signal) => flights.idle(workspace, signal),
    breakOff: (workspace, which) => flights.breakOff(workspace, which),
    dropHome: (home) => door.dropHome(home)
  }
}

/** All front doors as one. */
export class Doors implements Door {
  readonly #all: () => readonly Door[]

  constructor(all: () => readonly Door[]) {
    this.#all = all
  }

  isBusy(workspace: WorkspaceId): boolean {
    return this.#all().some((door) => door.isBusy(workspace))
  }

  isHeldOpen(workspace: WorkspaceId): boolean {
    return this.#all().some((door) => door.isHeldOpen(workspace))
  }

  quietMs(workspace: WorkspaceId): number {
    return Math.min(...this.#all().map((door) => door.quietMs(workspace)))
  }

  async idle(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    await Promise.all(this.#all().map((door) => door.idle(workspace, signal)))
  }

  breakOff(workspace: WorkspaceId, which: 'long' | 'all'): void {
    for (const door of this.#all()) door.breakOff(workspace, which)
  }

  dropHome(home: PeerIdText): void {
    for (const door of this.#all()) door.dropHome(home)
  }
}
