import type { Duplex } from 'node:stream'
import { aborted, type Clock, type TimerHandle } from '../core/clock.ts'
import { codeOf, messageOf } from '../core/errors.ts'
import type { WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { closeFrame, FrameMeter } from './frames.ts'

const SERVICE_RESTART = 1012
/** How long a connection may take to reach the end of a frame, and to close. */
const CLOSE_MS = 5_000

export interface SocketsDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly changed: (workspace: WorkspaceId, signal: AbortSignal) => Promise<void>
}

export interface UpgradedSocket {
  readonly client: Duplex
  readonly instance: Duplex
  readonly webSocket: boolean
  /** Null where it belongs to no workspace. */
  readonly workspace: WorkspaceId | null
  /** Is the workspace still served where this connection leads, and would its user be let in again? */
  readonly stays: () => boolean | Promise<boolean>
}

interface Group {
  readonly links: Set<Link>
  readonly leave: AbortController
}

/** Connections that speak another protocol than HTTP by now. They are closed when their workspace moves. */
export class Sockets {
  readonly #deps: SocketsDeps
  readonly #all = new Set<Link>()
  readonly #groups = new Map<WorkspaceId, Group>()

  constructor(deps: SocketsDeps) {
    this.#deps = deps
  }

  get size(): number {
    return this.#all.size
  }

  /** Is one open that belongs to this workspace? */
  has(workspace: WorkspaceId): boolean {
    return this.#groups.has(workspace)
  }

  /** Passes bytes both ways until one side ends. */
  join(socket: UpgradedSocket): void {
    const link = new Link(this.#deps.clock, socket)
    this.#all.add(link)
    const group = socket.workspace === null ? null : this.#groupOf(socket.workspace)
    group?.links.add(link)
    link.start(() => {
      this.#all.delete(link)
      if (group === null || socket.workspace === null) return
      group.links.delete(link)
      if (group.links.size === 0) this.#dissolve(socket.workspace, group)
    })
  }

  /** Closes everything, as for a move. */
  close(): void {
    for (const link of [...this.#all]) link.close()
  }

  destroy(): void {
    for (const link of [...this.#all]) link.destroy()
  }

  #groupOf(workspace: WorkspaceId): Group {
    const known = this.#groups.get(workspace)
    if (known !== undefined) return known
    const group: Group = { links: new Set(), leave: new AbortController() }
    this.#groups.set(workspace, group)
    void this.#watch(workspace, group)
    return group
  }

  #dissolve(workspace: WorkspaceId, group: Group): void {
    if (this.#groups.get(workspace) === group) this.#groups.delete(workspace)
    group.leave.abort(aborted(undefined))
  }

  async #watch(workspace: WorkspaceId, group: Group): Promise<void> {
    const { signal } = group.leave
    try {
      while (!signal.aborted) {
        await this.#deps.changed(workspace, signal)
        for (const link of [...group.links]) this.#look(link)
      }
    } catch (error) {
      if (signal.aborted) return
      this.#deps.log.error({ workspace, error, code: codeOf(error) }, 'a workspace cannot be watched for changes')
      for (const link of [...group.links]) link.close()
    }
  }

  #look(link: Link): void {
    const stays = link.stays()
    if (stays === false) return link.close()
    if (stays === true) return
    stays.then(
      (still) => {
        if (!still) link.close()
      },
      (error: unknown) =>
        this.#deps.log.warn({ error: messageOf(error) }, 'whose connection it is cannot be found out now')
    )
  }
}

/** One connection between a client and an instance. */
class Link {
  readonly #clock: Clock
  readonly #socket: UpgradedSocket
  readonly #meter = new FrameMeter()
  #state: 'open' | 'closing' | 'closed' = 'open'
  #timer: TimerHandle | null = null

  constructor(clock: Clock, socket: UpgradedSocket) {
    this.#clock = clock
    this.#socket = socket
  }

  stays(): boolean | Promise<boolean> {
    return this.#socket.stays()
  }

  start(onEnd: () => void): void {
    const { client, instance } = this.#socket
    client.on('error', () => undefined)
    instance.on('error', () => undefined)
    client.once('close', () => {
      this.#timer?.cancel()
      this.#state = 'closed'
      instance.destroy()
      onEnd()
    })
    // What the instance said last may still be on its way to the client.
    instance.once('close', () => this.#finish(null))
    client.pipe(instance)
    client.on('drain', () => instance.resume())
    instance.on('data', (bytes: Buffer) => this.#towardsClient(bytes))
    instance.once('end', () => this.#finish(null))
    if (instance.destroyed) this.#finish(null)
  }

  /** Closes with 1012 at the end of the current frame, so that the client connects again. */
  close(): void {
    if (this.#state !== 'open') return
    if (!this.#socket.webSocket || this.#meter.atBoundary) return this.#finish(SERVICE_RESTART)
    this.#state = 'closing'
    this.#destroyLater()
  }

  destroy(): void {
    this.#socket.client.destroy()
  }

  #towardsClient(bytes: Buffer): void {
    const { client, instance, webSocket } = this.#socket
    if (client.writableEnded) return
    const end = webSocket ? this.#meter.push(bytes) : -1
    if (this.#state === 'closing' && end !== -1) {
      client.write(bytes.subarray(0, end))
      this.#finish(SERVICE_RESTART)
    } else if (!client.write(bytes)) instance.pause()
  }

  /** Lets the client have what was said so far, and ends. */
  #finish(code: number | null): void {
    const { client, instance, webSocket } = this.#socket
    if (this.#state === 'closed' || client.writableEnded) return
    this.#state = 'closing'
    client.unpipe(instance)
    client.resume()
    if (code !== null && webSocket) client.end(closeFrame(code))
    else client.end()
    if (code !== null) instance.destroy()
    this.#destroyLater()
  }

  #destroyLater(): void {
    this.#timer ??= this.#clock.after(CLOSE_MS, () => this.destroy())
  }
}
