import { type Clock, type Instant, sleep, withTimeout } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { RebalanceMove } from '../placement/plan-rebalance.ts'
import {
  AT_REST,
  beginRebalance,
  counted,
  endRebalance,
  goOn,
  holdRebalance,
  type Rebalance,
  type RebalanceTrigger
} from './rebalance.ts'

/** How often it is looked whether there is a reason to rebalance, or whether one that waits can go on. */
const LOOK_EVERY_MS = 30_000
/** An instance has to serve for so long before workspaces are moved to it: one that comes and goes gets none. */
const SETTLED_MS = 2 * 60_000
/** Moves at the same time, and the rest after them: users and syncing come first. */
const AT_ONCE = 2
const PAUSE_MS = 5000
/** Moves of one plan, which looks at all workspaces. What has changed by their turn is seen when they are carried out. */
const BATCH = 20
/** Where nothing can be done for a full disk, it is looked again after so long. */
const DISK_AGAIN_MS = 10 * 60_000
/** The longest that one move may take. */
const MOVE_MS = 60 * 60_000
/** So many that fail one after another, and it is given up until there is a new reason. */
const FAILURES_MAX = 10

export interface RebalancerDeps {
  /** What there is to move, at most `max`. `anyhow`: also of workspaces that are in use now. */
  readonly plan: (max: number, anyhow: boolean) => readonly RebalanceMove[]
  /** The instances that serve and take workspaces, and whether they have to give some away. */
  readonly instances: () => readonly { readonly peer: PeerIdText; readonly shortOfRoom: boolean }[]
  /** What comes first and is under way; null where nothing is. */
  readonly blocked: () => string | null
  /** Rejects where it cannot be done any more as it was planned, or not now. */
  readonly carryOut: (move: RebalanceMove, signal: AbortSignal) => Promise<void>
  readonly onBegun: (trigger: RebalanceTrigger, actor: string) => void
  readonly onEnded: (last: NonNullable<Extract<Rebalance, { readonly state: 'idle' }>['last']>, actor: string) => void
  readonly onChange: () => void
  readonly clock: Clock
  readonly log: Logger
}

/** Spreads idle workspaces over the instances that there are: slowly, and after everything that has to come first. */
export class Rebalancer {
  readonly #deps: RebalancerDeps
  readonly #closed = new AbortController()
  /** Since when each instance has served without a break, as far as it was looked. */
  readonly #since = new Map<PeerIdText, Instant>()
  /** Instances for which it was looked already whether they get something. */
  readonly #considered = new Set<PeerIdText>()
  readonly #failing = new Set<WorkspaceId>()
  #queue: RebalanceMove[] = []
  #diskLookedAt = Number.NEGATIVE_INFINITY
  #rebalance: Rebalance = AT_REST
  #stopped = new AbortController()
  #round: Promise<void> | null = null
  #watching: Promise<void> | null = null

  constructor(deps: RebalancerDeps) {
    this.#deps = deps
  }

  get current(): Rebalance {
    return this.#rebalance
  }

  /** What it would do now, if nobody used the workspaces. */
  plan(max: number): readonly RebalanceMove[] {
    return this.#deps.plan(max, true)
  }

  /** Looks from now on by itself whether there is a reason. */
  watch(): void {
    this.#watching ??= this.#watch()
  }

