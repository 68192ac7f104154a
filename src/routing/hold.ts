import { aborted, type Clock, type Instant } from '../core/clock.ts'
import { codeOf } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'

/** How a wait ended: it may go on, its time is over, no room to wait, or the front door closes. */
export type Release = 'go-on' | 'late' | 'full' | 'closed'

export interface Waiting {
  readonly until: Instant
  /** The address that it came from, as far as that is counted. */
  readonly client: string | null
  /** Goes on before the others: it was under way when its home was lost. */
  readonly first: boolean
  /** May it go on now? Asked after each change of the workspace. */
  readonly ready: () => boolean
  readonly done: (release: Release) => void
}

export interface HoldLimits {
  readonly total: number
  readonly perWorkspace: number
  readonly perClient: number
}

interface Room {
  readonly first: Set<Ticket>
  readonly rest: Set<Ticket>
  readonly leave: AbortController
}

interface Ticket {
  readonly waiting: Waiting
  settle(release: Release): void
}

/** Requests that wait for their workspace to be served again, in the order in which they came. */
export class Hold {
  readonly #deps: {
    readonly clock: Clock
    readonly log: Logger
    readonly changed: (workspace: WorkspaceId, signal: AbortSignal) => Promise<void>
  }
  readonly #limits: HoldLimits
  readonly #rooms = new Map<WorkspaceId, Room>()
  readonly #perClient = new Map<string, number>()
  #size = 0
  #closed = false

  constructor(
    deps: {
      readonly clock: Clock
      readonly log: Logger
      readonly changed: (workspace: WorkspaceId, signal: AbortSignal) => Promise<void>
    },
    limits: HoldLimits
  ) {
    this.#deps = deps
    this.#limits = limits
  }

  /** How many wait. */
  get size(): number {
    return this.#size
  }

  /**
   * Calls `done` once: at once where there is no room, later otherwise. The returned function gives up the place in
   * the queue, and `done` is not called any more.
   */
  wait(workspace: WorkspaceId, waiting: Waiting): () => void {
    const room = this.#rooms.get(workspace)
    const refusal = this.#refusal(room, waiting.client)
    if (refusal !== null) {
      waiting.done(refusal)
      return () => undefined
    }
    return this.#enter(workspace, room ?? this.#openRoom(workspace), waiting)
  }

  /** Lets everybody go with `closed`. */
  close(): void {
    this.#closed = true
    for (const room of [...this.#rooms.values()]) {
      for (const ticket of inOrder(room)) ticket.settle('closed')
    }
  }

  #refusal(room: Room | undefined, client: string | null): 'closed' | 'full' | null {
    if (this.#closed) return 'closed'
    const here = room === undefined ? 0 : room.first.size + room.rest.size
    const ofClient = client === null ? 0 : (this.#perClient.get(client) ?? 0)
    const { total, perWorkspace, perClient } = this.#limits
    return this.#size >= total || here >= perWorkspace || ofClient >= perClient ? 'full' : null
  }

  #enter(workspace: WorkspaceId, room: Room, waiting: Waiting): () => void {
    const queue = waiting.first ? room.first : room.rest
    const leave = (): void => {
      timer.cancel()
      if (!queue.delete(ticket)) return
      this.#size -= 1
      this.#count(waiting.client, -1)
      if (room.first.size + room.rest.size === 0) this.#closeRoom(workspace, room)
    }
    const ticket: Ticket = {
      waiting,
      settle(release) {
        leave()
        waiting.done(release)
      }
    }
    const timer = this.#deps.clock.after(waiting.until - this.#deps.clock.now(), () => ticket.settle('late'))
    queue.add(ticket)
    this.#size += 1
    this.#count(waiting.client, 1)
    return leave
  }

  #count(client: string | null, change: 1 | -1): void {
    if (client === null) return
    const count = (this.#perClient.get(client) ?? 0) + change
    if (count > 0) this.#perClient.set(client, count)
    else this.#perClient.delete(client)
  }

  #openRoom(workspace: WorkspaceId): Room {
    const room: Room = { first: new Set(), rest: new Set(), leave: new AbortController() }
    this.#rooms.set(workspace, room)
    void this.#watch(workspace, room)
    return room
  }

  #closeRoom(workspace: WorkspaceId, room: Room): void {
    if (this.#rooms.get(workspace) === room) this.#rooms.delete(workspace)
    room.leave.abort(aborted(undefined))
  }

  async #watch(workspace: WorkspaceId, room: Room): Promise<void> {
    const { signal } = room.leave
    try {
      while (!signal.aborted) {
        await this.#deps.changed(workspace, signal)
        for (const ticket of inOrder(room)) if (ticket.waiting.ready()) ticket.settle('go-on')
      }
    } catch (error) {
      // Those who wait are let go by their timers.
      if (!signal.aborted) {
        this.#deps.log.error({ workspace, error, code: codeOf(error) }, 'a workspace cannot be watched for changes')
      }
    }
  }
}

const inOrder = (room: Room): Ticket[] => [...room.first, ...room.rest]
