import type { Clock, Instant } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { Brake, type BrakeRelease } from '../handover/brake.ts'
import type { DeathCause, FailureDetector } from '../handover/failure-detector.ts'
import type { LastWords } from '../handover/last-words.ts'
import type { Loss } from '../handover/mass-loss.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { PromotionHold } from '../handover/promotion-hold.ts'
import type { Audit } from '../membership/audit.ts'
import type { ControlServer, Session } from '../membership/control-server.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import type { StopIntent } from '../wire/control.ts'
import type { Changes } from './changes.ts'
import type { Fleet } from './fleet.ts'

const WINDOW_MS = 30_000
const SETTLE_MS = 10_000

export interface PresenceDeps {
  readonly registry: Pick<MemberRegistry, 'members' | 'standing'>
  readonly table: Pick<OwnershipTable, 'all' | 'homesOf'>
  readonly fleet: Pick<Fleet, 'isDrained' | 'nameOf'>
  readonly detector: FailureDetector
  readonly lastWords: LastWords
  readonly hold: PromotionHold
  readonly control: () => Pick<ControlServer, 'sessions'>
  readonly changes: Changes
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Logger
}

export interface PresenceOptions {
  readonly failoverAfterMs: number
  readonly leaseMs: number
  readonly silentMs: number
  readonly heartbeatMs: number
}

const DEATHS: Readonly<Record<DeathCause, string>> = {
  silence: 'peer.dead',
  'restart-overdue': 'peer.restart-overdue',
  announced: 'peer.taken-over'
}

/** Tells a restart, a leave and a death apart, from an instance's first word to the last line of the audit log. */
export class Presence implements Disposable {
  readonly #deps: PresenceDeps
  readonly #brake: Brake
  readonly #awaySince = new Map<PeerIdText, Instant>()

  constructor(deps: PresenceDeps, options: PresenceOptions) {
    const { hold, control, registry, fleet, clock } = deps
    this.#deps = deps
    this.#brake = new Brake(
      {
        hold,
        sessions: () => control().sessions(),
        counts: (peer) => registry.standing(peer) === 'member' && !fleet.isDrained(peer),
        onEngaged: (loss) => this.#engaged(loss),
        onReleased: (release) => this.#released(release),
        clock
      },
      {
        windowMs: Math.max(WINDOW_MS, options.failoverAfterMs + options.leaseMs),
        settleMs: SETTLE_MS,
        // Where the line to all of them broke, the others are found silent at most a heartbeat later.
        quietMs: options.silentMs - 1.5 * options.heartbeatMs
      }
    )
  }

  /** The coordinator starts: everybody is away, and gets at least `graceMs` to come back. */
  begin(graceMs: number): void {
    const { registry, table, fleet, detector, lastWords } = this.#deps
    const homes = new Set([...table.all()].map(({ signed }) => signed.value.home))
    // A version before this one kept no last words.
    const isFirst = lastWords.isEmpty
    for (const { peerId, state, role } of registry.members()) {
      if (role === 'front-door') continue
      if (state === 'approved') {
        if (isFirst && homes.has(peerId) && !fleet.isDrained(peerId)) lastWords.note(peerId, 'serving')
        const word = lastWords.of(peerId)
        const until = detector.awaited(peerId, graceMs, word === 'restart' ? 'restart' : null)
        if (word === 'serving') this.#brake.vanished(peerId, until)
      } else {
        lastWords.note(peerId, null)
        // It does not come back, and what it was home of must go elsewhere.
        if (homes.has(peerId)) detector.awaited(peerId, graceMs, 'leave')
      }
    }
  }

  opened(peer: PeerIdText): void {
    const { detector, lastWords, clock } = this.#deps
    const after = detector.isDead(peer) ? 'death' : lastWords.of(peer) === 'restart' ? 'restart' : null
    const since = this.#awaySince.get(peer)
    this.#awaySince.delete(peer)
    this.#brake.returned(peer)
    detector.connected(peer)
    lastWords.note(peer, 'serving')
    if (after === null) return
    this.record(peer, 'peer.back', { after, ...(since !== undefined && { awayMs: Math.round(clock.now() - since) }) })
  }

  stopping(peer: PeerIdText, intent: StopIntent): void {
    this.#deps.lastWords.note(peer, intent === 'restart' ? 'restart' : null)
    this.record(peer, `peer.stopping.${intent}`, {})
  }

  closed(session: Session): void {
    const { registry, detector, fleet, table, lastWords, clock } = this.#deps
    const { peer, heardAt, leaseGrantedAt } = session
    // Who is no member any more does not come back.
    const intent = registry.standing(peer) === 'member' ? session.intent : 'leave'
    this.#awaySince.set(peer, clock.now())
    // A workspace may have come to a drained instance at the last moment.
    if (fleet.isDrained(peer) && table.homesOf(peer).length === 0) return lastWords.note(peer, null)
    if (intent === null) this.#brake.vanished(peer)
    detector.lost(peer, { heardAt, intent, leaseGrantedAt })
  }

  /** It is no member any more: what it was home of goes elsewhere, at once or when its lease has ended. */
  expelled(peer: PeerIdText, leaseGrantedAt: Instant | null): void {
    const { detector, lastWords, clock } = this.#deps
    const heardAt = clock.now()
    lastWords.note(peer, null)
    detector.lost(peer, { heardAt, intent: 'leave', leaseGrantedAt: leaseGrantedAt ?? heardAt })
  }

  /** An instance counts as dead. Says whether that may be acted upon now. */
  died(peer: PeerIdText, cause: DeathCause): boolean {
    const { table, lastWords, hold, fleet, log } = this.#deps
    this.#brake.judge()
    const workspaces = table.homesOf(peer).length
    const held = hold.reason
    // Who was gone before the coordinator started died then.
    if (workspaces > 0 || (cause !== 'announced' && lastWords.of(peer) !== null)) {
      log.warn({ peer, name: fleet.nameOf(peer), cause, workspaces, held }, 'an instance is dead')
      this.record(peer, DEATHS[cause], { workspaces, ...(held !== null && { held }) })
    }
    return held === null
  }

  /** Its death is acted upon: it is awaited no longer. */
  givenUp(peer: PeerIdText): void {
    this.#deps.lastWords.note(peer, null)
  }

  record(target: string, action: string, details: Readonly<Record<string, unknown>>): void {
    this.#deps.audit({ actor: 'coordinator', action, target, details }).catch((error: unknown) => {
      this.#deps.log.error({ error: messageOf(error) }, 'the audit log was not written')
    })
  }

  [Symbol.dispose](): void {
    this.#brake.close()
  }

  #engaged({ missing, known }: Loss): void {
    this.#deps.log.error({ missing, known }, 'most instances vanished at once: nothing is promoted')
    this.record('federation', 'brake.engaged', { missing, known })
    this.#deps.changes.tell('peers')
  }

  #released(release: BrakeRelease): void {
    this.#deps.log.warn({ release }, 'instances are promoted again')
    if (release === 'returned') this.record('federation', 'brake.released', { by: 'instances that came back' })
    this.#deps.changes.tell('peers')
  }
}
