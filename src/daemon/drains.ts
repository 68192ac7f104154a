import { messageOf } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import { DrainDriver, type DrainDriverDeps, type DrainWish } from '../handover/drain-driver.ts'
import type { Audit } from '../membership/audit.ts'
import type { ControlServer } from '../membership/control-server.ts'
import type { ControlStore } from '../store/control-store.ts'
import type { DataFolder } from '../store/state-folder.ts'
import type { DrainReport } from '../wire/control.ts'
import type { Changes } from './changes.ts'
import type { Fleet } from './fleet.ts'

const DRAINED_PREFIX = 'drained/'

export interface DrainsDeps extends DrainDriverDeps {
  readonly fleet: Fleet
  readonly control: () => ControlServer
  readonly store: ControlStore
  readonly folder: DataFolder
  readonly changes: Changes
  readonly audit: Audit
  readonly log: Logger
}

/** The drains of this federation, one at a time for each instance. */
export class Drains {
  readonly #deps: DrainsDeps

  constructor(deps: DrainsDeps) {
    this.#deps = deps
  }

  /** Drained instances stay drained over a restart of the coordinator. */
  async load(): Promise<void> {
    for await (const { key } of this.#deps.store.list(DRAINED_PREFIX)) {
      this.#deps.fleet.setDrained(key.slice(DRAINED_PREFIX.length) as PeerIdText, true)
    }
  }

  preview(peer: PeerIdText, wish: DrainWish): DrainReport {
    return this.#driver(peer).preview(wish)
  }

  /** Begins a drain, or joins the one that is under way. Returns what it is like at once. */
  start(peer: PeerIdText, wish: DrainWish, actor: string): DrainReport {
    const running = this.#deps.fleet.drain(peer)
    if (running?.isUnderWay === true) return running.report()
    const driver = this.#driver(peer)
    this.#deps.fleet.setDrain(peer, driver)
    void this.#run(driver, wish, actor)
    return driver.report()
  }

  /** Null where none is under way; the last one is forgotten then. */
  cancel(peer: PeerIdText): DrainReport | null {
    const { fleet } = this.#deps
    const driver = fleet.drain(peer)
    if (driver?.isUnderWay !== true) {
      fleet.setDrain(peer, null)
      return null
    }
    driver.cancel()
    return driver.report()
  }

  /** A drained instance takes workspaces again. */
  async resume(peer: PeerIdText): Promise<void> {
    this.cancel(peer)
    await this.returned(peer)
    await this.#deps.director.adoptOrphans()
  }

  /** An instance is connected: one that was drained takes workspaces again, a drain that is under way goes on. */
  async returned(peer: PeerIdText): Promise<void> {
    if (!this.#deps.fleet.isDrained(peer)) return
    await this.#deps.store.remove(DRAINED_PREFIX + peer, { ifRevision: 'any' })
    this.#deps.fleet.setDrained(peer, false)
    this.#deps.changes.tell('peers')
  }

  #driver(peer: PeerIdText): DrainDriver {
    return new DrainDriver(this.#deps, peer, (report) => this.#report(peer, report), this.#deps.fleet.drain(peer))
  }

  async #run(driver: DrainDriver, wish: DrainWish, actor: string): Promise<void> {
    const { audit, log } = this.#deps
    try {
      // Under way at once: nothing is placed there from here on, and a second request joins this drain.
      const ended = driver.run(wish)
      const start = { actor, action: 'drain.start', target: driver.peer, details: { deadlineMs: wish.deadlineMs } }
      const [report] = await Promise.all([ended, audit(start)])
      await audit({ actor, action: `drain.${report.state}`, target: driver.peer, details: { reason: report.reason } })
    } catch (error) {
      log.error({ peer: driver.peer, error: messageOf(error) }, 'a drain broke off')
      driver.cancel()
    }
  }

  #report(peer: PeerIdText, report: DrainReport): void {
    const { changes, log } = this.#deps
    changes.tell('drains')
    if (report.state !== 'drained') return this.#tell(peer, report)
    // Before anything can be placed there again.
    this.#deps.fleet.setDrained(peer, true)
    this.#keep(peer, report)
      .catch((error: unknown) => log.error({ peer, error: messageOf(error) }, 'an exit certificate was not kept here'))
      .finally(() => this.#tell(peer, report))
  }

  async #keep(peer: PeerIdText, { certificate }: DrainReport): Promise<void> {
    const { store, folder, clock } = this.#deps
    const day = new Date(clock.wall()).toISOString().replaceAll(':', '-')
    await folder.writeAtomic(`certificates/${day}-${peer}.json`, certificate, { mode: 0o644 })
    await store.put(DRAINED_PREFIX + peer, Buffer.from(String(clock.wall())), { ifRevision: 'any' })
  }

  #tell(peer: PeerIdText, report: DrainReport): void {
    this.#deps.control().session(peer)?.tellDrain(report)
    this.#deps.changes.tell('peers')
  }
}
