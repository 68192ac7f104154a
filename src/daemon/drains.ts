import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { KeyedMutex } from '../core/mutex.ts'
import { forEachParallel } from '../core/parallel.ts'
import type { DrainDriverDeps } from '../handover/drain-deps.ts'
import { DrainDriver, type DrainWish } from '../handover/drain-driver.ts'
import { DrainLedger } from '../handover/drain-ledger.ts'
import type { PromotionHold } from '../handover/promotion-hold.ts'
import type { Audit } from '../membership/audit.ts'
import type { ControlServer, Session } from '../membership/control-server.ts'
import type { ControlStore } from '../store/control-store.ts'
import type { DataFolder } from '../store/state-folder.ts'
import type { DrainReport } from '../wire/control.ts'
import type { Changes } from './changes.ts'
import { NO_DRAIN, STAYS_DRAINED } from './drain-end.ts'
import { DrainOutcomes } from './drain-outcomes.ts'
import { DrainRows } from './drain-rows.ts'
import type { Fleet } from './fleet.ts'
import { type PlannedDrain, PlannedDrains } from './planned-drains.ts'

/** How old the time that a drain has left may be after a restart. */
const KEEP_EVERY_MS = 5000
const TENDED_AT_ONCE = 64

export interface DrainsDeps extends DrainDriverDeps {
  readonly fleet: Fleet
  readonly control: () => ControlServer
  readonly store: ControlStore
  readonly folder: DataFolder
  readonly changes: Changes
  readonly audit: Audit
  readonly hold: Pick<PromotionHold, 'holds'>
  readonly log: Logger
}

interface FormerDrain {
  readonly driver: DrainDriver
  readonly wish: DrainWish
  readonly actor: string
}

/** The drains of this federation, one at a time for each instance. They go on after a restart of the coordinator. */
export class Drains {
  readonly #deps: DrainsDeps
  readonly #rows: DrainRows
  readonly #planned: PlannedDrains
  readonly #ledgers = new Map<PeerIdText, DrainLedger>()
  /** Drained instances that an admin has to resume. */
  readonly #staying = new Set<PeerIdText>()
  readonly #actors = new Map<PeerIdText, string>()
  readonly #keptAt = new Map<PeerIdText, number>()
  readonly #outcomes: DrainOutcomes
  /** An instance is kept as drained, or takes workspaces again: one after another. */
  readonly #servings = new KeyedMutex<PeerIdText>()
  /** Drains of a former run that nobody has wished for since. */
  readonly #former = new Map<PeerIdText, FormerDrain>()

