import { type Signed, seal } from '../core/envelope.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import { type OwnerId, type PeerIdText, type ServiceName, type WorkspaceId, workspaceId } from '../core/ids.ts'
import { KeyedMutex } from '../core/mutex.ts'
import { type Receipt, sealRecord } from '../core/records.ts'
import { homeOfNewcomer, whyNoHome } from '../placement/newcomers.ts'
import { adoptOrphans } from './adopt-orphans.ts'
import { orderAssume } from './assume.ts'
import type { DirectorDeps } from './director-deps.ts'
import { checkNotHeld, letGo, whyNobody } from './held.ts'
import type { Moved } from './moved.ts'
import type { Quieting } from './neighbours.ts'
import type { OwnedWorkspace, RemovedWorkspace } from './ownership-table.ts'
import { quiet } from './quiet.ts'
import { type StandbyOptions, Standbys } from './standbys.ts'
import { Successors } from './successors.ts'
import { assumed, beginMove, freeze, orphan, passes, promote, thaw, type WorkspaceState } from './workspace-state.ts'
import { initialState, WorkspaceStates } from './workspace-states.ts'

/** Handing a role over that needs no data. */
const ORDER_MS = 15_000
const FREEZE_MS = 15_000
const REPLACE_AGAIN_MS = 5000
/** Targets that are tried one after another before a workspace waits for a change among the instances. */
const ATTEMPTS_MAX = 4

/**
 * Replicates, then promotes. Everything that changes the home of a workspace goes through here, one at a time for
 * each workspace, always in the order: seal, base, swap, serve.
 */
export class Director {
  readonly #deps: DirectorDeps
  readonly #standbys: Standbys
  readonly #successors: Successors
  readonly #states: WorkspaceStates
  readonly #work = new KeyedMutex<WorkspaceId>()

  constructor(deps: DirectorDeps, options: StandbyOptions) {
    this.#deps = deps
    this.#states = new WorkspaceStates(deps.onTouch)
    this.#standbys = new Standbys(deps, options)
    this.#successors = new Successors(deps)
    for (const { signed } of deps.table.all()) this.#states.set(signed.value.workspace, initialState(signed.value.home))
  }

  state(workspace: WorkspaceId): WorkspaceState {
    return this.#states.get(workspace)
  }

  /** Resolves at the next change of this workspace's state or home. Rejects by the signal. */
  changed(workspace: WorkspaceId, signal: AbortSignal): Promise<void> {
    return this.#states.changed(workspace, signal)
  }

  /** Wakes whoever waits for a workspace, without a change of its state: its home came or went. */
  touch(workspace: WorkspaceId): void {
    this.#states.touch(workspace)
  }

  /**
   * A workspace for an owner that has none. On return its first home serves it.
   *
   * @throws NodeDaemonError `BUSY` when no instance can take it
   */
  async create(service: ServiceName, owner: OwnerId): Promise<WorkspaceId> {
    const { table, instances, clock, random } = this.#deps
    const existing = table.find(service, owner)
    if (existing !== null) return existing
    const workspace = workspaceId(random.bytes(16))
    const candidates = instances.candidates()
    const home = homeOfNewcomer(service, owner, candidates)
    if (home === null) throw new NodeDaemonError('BUSY', whyNoHome(service, candidates))
    const created = await table.create(workspace, { service, owner, home: home.peer, createdAtMs: clock.wall() })
    const id = created.signed.value.workspace
    if (id !== workspace) return id
    this.#set(id, { state: 'restoring' })
    try {
      await this.resume(id)
    } catch (error) {
      this.#deps.log.warn({ workspace, error: messageOf(error) }, 'the first home of a workspace went away')
      await this.failover(id, home.peer)
    }
    return id
  }

