import type { Clock, Instant } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { PeerIdText, WorkspaceId } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { OneRun } from '../core/one-run.ts'
import { forEachParallel } from '../core/parallel.ts'
import type { Director } from '../handover/director.ts'
import type { DeathCause, FailureDetector, FailureEvents } from '../handover/failure-detector.ts'
import type { Quieting } from '../handover/neighbours.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { PromotionHold } from '../handover/promotion-hold.ts'
import type { Recovery } from '../handover/recovery.ts'
import type { Removals } from '../handover/removals.ts'
import type { Spread } from '../handover/spread.ts'
import type { Tending } from '../handover/tending.ts'
import type { ControlEvents, ControlServer, Session } from '../membership/control-server.ts'
import type { Member } from '../membership/member.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import type { Host } from '../network/host.ts'
import type { DoorSessions } from '../routing/doors/door-sessions.ts'
import type { RouteBook } from '../routing/routes/book.ts'
import type { DrainRequest, StopIntent } from '../wire/control.ts'
import type { Changes } from './changes.ts'
import type { LiveSights } from './drain-sights.ts'
import type { Drains } from './drains.ts'
import type { Fleet } from './fleet.ts'
import type { Neighbourhood } from './neighbourhood.ts'
import type { Presence } from './presence.ts'
import { moveUnoffered } from './unoffered.ts'

/** So that the last word reaches a peer before its connections are cut. */
const CUT_AFTER_MS = 500
const FAILOVERS_AT_ONCE = 64
/** Members that are away when a recovery ends get so long to come back. */
const BACK_MS = 10_000

export interface CaretakerDeps {
  readonly registry: MemberRegistry
  readonly table: OwnershipTable
  readonly director: Director
  readonly fleet: Fleet
  readonly drains: Drains
  readonly recovery: () => Recovery
  readonly removals: Pick<Removals, 'welcome'>
  readonly sights: LiveSights
  readonly detector: FailureDetector
  readonly spread: Pick<Spread, 'look'>
  readonly tending: Pick<Tending, 'look'>
  readonly neighbourhood: Neighbourhood
  readonly routeBook: Pick<RouteBook, 'opened' | 'closed' | 'relabelled'>
  readonly presence: Presence
  readonly hold: PromotionHold
  readonly changes: Changes
  readonly clock: Clock
  readonly log: Logger
  readonly idle: Quieting['idle']
  readonly isStopping: () => boolean
  readonly control: () => ControlServer
  readonly network: () => Host
  readonly dropHome: (home: PeerIdText) => void
  readonly doors?: Pick<DoorSessions, 'membersChanged' | 'end'>
}

/** What the coordinator does when instances come, go, die, or are decided about. */
export class Caretaker implements ControlEvents, FailureEvents {
  readonly #deps: CaretakerDeps
  readonly #redeclared: OneRun

  constructor(deps: CaretakerDeps) {
    this.#deps = deps
    this.#redeclared = new OneRun(
      () => this.#lookAgain(),
      (error) => deps.log.warn({ error: messageOf(error) }, 'who can run which service was not looked at')
    )
    deps.hold.onChange(() => this.#heldOrNot())
  }

