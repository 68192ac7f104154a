import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { forEachParallel } from '../core/parallel.ts'
import type { Director } from '../handover/director.ts'
import type { FailureDetector } from '../handover/failure-detector.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { Spread } from '../handover/spread.ts'
import type { Audit } from '../membership/audit.ts'
import type { ControlEvents, ControlServer, Session } from '../membership/control-server.ts'
import type { Member } from '../membership/member.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import type { Host } from '../network/host.ts'
import type { DrainRequest, StopIntent } from '../wire/control.ts'
import type { Changes } from './changes.ts'
import type { Drains } from './drains.ts'
import type { Fleet } from './fleet.ts'
import type { Neighbourhood } from './neighbourhood.ts'

/** So that the last word reaches a peer before its connections are cut. */
const CUT_AFTER_MS = 500
const FAILOVERS_AT_ONCE = 64

export interface CaretakerDeps {
  readonly registry: MemberRegistry
  readonly table: OwnershipTable
  readonly director: Director
  readonly fleet: Fleet
  readonly drains: Drains
  readonly detector: FailureDetector
  readonly spread: Pick<Spread, 'look'>
  readonly neighbourhood: Neighbourhood
  readonly changes: Changes
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Logger
  readonly standbys: number
  readonly isStopping: () => boolean
  readonly control: () => ControlServer
  readonly network: () => Host
  readonly dropHome: (home: PeerIdText) => void
}

/** What the coordinator does when instances come, go, die, or are decided about. */
export class Caretaker implements ControlEvents {
  readonly #deps: CaretakerDeps

  constructor(deps: CaretakerDeps) {
    this.#deps = deps
  }

  opened(session: Session): void {
    const { fleet, changes, log } = this.#deps
    fleet.noteSeen(session.peer)
    changes.tell('peers')
    this.#deps.neighbourhood.opened(session)
    this.#welcome(session).catch((error: unknown) => {
      log.warn({ peer: session.peer, error: messageOf(error) }, 'an instance was not told everything')
    })
  }

  async #welcome({ peer, hello }: Session): Promise<void> {
    const { detector, drains, director, table, standbys } = this.#deps
    detector.connected(peer)
    await drains.returned(peer)
    await director.welcome(peer)
    for (const { workspace } of hello.workspaces) await director.dismiss(peer, workspace)
    for (const { signed } of table.all()) {
      if (signed.value.standbys.length < standbys) await director.tend(signed.value.workspace)
    }
    this.#deps.spread.look()
  }

  closed(session: Session, replaced: boolean): void {
    const { isStopping, fleet, detector, table, director, changes } = this.#deps
    if (replaced || isStopping()) return
    this.#deps.neighbourhood.closed(session.peer)
    const homes = table.homesOf(session.peer)
    // A workspace may have come to a drained instance at the last moment.
    if (!fleet.isDrained(session.peer) || homes.length > 0) detector.lost(session.peer, session)
    for (const { signed } of homes) director.touch(signed.value.workspace)
    changes.tell('peers')
  }

  heartbeat(session: Session): void {
    const { fleet, table } = this.#deps
    fleet.noteSeen(session.peer)
    // Only a home knows what its workspaces use.
    const usage = session.heartbeat?.usage ?? []
    fleet.noteUsage(usage.filter(({ workspace }) => table.get(workspace)?.signed.value.home === session.peer))
  }

  stopping({ peer }: Session, intent: StopIntent): void {
    this.#record(peer, `peer.stopping.${intent}`, {})
  }

  drain(session: Session, request: DrainRequest): void {
    const { drains } = this.#deps
    const { deadlineMs, to, toRepository } = request
    const wish = { deadlineMs, to, toRepository }
    session.tellDrain(
      request.planOnly ? drains.preview(session.peer, wish) : drains.start(session.peer, wish, session.peer)
    )
  }

  drainCancel(session: Session): void {
    const report = this.#deps.drains.cancel(session.peer)
    if (report !== null) session.tellDrain(report)
  }

  /** The instance is dead: whatever it was home or standby of is seen to. Never rejects. */
  async takeOver(peer: PeerIdText): Promise<void> {
    const { table, director, fleet, changes, log, dropHome } = this.#deps
    const homes = table.homesOf(peer).map(({ signed }) => signed.value.workspace)
    log.warn(
      { peer, name: fleet.nameOf(peer), workspaces: homes.length },
      'an instance is dead; its standbys take over'
    )
    dropHome(peer)
    changes.tell('peers')
    this.#record(peer, 'peer.dead', { workspaces: homes.length })
    await forEachParallel(homes, FAILOVERS_AT_ONCE, async (workspace) => {
      await director.failover(workspace, peer).catch((error: unknown) => {
        log.error({ peer, workspace, error: messageOf(error) }, 'a failover failed')
      })
    })
    for (const { signed } of table.standbysOf(peer)) await director.tend(signed.value.workspace)
  }

  /** An admin, an invite or the peer itself decided about a membership. */
  decided({ peerId, state, reason }: Member): void {
    const { changes, control, registry, spread, neighbourhood } = this.#deps
    changes.tell('peers')
    if (state === 'pending') return
    if (state !== 'approved') this.#expel(peerId, state === 'denied' ? 'DENIED' : 'REVOKED', reason)
    // Members that listen let in whom it names, and cut off whom it does not name any more.
    for (const session of control().sessions()) session.tellMembers(registry.memberList())
    if (state === 'approved') neighbourhood.relabelled(peerId)
    else neighbourhood.closed(peerId)
    spread.look()
  }

  /** Ends the connections of a peer that is no member any more; what it was home of goes elsewhere at once. */
  #expel(peer: PeerIdText, code: 'DENIED' | 'REVOKED', reason: string): void {
    const { control, clock, network, detector } = this.#deps
    const session = control().session(peer)
    session?.end(code, reason)
    clock.after(CUT_AFTER_MS, () => network().cut(peer, reason))
    const now = clock.now()
    detector.lost(peer, { heardAt: now, intent: 'leave', leaseGrantedAt: session?.leaseGrantedAt ?? now })
  }

  #record(peer: PeerIdText, action: string, details: Readonly<Record<string, unknown>>): void {
    this.#deps.audit({ actor: 'coordinator', action, target: peer, details }).catch((error: unknown) => {
      this.#deps.log.error({ error: messageOf(error) }, 'the audit log was not written')
    })
  }
}
