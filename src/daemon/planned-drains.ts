import { z } from 'zod'
import type { Clock, TimerHandle } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { parse } from '../core/parse.ts'
import type { DrainWish } from '../handover/drain-driver.ts'
import type { ControlStore } from '../store/control-store.ts'
import { checkedTime, DRAIN_LIMITS } from '../wire/drains.ts'

const PREFIX = 'drain-at/'
/** The time of day may be set anew meanwhile, and a drain that could not begin is tried again. */
const LOOK_EVERY_MS = 60_000

/** A drain that is to begin at a time of day, by this machine's clock. */
export interface PlannedDrain {
  readonly atMs: number
  readonly wish: DrainWish
  /** Who planned it. */
  readonly actor: string
  /** Why it has not begun although it is time; empty before. */
  readonly reason: string
}

const row = z.object({
  atMs: z.number(),
  actor: z.string(),
  wish: z.object({
    deadlineMs: z.number(),
    to: z.string().nullable(),
    toRepository: z.boolean(),
    exits: z.boolean()
  })
})

export interface PlannedDrainsDeps {
  readonly store: ControlStore
  readonly clock: Clock
  readonly log: Logger
  readonly isConnected: (peer: PeerIdText) => boolean
  /** Begins it now. Rejects where it cannot be done now. */
  readonly begin: (peer: PeerIdText, planned: PlannedDrain) => Promise<void>
  /** A plan came, went, or could not be carried out. */
  readonly changed: (peer: PeerIdText) => void
}

/**
 * Drains that are to begin later, at most one for each instance. They stay over restarts. One whose time has come while
 * its instance was away, or while it could not finish, begins late rather than never.
 */
export class PlannedDrains {
  readonly #deps: PlannedDrainsDeps
  readonly #planned = new Map<PeerIdText, PlannedDrain>()
  readonly #timers = new Map<PeerIdText, TimerHandle>()
  /** Of what is planned: what a former run has left. */
  readonly #former = new Set<PeerIdText>()

  constructor(deps: PlannedDrainsDeps) {
    this.#deps = deps
  }

  async load(): Promise<void> {
    for await (const { key, value } of this.#deps.store.list(PREFIX)) {
      const peer = parse.peer(key.slice(PREFIX.length))
      const { atMs, actor, wish } = row.parse(JSON.parse(Buffer.from(value).toString()))
      const to = wish.to === null ? null : parse.peer(wish.to)
      // What earlier versions have taken for a time is later than whatever can be told.
      this.#planned.set(peer, { atMs: Math.min(atMs, DRAIN_LIMITS.atMsMax), actor, wish: { ...wish, to }, reason: '' })
      this.#former.add(peer)
    }
  }

  /** From now on they begin when it is time. */
  start(): void {
    for (const peer of this.#planned.keys()) this.#arm(peer)
  }

  close(): void {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  of(peer: PeerIdText): PlannedDrain | null {
    return this.#planned.get(peer) ?? null
  }

  /** Those that a former run has left. */
  former(): PeerIdText[] {
    return [...this.#former]
  }

  /**
   * Durable on return. Another plan for the same instance is replaced.
   *
   * @throws NodeDaemonError `BAD_REQUEST` the time is too far away
   */
  async plan(peer: PeerIdText, planned: Omit<PlannedDrain, 'reason'>): Promise<void> {
    const { store, changed } = this.#deps
    checkedTime(planned.atMs)
    await store.put(PREFIX + peer, Buffer.from(JSON.stringify(planned)), { ifRevision: 'any' })
    this.#planned.set(peer, { ...planned, reason: '' })
    this.#former.delete(peer)
    this.#arm(peer)
    changed(peer)
  }

  /** Durable on return. False where there was none. */
  async forget(peer: PeerIdText): Promise<boolean> {
    if (!this.#planned.has(peer)) return false
    await this.#deps.store.remove(PREFIX + peer, { ifRevision: 'any' })
    const was = this.#planned.delete(peer)
    this.#former.delete(peer)
    this.#timers.get(peer)?.cancel()
    this.#timers.delete(peer)
    this.#deps.changed(peer)
    return was
  }

  /** The instance is there: what is late begins. */
  connected(peer: PeerIdText): void {
    if (this.#planned.has(peer)) this.#look(peer)
  }

  #arm(peer: PeerIdText): void {
    const { clock } = this.#deps
    this.#timers.get(peer)?.cancel()
    const leftMs = (this.#planned.get(peer)?.atMs ?? 0) - clock.wall()
    const waitMs = leftMs > 0 ? Math.min(leftMs, LOOK_EVERY_MS) : LOOK_EVERY_MS
    this.#timers.set(
      peer,
      clock.after(waitMs, () => this.#look(peer))
    )
  }

  #look(peer: PeerIdText): void {
    const planned = this.#planned.get(peer)
    if (planned === undefined) return
    this.#arm(peer)
    if (this.#deps.clock.wall() < planned.atMs) return
    if (!this.#deps.isConnected(peer)) return this.#note(peer, planned, 'the instance is away')
    this.#deps.begin(peer, planned).catch((error: unknown) => {
      this.#deps.log.warn({ peer, error: messageOf(error) }, 'a planned drain could not begin, to be tried again')
      this.#note(peer, planned, messageOf(error))
    })
  }

  #note(peer: PeerIdText, planned: PlannedDrain, reason: string): void {
    if (this.#planned.get(peer) !== planned) return
    this.#planned.set(peer, { ...planned, reason })
    this.#deps.changed(peer)
  }
}
