import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock, Instant, TimerHandle } from '../../core/clock.ts'
import { isWorkspaceId, type UserId, type WorkspaceId } from '../../core/ids.ts'
import { targetOf } from '../ingress.ts'

const LOOK_MS = 500
/** A request that has taken so long is not waited for where its workspace goes elsewhere. */
const LONG_MS = 3_000
/** A page whose scripts have asked for something so lately is taken for open: it would have to be loaded anew elsewhere. */
const RECENT_MS = 60_000
const REMEMBERED = 20_000

interface Stay {
  readonly workspace: WorkspaceId
  readonly user: UserId | null
  readonly epoch: number
  readonly since: Instant
  readonly isUpgrade: boolean
  readonly on: Duplex | ServerResponse
  /** Who asked may not any more. */
  over: boolean
}

/**
 * The requests of users that are under way past the front door. Nobody else would end those that take long, and connections
 * that speak another protocol by now, once their workspace is not served here any more.
 */
export class Stays {
  readonly #clock: Clock
  readonly #stays = new Set<Stay>()
  /** The latest request of a page that was loaded from here, of each workspace; the longest ago first. */
  readonly #latest = new Map<WorkspaceId, { readonly epoch: number; readonly at: Instant }>()
  #serves: (workspace: WorkspaceId, epoch: number) => boolean = () => true
  #timer: TimerHandle | null = null
  #closed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  watch(serves: (workspace: WorkspaceId, epoch: number) => boolean): void {
    this.#serves = serves
  }

  /**
   * `on`: what ends with the request, and can be broken off. `ofPage`: a page that was loaded from here asks. The header lines of
   * the request are those of a front door.
   */
  begin(
    request: IncomingMessage,
    on: Duplex | ServerResponse,
    ofPage: boolean
  ): { readonly epoch: number; end(): void } {
    const target = targetOf(request)
    const workspace = target?.workspace ?? null
    const epoch = target?.epoch ?? 0
    if (workspace === null || !isWorkspaceId(workspace)) return { epoch, end: () => undefined }
    const isUpgrade = !('writeHead' in on)
    const stay: Stay = {
      workspace,
      user: target?.user ?? null,
      epoch,
      since: this.#clock.now(),
      isUpgrade,
      on,
      over: false
    }
    const end = (): void => {
      this.#stays.delete(stay)
    }
    this.#stays.add(stay)
    if (ofPage) this.#note(workspace, epoch)
    on.once('close', end)
    this.#timer ??= this.#clock.after(LOOK_MS, () => this.#look())
    return { epoch, end }
  }

  /** Who asked must be let in anew: connections end now, and other requests unless they end soon by themselves. */
  endAll(): void {
    for (const stay of this.#stays) stay.over = true
    this.#breakOff()
  }

  /** The same for what one user has asked. */
  endOf(user: UserId): void {
    for (const stay of this.#stays) if (stay.user === user) stay.over = true
    this.#breakOff()
  }

  busy(): WorkspaceId[] {
    const held = [...this.#stays].filter((stay) => this.#isLong(stay)).map(({ workspace }) => workspace)
    const since = this.#clock.now() - RECENT_MS
    const open: WorkspaceId[] = []
    for (const [workspace, { epoch, at }] of this.#latest) {
      if (at < since || !this.#serves(workspace, epoch)) this.#latest.delete(workspace)
      else open.push(workspace)
    }
    return [...new Set([...held, ...open])]
  }

  #note(workspace: WorkspaceId, epoch: number): void {
    this.#latest.delete(workspace)
    this.#latest.set(workspace, { epoch, at: this.#clock.now() })
    if (this.#latest.size <= REMEMBERED) return
    const [oldest] = this.#latest.keys()
    if (oldest !== undefined) this.#latest.delete(oldest)
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    for (const { on } of [...this.#stays]) on.destroy()
  }

  #isLong({ isUpgrade, since }: Stay): boolean {
    return isUpgrade || this.#clock.now() - since >= LONG_MS
  }

  #breakOff(): void {
    for (const stay of [...this.#stays]) {
      if (this.#isLong(stay) && (stay.over || !this.#serves(stay.workspace, stay.epoch))) stay.on.destroy()
    }
  }

  #look(): void {
    this.#breakOff()
    this.#timer = this.#stays.size === 0 || this.#closed ? null : this.#clock.after(LOOK_MS, () => this.#look())
  }
}
