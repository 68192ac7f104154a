import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { type KeyValue, memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { Changes } from '../../../src/daemon/changes.ts'
import { Drains } from '../../../src/daemon/drains.ts'
import type { DrainDriver } from '../../../src/handover/drain-driver.ts'
import { PromotionHold } from '../../../src/handover/promotion-hold.ts'
import { AuditLog } from '../../../src/membership/audit.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import type { DrainReport } from '../../../src/wire/control.ts'
import { proofOf } from '../handover/drain-bench.ts'
import { type Bench, type Name, nameOf, peerOf, settled } from '../handover/fleet.ts'
import { COORDINATOR } from '../sync/support.ts'

/** The drains of one run of a coordinator, over instances that do what they are told. */
export interface DrainsOf {
  readonly drains: Drains
  readonly state: KeyValue
  readonly audit: AuditLog
  readonly hold: PromotionHold
  /** Whether the coordinator's disk is full. */
  readonly disk: { isFull: boolean }
  /** What instances were told, by name, the oldest first. */
  told(name: Name): DrainReport[]
  /** Connected again. `awaitsDrain`: it is the process that was connected before, and waits for the end of its drain. */
  connect(name: Name, awaitsDrain: boolean): Promise<void>
  leave(name: Name): void
  candidates(): string[]
  pass(ms: number): Promise<void>
}

/** Begins what `state` has left of a run before. */
export async function drainsOf(at: Bench, state: KeyValue = memoryKeyValue()): Promise<DrainsOf> {
  const { clock, table, holdings, director } = at
  const told: { readonly peer: PeerIdText; readonly report: DrainReport }[] = []
  const awaiting = new Set<PeerIdText>()
  const drivers = new Map<PeerIdText, DrainDriver>()
  const drained = new Set<PeerIdText>()
  const disk = { isFull: false }
  const isDraining = (peer: PeerIdText): boolean => drivers.get(peer)?.isUnderWay === true
  const candidates = (): ReturnType<typeof at.fleet.candidates> =>
    Object.getPrototypeOf(at.fleet)
      .candidates.call(at.fleet)
      .filter(({ peer }: { peer: PeerIdText }) => !drained.has(peer) && !isDraining(peer))
  const fleet = Object.assign(at.fleet, {
    candidates,
    isDraining,
    drain: (peer: PeerIdText) => drivers.get(peer) ?? null,
    drains: () => [...drivers.values()].filter(({ isUnderWay }) => isUnderWay),
    setDrain: (peer: PeerIdText, driver: DrainDriver | null) =>
      driver === null ? drivers.delete(peer) : drivers.set(peer, driver),
    isDrained: (peer: PeerIdText) => drained.has(peer),
    setDrained: (peer: PeerIdText, is: boolean) => (is ? drained.add(peer) : drained.delete(peer))
  })
  const store = controlStore(state)
  const audit = await AuditLog.open({ store, clock })
  const hold = new PromotionHold()
  const session = (peer: PeerIdText) =>
    at.fleet.isConnected(peer)
      ? {
          hello: { awaitsDrain: awaiting.has(peer) },
          tellDrain: (report: DrainReport) => void told.push({ peer, report })
        }
      : null
  const drains = new Drains({
    director,
    table,
    holdings,
    store,
    hold,
    clock,
    instances: fleet,
    fleet: fleet as never,
    repository: { head: (cid) => at.repository.head(cid), receiptFor: proofOf },
    sights: {
      usedBytes: () => 1000,
      unsyncedBytes: () => 0,
      isBusy: () => false,
      isOccupied: () => false,
      bytesPerSecond: () => null,
      uploadLimit: () => null,
      awaitsOthers: () => false
    },
    idle: async () => undefined,
    breakOff: () => undefined,
    control: () => ({ session }) as never,
    identity: COORDINATOR,
    folder: {
      writeAtomic: async () => {
        if (disk.isFull) throw new NodeDaemonError('NO_SPACE', 'the disk is full')
      }
    } as never,
    changes: new Changes(),
    audit: audit.append,
    log: silent
  })
  await drains.load()
  return {
    drains,
    state,
    audit,
    hold,
    disk,
    told: (name) => told.filter(({ peer }) => peer === peerOf(name)).map(({ report }) => report),
    async connect(name, awaitsDrain) {
      at.fleet.serving.add(name)
      if (awaitsDrain) awaiting.add(peerOf(name))
      else awaiting.delete(peerOf(name))
      await drains.returned({ peer: peerOf(name) })
    },
    leave: (name) => void at.fleet.serving.delete(name),
    candidates: () => candidates().map(({ peer }) => nameOf(peer)),
    async pass(ms) {
      for (let left = ms; left > 0; left -= 100) {
        clock.advance(Math.min(100, left))
        await settled()
      }
    }
  }
}