  constructor(deps: DrainsDeps) {
    const { store, clock, log, fleet } = deps
    this.#deps = deps
    this.#rows = new DrainRows(store)
    this.#outcomes = new DrainOutcomes(deps, this.#rows)
    this.#planned = new PlannedDrains({
      store,
      clock,
      log,
      isConnected: (peer) => fleet.isConnected(peer),
      begin: (peer, planned) => this.#beginPlanned(peer, planned),
      changed: (peer) => this.#tell(peer, this.report(peer))
    })
  }

  /** What a former run has left: drained instances stay drained, and drains that were under way are so again. */
  async load(): Promise<void> {
    for (const [peer, ledger] of await DrainLedger.load(this.#deps.store)) this.#ledgers.set(peer, ledger)
    for (const { peer, stays } of await this.#rows.drained()) {
      this.#deps.fleet.setDrained(peer, true)
      if (stays) this.#staying.add(peer)
    }
    for (const { peer, wish, actor } of await this.#rows.running()) {
      const driver = this.#driver(peer)
      this.#deps.fleet.setDrain(peer, driver)
      this.#actors.set(peer, actor)
      this.#former.set(peer, { driver, wish, actor })
    }
    await this.#planned.load()
  }

  /** Goes on with what a former run has left. To be called once instances are answered. */
  goOn(): void {
    for (const { driver, wish, actor } of this.#former.values()) void this.#run(driver, wish, actor, { resumed: true })
    this.#planned.start()
  }

  /** What a former run has left is not wished any more: it stands in a state that is older than what was signed since. */
  forgetFormer(why: string): void {
    const former = [...this.#former.values()]
    this.#former.clear()
    const planned = this.#planned.former()
    this.#forget(former, planned, why).catch((error: unknown) => {
      this.#deps.log.error({ error: messageOf(error) }, 'not every drain of an earlier state was forgotten')
    })
  }

  async #forget(former: readonly FormerDrain[], planned: readonly PeerIdText[], why: string): Promise<void> {
    const { fleet, audit } = this.#deps
    const details = { reason: why }
    for (const { driver, actor } of former) {
      const { peer } = driver
      const isUnderWay = driver.isUnderWay
      driver.cancel(why)
      await this.#ended(driver)
      if (isUnderWay || fleet.drain(peer) !== driver) continue
      fleet.setDrain(peer, null)
      await audit({ actor, action: 'drain.cancelled', target: peer, details })
    }
    for (const peer of planned) {
      const actor = this.#planned.of(peer)?.actor ?? peer
      if (await this.#planned.forget(peer)) {
        await audit({ actor, action: 'drain.plan.cancelled', target: peer, details })
      }
    }
  }

  close(): void {
    this.#planned.close()
  }

  /** How the drain of an instance is, or was last; what is planned for it stands in it. */
  report(peer: PeerIdText): DrainReport {
    const drain = this.#deps.fleet.drain(peer)
    const report = drain?.report() ?? (this.#staying.has(peer) ? STAYS_DRAINED : NO_DRAIN)
    const planned = this.#planned.of(peer)
    if (planned === null) return report
    return { ...report, plannedAtMs: planned.atMs, reason: report.state === 'serving' ? planned.reason : report.reason }
  }

  planned(peer: PeerIdText): PlannedDrain | null {
    return this.#planned.of(peer)
  }

  preview(peer: PeerIdText, wish: DrainWish): DrainReport {
    return this.#refusal(wish) ?? this.#driver(peer).preview(wish)
  }

  /** Until its members have reported, a coordinator that was put back does not know what they are home of. */
  #refusal({ exits }: DrainWish): DrainReport | null {
    if (!this.#deps.hold.holds('old-backup')) return null
    const reason = 'the coordinator does not know yet what this instance is home of: see "node-daemon status" there'
    return { ...NO_DRAIN, state: 'failed', exits, reason }
  }

  /**
   * Begins a drain, or joins the one that is under way. Returns what it is like at once; that it goes on is durable then.
   * What was planned for later is not done once more. Nothing begins while it is not known what the instance is home of. Where the instance asks again for a drain that has ended while it
   * was away, that is what it is told.
   */
  async start(peer: PeerIdText, wish: DrainWish, actor: string): Promise<DrainReport> {
    const refusal = this.#refusal(wish)
    if (refusal !== null) return refusal
    if (this.#isBack(peer)) {
      const untold = await this.#untold(peer)
      // The certificate is told as soon as it is connected.
      if (untold !== null) return { ...untold, certificate: new Uint8Array(0) }
      await this.#serves(peer, () => this.#isBack(peer))
    }
    this.#former.delete(peer)
    const running = this.#deps.fleet.drain(peer)
    if (running?.isUnderWay === true) {
      running.join(wish)
      await this.#keepRunning(running)
      return this.report(peer)
    }
    const driver = this.#driver(peer)
    this.#deps.fleet.setDrain(peer, driver)
    this.#actors.set(peer, actor)
    // Under way at once: nothing is placed there from here on, and a second request joins this drain.
    void this.#run(driver, wish, actor, { resumed: false })
    await this.#keepRunning(driver)
    await this.#planned.forget(peer)
    return this.report(peer)
  }

  /** Durable on return. @throws NodeDaemonError `BAD_REQUEST` the time is too far away */
  async plan(peer: PeerIdText, atMs: number, wish: DrainWish, actor: string): Promise<DrainReport> {
    await this.#planned.plan(peer, { atMs, wish, actor })
    const { deadlineMs } = wish
    const at = new Date(atMs).toISOString()
    await this.#deps.audit({ actor, action: 'drain.plan', target: peer, details: { at, deadlineMs } })
    return this.report(peer)
  }

  async #beginPlanned(peer: PeerIdText, { wish, actor }: PlannedDrain): Promise<void> {
    const preview = this.preview(peer, wish)
    if (preview.state === 'failed') throw new NodeDaemonError('REFUSED_BY_POLICY', preview.reason)
    await this.start(peer, wish, actor)
  }

  /** Ends the drain that is under way, or forgets the one that is planned. Null where there is neither. */
  async cancel(peer: PeerIdText, actor: string): Promise<DrainReport | null> {
    const driver = this.#deps.fleet.drain(peer)
    if (driver?.isUnderWay === true) {
      driver.cancel()
      await this.#ended(driver)
      return this.report(peer)
    }
    if (!(await this.#planned.forget(peer))) return null
    await this.#deps.audit({ actor, action: 'drain.plan.cancelled', target: peer, details: {} })
    return this.report(peer)
  }

  /** A drained instance takes workspaces again. What was under way or planned is cancelled. */
  async resume(peer: PeerIdText): Promise<void> {
    const driver = this.#deps.fleet.drain(peer)
    if (driver?.isUnderWay === true) {
      driver.cancel()
      await this.#ended(driver)
    }
    await this.#planned.forget(peer)
    await this.#serves(peer)
    this.#tell(peer, this.report(peer))
    await this.#deps.director.adoptOrphans()
  }

  /**
   * An instance is connected. A process whose drain has ended while it was away is told so, with the certificate. A new
   * one takes workspaces again where the instance was drained by its own wish, and does not where an admin drained it. A
   * drain that is under way goes on, and one whose time has come begins.
   */
  async returned({ peer }: Pick<Session, 'peer'>): Promise<void> {
    const { fleet } = this.#deps
    const untold = await this.#untold(peer)
    if (untold === null && this.#isBack(peer)) await this.#serves(peer, () => this.#isBack(peer))
    const isKnown = fleet.isDrained(peer) || fleet.isDraining(peer) || this.#planned.of(peer) !== null
    if (untold !== null) this.#tell(peer, untold)
    else if (isKnown) this.#tell(peer, fleet.isDrained(peer) ? STAYS_DRAINED : this.report(peer))
    this.#planned.connected(peer)
  }

  /** An instance is heard: what has reached it counts for the drains that hand over to it. */
  heard({ peer, heartbeat }: Session): void {
    if (heartbeat === null || heartbeat.arrived.length === 0) return
    for (const drain of this.#deps.fleet.drains()) {
      for (const { workspace, bytes } of heartbeat.arrived) drain.arrived(peer, workspace, bytes)
    }
  }

  /** The instance is no member any more: nothing is planned for it. */
  dismissed(peer: PeerIdText): void {
    this.#planned.forget(peer).catch((error: unknown) => {
      this.#deps.log.warn({ peer, error: messageOf(error) }, 'a planned drain was not forgotten')
    })
  }

  /** Is it connected after a drain by its own wish? */
  #isBack(peer: PeerIdText): boolean {
    const { fleet } = this.#deps
    return fleet.isDrained(peer) && !this.#staying.has(peer) && !fleet.isDraining(peer) && fleet.isConnected(peer)
  }

  #untold(peer: PeerIdText): Promise<DrainReport | null> {
    return this.#outcomes.untold({ peer, stays: this.#staying.has(peer) }, this.#ledger(peer))
  }

  #serves(peer: PeerIdText, isStillWished: () => boolean = () => true): Promise<void> {
    const { fleet, changes } = this.#deps
    return this.#servings.run(peer, async () => {
      if (!isStillWished()) return
      await this.#rows.serves(peer, () => fleet.isDraining(peer))
      if (!fleet.isDraining(peer)) await this.#ledger(peer).clear()
      this.#staying.delete(peer)
      fleet.setDrained(peer, false)
      if (!fleet.isDraining(peer)) fleet.setDrain(peer, null)
      changes.tell('peers')
    })
  }

  /** Nothing of it is left to go on with after a restart, unless another drain of the instance has begun since. */
  #ended(driver: DrainDriver): Promise<void> {
    const { fleet } = this.#deps
    const { peer } = driver
    return this.#rows.ended(peer, () => (fleet.drain(peer) ?? driver) === driver)
  }

  #ledger(peer: PeerIdText): DrainLedger {
    const known = this.#ledgers.get(peer)
    if (known !== undefined) return known
    const ledger = new DrainLedger(this.#deps.store, peer)
    this.#ledgers.set(peer, ledger)
    return ledger
  }

  #driver(peer: PeerIdText): DrainDriver {
    const driver: DrainDriver = new DrainDriver(this.#deps, peer, this.#ledger(peer), (report) =>
      this.#report(driver, report)
    )
    return driver
  }

  async #run(driver: DrainDriver, wish: DrainWish, actor: string, options: { resumed: boolean }): Promise<void> {
    const { audit, log } = this.#deps
    const { peer } = driver
    try {
      const ended = driver.run(wish, options)
      const action = options.resumed ? 'drain.goes-on' : 'drain.start'
      const start = { actor, action, target: peer, details: { deadlineMs: wish.deadlineMs } }
      const [report] = await Promise.all([ended, audit(start)])
      await audit({ actor, action: `drain.${report.state}`, target: peer, details: { reason: report.reason } })
    } catch (error) {
      log.error({ peer, error: messageOf(error) }, 'a drain broke off')
      driver.cancel()
    }
    if (this.#former.get(peer)?.driver === driver) this.#former.delete(peer)
    if (driver.state === 'drained') return
    await this.#ended(driver).catch((error: unknown) => {
      log.error({ peer, error: messageOf(error) }, 'the end of a drain was not kept: it goes on after a restart')
    })
  }

  #keepRunning(driver: DrainDriver): Promise<void> {
    const { peer, wish } = driver
    this.#keptAt.set(peer, this.#deps.clock.now())
    return this.#rows.keepRunning({ peer, wish, actor: this.#actors.get(peer) ?? '' }, () => driver.isUnderWay)
  }

  #report(driver: DrainDriver, report: DrainReport): void {
    const { changes, clock, log } = this.#deps
    const { peer } = driver
    changes.tell('drains')
    if (report.state === 'drained') return this.#drained(peer, report)
    this.#tell(peer, report)
    if (!driver.isUnderWay || clock.now() - (this.#keptAt.get(peer) ?? 0) < KEEP_EVERY_MS) return
    this.#keepRunning(driver).catch((error: unknown) => {
      log.warn({ peer, error: messageOf(error) }, 'the time that a drain has left was not kept')
    })
  }

  #drained(peer: PeerIdText, report: DrainReport): void {
    const { fleet, log } = this.#deps
    // Before anything can be placed there again.
    fleet.setDrained(peer, true)
    if (!report.exits) this.#staying.add(peer)
    const drained = { peer, stays: this.#staying.has(peer) }
    this.#servings
      .run(peer, () => this.#outcomes.keep(drained, report.certificate))
      .catch((error: unknown) =>
        log.error({ peer, error: messageOf(error) }, 'it was not kept that an instance is drained')
      )
      .finally(() => this.#tell(peer, report))
    // Others stand by from now on where it did.
    const standbys = this.#deps.table.standbysOf(peer).map(({ signed }) => signed.value.workspace)
    void forEachParallel(standbys, TENDED_AT_ONCE, (workspace) => this.#deps.director.tend(workspace))
  }

  #tell(peer: PeerIdText, report: DrainReport): void {
    const plannedAtMs = this.#planned.of(peer)?.atMs ?? null
    this.#deps
      .control()
      .session(peer)
      ?.tellDrain({ ...report, plannedAtMs })
    this.#deps.changes.tell('peers')
  }
}