  opened(session: Session): void {
    const { fleet, presence, changes, log } = this.#deps
    fleet.noteSeen(session.peer)
    presence.opened(session.peer)
    changes.tell('peers')
    this.#deps.neighbourhood.opened(session)
    this.#deps.routeBook.opened(session.peer)
    this.#welcome(session).catch((error: unknown) => {
      log.warn({ peer: session.peer, error: messageOf(error) }, 'an instance was not told everything')
    })
  }

  async #welcome(session: Session): Promise<void> {
    const { peer, hello } = session
    const { recovery, drains, director, tending, removals } = this.#deps
    if (await recovery().met(session)) return
    await drains.returned({ peer })
    await director.welcome(peer)
    for (const { workspace } of hello.workspaces) await director.dismiss(peer, workspace)
    await removals.welcome(peer)
    tending.look()
    await this.#relieve(session)
  }

  /** What it is home of and cannot run goes elsewhere. */
  async #relieve(session: Session): Promise<void> {
    const { fleet } = this.#deps
    const usedBytes = fleet.usedBytes.bind(fleet)
    const { services } = fleet.runnable(session)
    await moveUnoffered({ ...this.#deps, instances: fleet, usedBytes }, session.peer, services)
  }

  /** Services are declared otherwise, or an instance has other labels: who can run what may be another now. */
  redeclared(): void {
    this.#redeclared.ask()
  }

  async #lookAgain(): Promise<void> {
    const { control, fleet, tending, isStopping } = this.#deps
    tending.look()
    for (const session of control().sessions()) {
      if (!isStopping() && fleet.runnable(session).unfit.size > 0) await this.#relieve(session)
    }
  }

  /** A recovery has ended: who has come meanwhile is told now, and who was told before is told again. */
  async recovered(adopted: readonly WorkspaceId[]): Promise<void> {
    const { control, director, table, registry, fleet, detector, log } = this.#deps
    for (const { peerId, state, role } of registry.members()) {
      if (state === 'approved' && role === 'instance' && !fleet.isConnected(peerId)) detector.awaited(peerId, BACK_MS)
    }
    const sessions = control().sessions()
    const welcomed = await Promise.allSettled(sessions.map((session) => this.#welcome(session)))
    for (const [index, outcome] of welcomed.entries()) {
      if (outcome.status === 'fulfilled') continue
      log.warn({ peer: sessions[index]?.peer, error: messageOf(outcome.reason) }, 'an instance was not told everything')
    }
    for (const workspace of adopted) {
      for (const former of table.get(workspace)?.formerHomes ?? []) {
        if (fleet.isConnected(former)) await director.dismiss(former, workspace)
      }
    }
  }

  closed(session: Session, replaced: boolean): void {
    const { isStopping, presence, table, director, changes } = this.#deps
    if (replaced || isStopping()) return
    this.#deps.neighbourhood.closed(session.peer)
    this.#deps.routeBook.closed(session.peer)
    presence.closed(session)
    for (const { signed } of table.homesOf(session.peer)) director.touch(signed.value.workspace)
    changes.tell('peers')
  }

  heartbeat(session: Session): void {
    const { fleet, table, sights, drains } = this.#deps
    fleet.noteSeen(session.peer)
    sights.heard(session)
    drains.heard(session)
    // Only a home knows what its workspaces use.
    const usage = session.heartbeat?.usage ?? []
    fleet.noteUsage(usage.filter(({ workspace }) => table.get(workspace)?.signed.value.home === session.peer))
  }

  stopping({ peer }: Session, intent: StopIntent): void {
    this.#deps.presence.stopping(peer, intent)
  }

  /** What an instance's own command asks for: its process ends with the drain. */
  drain(session: Session, request: DrainRequest): void {
    const { drains, log } = this.#deps
    const { peer } = session
    const { deadlineMs, to, toRepository, planOnly, atMs } = request
    const wish = { deadlineMs, to, toRepository, exits: true }
    if (planOnly) return session.tellDrain(drains.preview(peer, wish))
    const begun = atMs === null ? drains.start(peer, wish, peer) : drains.plan(peer, atMs, wish, peer)
    begun
      .then((report) => session.tellDrain(report))
      .catch((error: unknown) => log.error({ peer, error: messageOf(error) }, 'a drain could not begin'))
  }

  drainCancel(session: Session): void {
    const { drains, log } = this.#deps
    drains
      .cancel(session.peer, session.peer)
      .then((report) => {
        if (report !== null) session.tellDrain(report)
      })
      .catch((error: unknown) =>
        log.error({ peer: session.peer, error: messageOf(error) }, 'a drain was not cancelled')
      )
  }

  /** The instance is dead: whatever it was home or standby of is seen to, now or once promotions are not held any more. */
  dead(peer: PeerIdText, cause: DeathCause): void {
    this.#deps.changes.tell('peers')
    if (this.#deps.presence.died(peer, cause)) void this.#takeOver(peer)
  }

  /** What had to wait for the end of its lease is seen to. */
  leaseOver(peer: PeerIdText): void {
    if (this.#deps.hold.reason === null) void this.#takeOver(peer)
  }

  #heldOrNot(): void {
    const { hold, detector, director, changes, tending, log } = this.#deps
    changes.tell('peers')
    if (hold.reason !== null) return
    const all = detector.dead().map((peer) => this.#takeOver(peer))
    const seenTo = Promise.all(all)
      .then(() => director.adoptOrphans())
      .finally(() => tending.look())
    seenTo.catch((error: unknown) => log.error({ error: messageOf(error) }, 'not every failover was made up for'))
  }

  /** Never rejects. */
  async #takeOver(peer: PeerIdText): Promise<void> {
    const { table, director, presence, changes, log, dropHome } = this.#deps
    const homes = table.homesOf(peer).map(({ signed }) => signed.value.workspace)
    presence.givenUp(peer)
    dropHome(peer)
    changes.tell('peers')
    await forEachParallel(homes, FAILOVERS_AT_ONCE, async (workspace) => {
      await director.failover(workspace, peer).catch((error: unknown) => {
        log.error({ peer, workspace, error: messageOf(error) }, 'a failover failed')
      })
    })
    for (const { signed } of table.standbysOf(peer)) await director.tend(signed.value.workspace)
  }

  /** An admin, an invite or the peer itself decided about a membership. */
  decided({ peerId, state, reason, role }: Member): void {
    const { changes, control, registry, drains, spread, neighbourhood, routeBook } = this.#deps
    changes.tell('peers')
    if (state === 'pending') return
    if (state !== 'approved') {
      drains.dismissed(peerId)
      // What it was home of goes elsewhere at once.
      const leaseGrantedAt = this.#expel(peerId, state === 'denied' ? 'DENIED' : 'REVOKED', reason)
      if (role !== 'front-door') this.#deps.presence.expelled(peerId, leaseGrantedAt)
    }
    // Members that listen let in whom it names, and cut off whom it does not name any more.
    for (const session of control().sessions()) {
      if (state === 'approved' || session.peer !== peerId) session.tellMembers(registry.memberList())
    }
    this.#deps.doors?.membersChanged(registry.memberList())
    if (state === 'approved') {
      neighbourhood.relabelled(peerId)
      routeBook.relabelled(peerId)
      this.redeclared()
    } else neighbourhood.closed(peerId)
    spread.look()
  }

  /** Ends the connections of a peer that is no member any more. When its last lease was granted; null where it has none. */
  #expel(peer: PeerIdText, code: 'DENIED' | 'REVOKED', reason: string): Instant | null {
    const { control, clock, network, doors } = this.#deps
    doors?.end(peer, code, reason)
    const session = control().session(peer)
    session?.end(code, reason)
    clock.after(CUT_AFTER_MS, () => network().cut(peer, reason))
    return session?.leaseGrantedAt ?? null
  }
}