  /** The instance is connected: it is told again what it is home and standby of. What fails is logged. */
  async welcome(peer: PeerIdText): Promise<void> {
    const { table } = this.#deps
    const homes = table.homesOf(peer).map(({ signed }) => this.resume(signed.value.workspace))
    const standbys = table.standbysOf(peer).map(({ signed }) => this.#standbys.order(peer, signed, 'follow'))
    for (const outcome of await Promise.allSettled([...homes, ...standbys, this.adoptOrphans()])) {
      if (outcome.status === 'fulfilled') continue
      this.#deps.log.warn({ peer, error: messageOf(outcome.reason) }, 'an instance was not told everything')
    }
  }

  /** See `adoptOrphans`. */
  adoptOrphans(): Promise<void> {
    return adoptOrphans(this.#deps, (workspace, gone) => this.failover(workspace, gone))
  }

  /** The instance holds a workspace that is none of its own any more: it hands in what was not published, and lets go. */
  async dismiss(peer: PeerIdText, workspace: WorkspaceId): Promise<void> {
    const owned = this.#deps.table.get(workspace)
    if (owned === null) return
    const { home, standbys } = owned.signed.value
    if (home !== peer && !standbys.includes(peer)) await this.#standbys.order(peer, owned.signed, 'release')
  }

  /** Nobody reaches the workspace any more. Durable on return. See `OwnershipTable.remove`. @throws NodeDaemonError `BUSY` promotions are held; also what `check` throws */
  remove(workspace: WorkspaceId, check: () => void): Promise<RemovedWorkspace> {
    return this.#work.run(workspace, async () => {
      checkNotHeld(this.#deps)
      check()
      const removed = await this.#deps.table.remove(workspace)
      this.#states.delete(workspace)
      return removed
    })
  }

  /** The home of before serves again, in the same epoch where that is not sealed. */
  resume(workspace: WorkspaceId): Promise<void> {
    return this.#work.run(workspace, async () => {
      await this.#resume(workspace)
      void this.tend(workspace)
    })
  }

  async #resume(workspace: WorkspaceId): Promise<void> {
    const { instances, repository, clock, log } = this.#deps
    const state = this.state(workspace)
    if (this.#owned(workspace).signed.value.home === null) return
    if (state.state !== 'serving') this.#set(workspace, promote(state))
    const { home, epoch } = this.#owned(workspace).signed.value
    try {
      if ((await repository.sealedEpoch(workspace)) < epoch) {
        await this.#assume(workspace)
        return
      }
      // A promotion broke off between seal and swap: this epoch takes no more heads, and the home needs a new one.
      const choose = (tried: readonly PeerIdText[]): PeerIdText | null =>
        tried.length === 0 ? home : this.#successor(workspace, tried)
      await this.#promoteUntilServed(workspace, choose, clock.now(), [])
    } catch (error) {
      // A home that is away comes back or is found dead. One that is there and cannot serve is replaced.
      if (home === null || !instances.isConnected(home)) throw error
      log.error({ workspace, home, error: messageOf(error) }, 'a home cannot serve and is replaced')
      this.#set(workspace, promote(this.state(workspace)))
      await letGo(this.#deps, home, this.#owned(workspace).signed).catch((refused: unknown) => {
        this.#later(workspace, () => this.resume(workspace))
        throw refused
      })
      await this.#replace(workspace, home)
    }
  }

  /**
   * Hands a workspace over while its home lives: brings the target up to date, holds new requests, freezes, promotes.
   * `to` null: into the main repository, and nobody serves it meanwhile.
   *
   * @throws NodeDaemonError and the old home serves on, where it fails before the swap
   */
  move(
    workspace: WorkspaceId,
    to: PeerIdText | null,
    options: Quieting & { readonly keepAsStandby: boolean }
  ): Promise<Moved> {
    return this.#work.run(workspace, () => this.#move(workspace, to, options))
  }

  async #move(workspace: WorkspaceId, to: PeerIdText | null, options: Parameters<Director['move']>[2]): Promise<Moved> {
    const { clock, instances } = this.#deps
    checkNotHeld(this.#deps)
    const from = this.#owned(workspace).signed.value.home
    if (from === null) return this.#handOver(workspace, to, clock.now(), [])
    if (from === to) throw new NodeDaemonError('ILLEGAL_TRANSITION', `${instances.nameOf(from)} is the home already`)
    if (to !== null) {
      this.#set(workspace, beginMove(this.state(workspace), to))
      try {
        await this.#standbys.bringUpToDate(workspace, to, options.signal)
      } catch (error) {
        this.#set(workspace, thaw(this.state(workspace)))
        throw error
      }
    }
    const heldAt = clock.now()
    this.#set(workspace, freeze(this.state(workspace)))
    try {
      await quiet(this.#deps.clock, workspace, options)
      await instances.order(from, { kind: 'freeze', workspace }, FREEZE_MS)
      checkNotHeld(this.#deps)
      if (to !== null && !instances.isConnected(to)) {
        throw new NodeDaemonError('OUT_OF_REACH', `${instances.nameOf(to)} went away`)
      }
    } catch (error) {
      await this.#thaw(workspace, from)
      throw error
    }
    const moved = await this.#handOver(workspace, to, heldAt, options.keepAsStandby ? [from] : [])
    if (moved.to !== from) {
      await this.#standbys.order(from, this.#owned(workspace).signed, options.keepAsStandby ? 'follow' : 'release')
    }
    void this.tend(workspace)
    return moved
  }

  /** Another instance stands by in place of one. See `Standbys.replace`. @throws NodeDaemonError `BUSY` nothing is changed now */
  replaceStandby(workspace: WorkspaceId, from: PeerIdText, to: PeerIdText, signal: AbortSignal): Promise<void> {
    return this.#work.run(workspace, async () => {
      checkNotHeld(this.#deps)
      await this.#standbys.replace(workspace, from, to, signal)
    })
  }

  /**
   * Holds a workspace's requests while its home, which stays the home, does `work`. They pass again on return, also
   * where it fails: then as soon as the home is certain to serve.
   *
   * @throws NodeDaemonError `REFUSED_BY_POLICY` nobody serves the workspace now; `TIMED_OUT` requests in flight do not end
   */
  whileHeld<T>(workspace: WorkspaceId, options: Quieting, work: (home: PeerIdText) => Promise<T>): Promise<T> {
    return this.#work.run(workspace, async () => {
      const { home } = this.#owned(workspace).signed.value
      if (home === null || !passes(this.state(workspace)) || !this.#deps.instances.isConnected(home)) {
        throw new NodeDaemonError('REFUSED_BY_POLICY', 'no instance serves this workspace now', {
          advice: 'wait until one does (see: node-daemon workspaces ls), or restore it into a folder with --to DIR'
        })
      }
      this.#set(workspace, freeze(this.state(workspace)))
      try {
        await quiet(this.#deps.clock, workspace, options)
        const done = await work(home)
        this.#set(workspace, thaw(this.state(workspace)))
        return done
      } catch (error) {
        await this.#thaw(workspace, home)
        throw error
      }
    })
  }

  /** Where it fails before the swap, the frozen home serves on. */
  async #handOver(
    workspace: WorkspaceId,
    to: PeerIdText | null,
    heldAt: number,
    keep: readonly PeerIdText[]
  ): Promise<Moved> {
    const from = this.#owned(workspace).signed.value.home
    const choose = (tried: readonly PeerIdText[]): PeerIdText | null =>
      this.#successors.target(this.#owned(workspace).signed.value, to, tried)
    try {
      if (to === null) return await this.#promoteTo(workspace, choose, heldAt, keep)
      return await this.#promoteUntilServed(workspace, choose, heldAt, keep)
    } catch (error) {
      if (this.#owned(workspace).signed.value.home === from) await this.#resume(workspace)
      throw error
    }
  }

  async #thaw(workspace: WorkspaceId, home: PeerIdText): Promise<void> {
    const { instances, log } = this.#deps
    try {
      const ownership = this.#owned(workspace).signed.bytes
      await instances.order(home, { kind: 'thaw', ownership }, ORDER_MS)
      this.#set(workspace, thaw(this.state(workspace)))
    } catch (error) {
      // A home that is away is resumed when it connects, or taken over when it is dead. One that is slow is told again.
      log.warn({ workspace, error: messageOf(error) }, 'a home was not thawed')
      this.#set(workspace, promote(this.state(workspace)))
      this.#later(workspace, () => this.resume(workspace))
    }
  }

  /**
   * The home is gone: a standby takes over, or any other instance, which restores from the repository.
   * `gone`: the peer that must not be chosen. Nothing happens where another one is the home by now, or where none may take
   * over yet. Where nobody can, its epoch stays open: what it had not published is not in vain when it comes back.
   */
  failover(workspace: WorkspaceId, gone: PeerIdText | null): Promise<void> {
    return this.#work.run(workspace, async () => {
      const { value } = this.#owned(workspace).signed
      if (value.home !== gone || !this.#deps.instances.mayTakeOver(value)) return
      const reason = whyNobody(this.#deps, gone, () => this.#successor(workspace, [gone]))
      if (reason !== null) return this.#set(workspace, orphan(promote(this.state(workspace)), reason))
      await this.#replace(workspace, gone)
      void this.tend(workspace)
    })
  }

  /** An orphan without a taker stays as it is: its epoch is sealed already. */
  async #replace(workspace: WorkspaceId, gone: PeerIdText | null): Promise<void> {
    const { clock, instances } = this.#deps
    const choose = (tried: readonly PeerIdText[]): PeerIdText | null => this.#successor(workspace, [...tried, gone])
    if (this.#owned(workspace).signed.value.home === null && choose([]) === null) return
    await this.#promoteUntilServed(workspace, choose, clock.now(), [])
    // One that is there after all hands in what it had not published.
    if (gone !== null && instances.isConnected(gone)) {
      void this.#standbys.order(gone, this.#owned(workspace).signed, 'release')
    }
  }

  /** Promotes. Where nobody serves in the end, it is tried again a little later. */
  async #promoteUntilServed(
    workspace: WorkspaceId,
    choose: (tried: readonly PeerIdText[]) => PeerIdText | null,
    heldAt: number,
    keep: readonly PeerIdText[]
  ): Promise<Moved> {
    try {
      return await this.#promoteTo(workspace, choose, heldAt, keep)
    } finally {
      const { home } = this.#owned(workspace).signed.value
      if (!passes(this.state(workspace))) this.#later(workspace, () => this.failover(workspace, home))
    }
  }

  /** Tries it in a while, where nobody serves the workspace by then. */
  #later(workspace: WorkspaceId, work: () => Promise<void>): void {
    this.#deps.clock.after(REPLACE_AGAIN_MS, () => {
      if (passes(this.state(workspace))) return
      work().catch((error: unknown) => {
        this.#deps.log.warn({ workspace, error: messageOf(error) }, 'a workspace is still without a home')
      })
    })
  }

  /** Seal, base, swap, serve. Before the swap all of it may be abandoned; after it, all of it may be repeated. */
  async #promoteTo(
    workspace: WorkspaceId,
    choose: (tried: readonly PeerIdText[]) => PeerIdText | null,
    heldAt: number,
    keep: readonly PeerIdText[]
  ): Promise<Moved> {
    const { table, repository, clock, log } = this.#deps
    const from = this.#owned(workspace).signed.value.home
    const tried: PeerIdText[] = []
    this.#set(workspace, promote(this.state(workspace)))
    for (;;) {
      const { epoch, standbys } = this.#owned(workspace).signed.value
      const { base } = await repository.seal(workspace, epoch, (tip) =>
        seal(sealRecord, { workspace, epoch, head: tip?.cid ?? null, sealedAtMs: clock.wall() }, this.#deps.identity)
      )
      const to = choose(tried)
      const next = [...new Set([...standbys, ...keep])].filter(
        (peer) => peer !== to && (peer !== from || keep.includes(peer))
      )
      const owned = await table.swap(workspace, epoch, { home: to, standbys: next, base: base?.cid ?? null })
      const head = base === null ? null : await repository.head(base.cid)
      const moved = { workspace, from, to, epoch: owned.signed.value.epoch, base: head }
      if (to === null) {
        this.#set(workspace, orphan(this.state(workspace), 'no instance can serve it now'))
        return { ...moved, receipt: null, pauseMs: clock.now() - heldAt }
      }
      try {
        const receipt = await this.#assume(workspace)
        return { ...moved, receipt, pauseMs: clock.now() - heldAt }
      } catch (error) {
        log.warn({ workspace, to, error: messageOf(error) }, 'a new home did not take over')
        tried.push(to)
        if (tried.length >= ATTEMPTS_MAX) throw error
      }
    }
  }

  /** Has the home of the record serve. Requests pass on return. */
  async #assume(workspace: WorkspaceId): Promise<Signed<Receipt> | null> {
    const receipt = await orderAssume(this.#deps, this.#owned(workspace).signed)
    this.#set(workspace, assumed(this.state(workspace)))
    return receipt
  }

  /** Sees to it that the workspace has the standbys that it should have. Never rejects. */
  tend(workspace: WorkspaceId): Promise<void> {
    return this.#work.run(workspace, async () => {
      if (passes(this.state(workspace)) && this.#deps.hold.reason === null) await this.#standbys.tend(workspace)
    })
  }

  #successor(workspace: WorkspaceId, excluded: readonly (PeerIdText | null)[]): PeerIdText | null {
    return this.#successors.next(this.#owned(workspace).signed.value, excluded)
  }

  #owned(workspace: WorkspaceId): OwnedWorkspace {
    const owned = this.#deps.table.get(workspace)
    if (owned === null) throw new NodeDaemonError('NOT_FOUND', `no workspace ${workspace}`)
    return owned
  }

  #set(workspace: WorkspaceId, state: WorkspaceState): void {
    this.#states.set(workspace, state)
  }
}
