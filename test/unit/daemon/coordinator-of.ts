import type { PeerIdText, WorkspaceId } from '../../../src/core/ids.ts'
import { type KeyValue, memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { Standstill } from '../../../src/core/standstill.ts'
import { Caretaker } from '../../../src/daemon/caretaker.ts'
import { Changes } from '../../../src/daemon/changes.ts'
import { Presence } from '../../../src/daemon/presence.ts'
import { FailureDetector } from '../../../src/handover/failure-detector.ts'
import { LastWords } from '../../../src/handover/last-words.ts'
import { Tending } from '../../../src/handover/tending.ts'
import { AuditLog } from '../../../src/membership/audit.ts'
import type { Session } from '../../../src/membership/control-server.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import type { StopIntent } from '../../../src/wire/control.ts'
import { type Bench, bench, FILES, type Name, nameOf, peerOf, settled } from '../handover/fleet.ts'

export const LEASE_MS = 10_000
export const FAILOVER_AFTER_MS = 2000
export const RESTART_GRACE_MS = 120_000
export const START_GRACE_MS = 10_000
const SILENT_MS = 2000

interface FakeSession {
  peer: PeerIdText
  heardAt: number
  intent: StopIntent | null
  leaseGrantedAt: number
  hello: { workspaces: readonly never[] }
  end: () => void
  tellMembers: () => void
}

/** What a coordinator does when instances come, go and die: its real parts, over instances that do what they are told. */
export class CoordinatorOf implements Disposable {
  readonly at: Bench
  readonly audit: AuditLog
  readonly detector: FailureDetector
  readonly lastWords: LastWords
  readonly #standstill: Standstill
  readonly #tending: Tending
  readonly #presence: Presence
  readonly #caretaker: Caretaker
  readonly #sessions = new Map<Name, FakeSession>()
  readonly #revoked = new Set<PeerIdText>()
  readonly #drained = new Set<PeerIdText>()

  private constructor(names: readonly Name[], at: Bench, audit: AuditLog, lastWords: LastWords) {
    this.at = at
    this.audit = audit
    this.lastWords = lastWords
    const { clock, hold, table, director } = at
    const changes = new Changes()
    const stateOf = (peer: PeerIdText): string => (this.#revoked.has(peer) ? 'revoked' : 'approved')
    const registry = {
      members: () => names.map((name) => ({ peerId: peerOf(name), state: stateOf(peerOf(name)) })),
      standing: (peer: PeerIdText) => (this.#revoked.has(peer) ? 'stranger' : 'member'),
      memberList: () => new Uint8Array(0)
    }
    const fleet = Object.assign(at.fleet, {
      isGone: (peer: PeerIdText) => !at.fleet.isConnected(peer) && this.detector.isDead(peer),
      isDrained: (peer: PeerIdText) => this.#drained.has(peer),
      isAwaited: (peer: PeerIdText) => {
        if (this.#revoked.has(peer) || this.#drained.has(peer)) return false
        const session = control.session(peer)
        return session === null ? this.detector.isAwaited(peer) : session.intent === 'restart'
      },
      noteSeen: () => undefined,
      usedBytes: () => 1000,
      runnable: ({ peer }: Pick<Session, 'peer'>) => {
        const why = at.fleet.unfit.get(nameOf(peer) as Name)
        return why === undefined
          ? { services: [FILES], unfit: new Map() }
          : { services: [], unfit: new Map([[FILES, why]]) }
      }
    })
    const control = {
      sessions: () => [...this.#sessions.values()],
      session: (peer: PeerIdText) => this.#sessions.get(nameOf(peer) as Name) ?? null
    }
    this.#standstill = new Standstill(clock)
    this.detector = new FailureDetector(
      { clock, standstill: this.#standstill },
      {
        failoverAfterMs: FAILOVER_AFTER_MS,
        restartGraceMs: RESTART_GRACE_MS,
        leaseMs: LEASE_MS,
        backMs: START_GRACE_MS
      },
      {
        dead: (peer, cause) => this.#caretaker.dead(peer, cause),
        leaseOver: (peer) => this.#caretaker.leaseOver(peer)
      }
    )
    const { detector } = this
    this.#presence = new Presence(
      {
        registry: registry as never,
        table,
        fleet,
        detector,
        lastWords,
        hold,
        control: () => control as never,
        changes,
        audit: audit.append,
        clock,
        log: silent
      },
      { failoverAfterMs: FAILOVER_AFTER_MS, leaseMs: LEASE_MS, silentMs: SILENT_MS, heartbeatMs: 500 }
    )
    this.#tending = new Tending(
      { director, table, instances: fleet, hold, usedBytes: () => 1000, onLooked: () => undefined, clock, log: silent },
      { standbys: 1 }
    )
    this.#caretaker = new Caretaker({
      registry: registry as never,
      table,
      director,
      fleet: fleet as never,
      drains: { returned: async () => undefined, dismissed: () => undefined } as never,
      recovery: () => ({ met: async () => false }) as never,
      removals: { welcome: async () => undefined },
      sights: { heard: () => undefined } as never,
      detector,
      presence: this.#presence,
      hold,
      spread: { look: () => undefined },
      tending: this.#tending,
      neighbourhood: { opened: () => undefined, closed: () => undefined } as never,
      changes,
      clock,
      log: silent,
      idle: async () => undefined,
      isStopping: () => false,
      control: () => control as never,
      network: () => ({ cut: () => undefined }) as never,
      routeBook: { opened: () => undefined, closed: () => undefined, relabelled: () => undefined } as never,
      dropHome: () => undefined
    })
  }

  /** Everybody is away at first; `state` is what a coordinator before has left. */
  static async start(names: readonly Name[], state: KeyValue = memoryKeyValue()): Promise<CoordinatorOf> {
    const at = await bench(names)
    const store = controlStore(state)
    const audit = await AuditLog.open({ store, clock: at.clock })
    return new CoordinatorOf(names, at, audit, await LastWords.open({ store, log: silent }))
  }

  /** Serves, and all of them are there; each of `workspaces` has a home. */
  static async serving(names: readonly Name[], state?: KeyValue): Promise<CoordinatorOf> {
    const coordinator = await CoordinatorOf.start(names, state)
    for (const name of names) coordinator.connect(name)
    await settled()
    return coordinator
  }

  begin(): void {
    this.#presence.begin(START_GRACE_MS)
  }

  connect(name: Name): void {
    const { clock } = this.at
    const heardAt = clock.now()
    const hello = { workspaces: [] }
    const nothing = (): void => undefined
    const heard = { heardAt, intent: null, leaseGrantedAt: heardAt, hello }
    const session = { peer: peerOf(name), ...heard, end: nothing, tellMembers: nothing }
    this.at.fleet.serving.add(name)
    this.#sessions.set(name, session)
    this.#caretaker.opened(session as unknown as Session)
  }

  say(name: Name, intent: StopIntent): void {
    const session = this.#session(name)
    session.intent = intent
    this.#caretaker.stopping(session as unknown as Session, intent)
  }

  /** The connection ends, whatever was said before. */
  vanish(...names: readonly Name[]): void {
    for (const name of names) {
      const session = this.#session(name)
      this.at.fleet.serving.delete(name)
      this.#sessions.delete(name)
      this.#caretaker.closed(session as unknown as Session, false)
    }
  }

  revoke(name: Name): void {
    this.#revoked.add(peerOf(name))
    this.#caretaker.decided({ peerId: peerOf(name), state: 'revoked', reason: '' } as never)
  }

  /** Services or labels are others now. */
  redeclared(): void {
    this.#caretaker.redeclared()
  }

  drained(name: Name): void {
    this.#drained.add(peerOf(name))
  }

  /** Time passes; those who are connected are heard all along, but for those who are `quiet`. */
  async pass(ms: number, quiet: readonly Name[] = []): Promise<void> {
    for (let left = ms; left > 0; left -= 250) {
      for (const [name, session] of this.#sessions) {
        if (!quiet.includes(name)) session.heardAt = this.at.clock.now()
      }
      this.at.clock.advance(Math.min(250, left))
      await settled()
    }
  }

  homes(...workspaces: readonly WorkspaceId[]): string[] {
    return workspaces.map((workspace) => this.at.home(workspace))
  }

  /** What the audit log tells, the oldest first: `action whom`. */
  async told(): Promise<string[]> {
    const entries = await this.audit.list({ limit: 1000 })
    return entries.reverse().map(({ action, target }) => `${action} ${nameOf(target as PeerIdText)}`)
  }

  #session(name: Name): FakeSession {
    const session = this.#sessions.get(name)
    if (session === undefined) throw new Error(`${name} is not connected`)
    return session
  }

  [Symbol.dispose](): void {
    this.detector.close()
    this.#standstill[Symbol.dispose]()
    this.#presence[Symbol.dispose]()
  }
}