  /** Begins; where one is under way it is that one. Where there is nothing to move, it ends at once. */
  begin(trigger: RebalanceTrigger, actor: string): void {
    if (this.#round !== null || this.#closed.signal.aborted) return
    this.#stopped = new AbortController()
    this.#failing.clear()
    this.#queue = []
    this.#become(beginRebalance(this.#rebalance, trigger))
    this.#deps.onBegun(trigger, actor)
    this.#round = this.#run(actor).finally(() => {
      this.#round = null
    })
  }

  /** Nothing more is begun; what is under way comes to its end. @throws NodeDaemonError `REFUSED_BY_POLICY` none is under way */
  stop(): void {
    if (this.#round === null) throw new NodeDaemonError('REFUSED_BY_POLICY', 'no rebalance is under way')
    this.#stopped.abort(new NodeDaemonError('ABORTED', 'stopped by an admin'))
  }

  async close(): Promise<void> {
    this.#closed.abort(new NodeDaemonError('CLOSED', 'the coordinator is stopping'))
    this.#stopped.abort(this.#closed.signal.reason)
    await this.#round
    await this.#watching
  }

  async #watch(): Promise<void> {
    const { clock } = this.#deps
    while (await slept(clock, LOOK_EVERY_MS, this.#closed.signal)) {
      const trigger = this.#trigger()
      if (trigger !== null && this.#round === null) this.begin(trigger, 'coordinator')
    }
  }

  #trigger(): RebalanceTrigger | null {
    const instances = this.#deps.instances()
    const joined = this.#settled(instances.map(({ peer }) => peer)).filter((peer) => !this.#considered.has(peer))
    const now = this.#deps.clock.now()
    const isFull = now - this.#diskLookedAt >= DISK_AGAIN_MS && instances.some(({ shortOfRoom }) => shortOfRoom)
    if ((joined.length === 0 && !isFull) || this.#deps.blocked() !== null) return null
    for (const peer of joined) this.#considered.add(peer)
    if (isFull) this.#diskLookedAt = now
    const [first] = this.#deps.plan(1, joined.length > 0)
    if (first === undefined) return null
    return first.reason === 'disk' ? 'disk' : joined.length > 0 ? 'joined' : null
  }

  /** Those that have served for a while. Who is not there is forgotten: it may be empty when it comes back. */
  #settled(present: readonly PeerIdText[]): PeerIdText[] {
    const now = this.#deps.clock.now()
    for (const peer of [...this.#since.keys(), ...this.#considered]) {
      if (present.includes(peer)) continue
      this.#since.delete(peer)
      this.#considered.delete(peer)
    }
    return present.filter((peer) => {
      const since = this.#since.get(peer) ?? now
      this.#since.set(peer, since)
      return now - since >= SETTLED_MS
    })
  }

  async #run(actor: string): Promise<void> {
    const { clock, log } = this.#deps
    const { signal } = this.#stopped
    let end = 'nothing is left to move'
    try {
      for (let moves = this.#next(); moves !== null && !signal.aborted; moves = this.#next()) {
        await Promise.all(moves.map((move) => this.#carryOut(move)))
        if (this.#failing.size >= FAILURES_MAX) {
          end = 'too many moves failed'
          break
        }
        await slept(clock, PAUSE_MS, signal)
      }
      if (signal.aborted) end = messageOf(signal.reason)
    } catch (error) {
      end = messageOf(error)
      log.error({ error: end }, 'a rebalance broke off')
    }
    const ended = endRebalance(this.#rebalance, end)
    this.#become(ended)
    if (ended.state === 'idle' && ended.last !== null) this.#deps.onEnded(ended.last, actor)
  }

  /** What is moved now; empty while it waits; null where nothing is left. */
  #next(): readonly RebalanceMove[] | null {
    const { plan, blocked } = this.#deps
    const reason = blocked()
    if (reason !== null) return this.#waits(reason)
    const open = (moves: readonly RebalanceMove[]): RebalanceMove[] =>
      moves.filter(({ workspace }) => !this.#failing.has(workspace))
    const max = BATCH + this.#failing.size
    if (this.#queue.length === 0) this.#queue = open(plan(max, false))
    if (this.#queue.length > 0) {
      if (this.#rebalance.state === 'waiting') this.#become(goOn(this.#rebalance))
      return this.#queue.splice(0, AT_ONCE)
    }
    return open(plan(max, true)).length === 0 ? null : this.#waits('the workspaces that are to be moved are in use')
  }

  #waits(reason: string): readonly [] {
    this.#queue = []
    this.#become(holdRebalance(this.#rebalance, reason))
    return []
  }

  async #carryOut(move: RebalanceMove): Promise<void> {
    const { clock, carryOut, log } = this.#deps
    const { workspace, from, to, role } = move
    try {
      await withTimeout(clock, MOVE_MS, 'a move', (signal) => carryOut(move, signal), this.#closed.signal)
      this.#failing.clear()
      this.#become(counted(this.#rebalance, true))
    } catch (error) {
      log.warn({ workspace, role, from, to, error: messageOf(error) }, 'a workspace was not moved to even the load')
      this.#failing.add(workspace)
      this.#become(counted(this.#rebalance, false))
    }
  }

  #become(rebalance: Rebalance): void {
    const before = this.#rebalance
    this.#rebalance = rebalance
    if (JSON.stringify(before) !== JSON.stringify(rebalance)) this.#deps.onChange()
  }
}

/** False where the signal came first. */
async function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(clock, ms, signal)
    return true
  } catch {
    return false
  }
}
