import { type Signed, seal } from '../../../src/core/envelope.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { type Receipt, receiptRecord, type SignedHead } from '../../../src/core/records.ts'
import type { DrainDriverDeps, DrainSights } from '../../../src/handover/drain-deps.ts'
import { DrainDriver, type DrainWish } from '../../../src/handover/drain-driver.ts'
import { DrainLedger } from '../../../src/handover/drain-ledger.ts'
import { type ControlStore, controlStore } from '../../../src/store/control-store.ts'
import { receiptOf } from '../../../src/sync/receipt.ts'
import type { DrainReport } from '../../../src/wire/control.ts'
import { COORDINATOR } from '../sync/support.ts'
import { type Bench, type Name, peerOf } from './fleet.ts'

export const WISH: DrainWish = { deadlineMs: 60_000, to: null, toRepository: false, exits: true }

export const proofOf = (head: SignedHead): Promise<Signed<Receipt>> =>
  seal(receiptRecord, receiptOf(head, { blocks: 1, bytes: 1 }, 'repository', COORDINATOR.peerId, 1), COORDINATOR)

/** What goes on at an instance that drains, as the test says. */
export interface Situation {
  /** Requests in flight that do not end. */
  inFlight: boolean
  /** Does it help to break them off? */
  breakable: boolean
  /** Users at work, in these workspaces. */
  readonly occupied: Set<WorkspaceId>
  /** Others that are away for a moment. */
  othersAway: boolean
  unsyncedBytes: number
  uploadLimit: number | null
}

export interface Drained {
  readonly driver: DrainDriver
  /** One after another, each once. */
  readonly states: string[]
  readonly reports: DrainReport[]
  readonly now: Situation
  readonly ledger: DrainLedger
  /** Advances the clock until then. */
  until(is: (report: DrainReport) => boolean, stepMs?: number): Promise<DrainReport>
}

export interface DrainingOptions {
  readonly proof?: typeof proofOf
  readonly ledger?: DrainLedger
  readonly store?: ControlStore
  readonly now?: Partial<Situation>
}

/** Draining, an instance is no candidate any more; it stays connected until the end. */
export function draining(at: Bench, name: Name, options: DrainingOptions = {}): Drained {
  const { fleet, clock } = at
  const states: string[] = []
  const reports: DrainReport[] = []
  const now: Situation = {
    inFlight: false,
    breakable: false,
    occupied: new Set(),
    othersAway: false,
    unsyncedBytes: 0,
    uploadLimit: null,
    ...options.now
  }
  const sights: DrainSights = {
    usedBytes: () => 1000,
    unsyncedBytes: () => now.unsyncedBytes,
    isBusy: (workspace) => now.inFlight || now.occupied.has(workspace),
    isOccupied: (workspace) => now.occupied.has(workspace),
    bytesPerSecond: () => null,
    uploadLimit: () => now.uploadLimit,
    awaitsOthers: () => now.othersAway
  }
  fleet.draining.add(name)
  const deps: DrainDriverDeps = {
    director: at.director,
    table: at.table,
    instances: fleet,
    holdings: at.holdings,
    repository: { head: (cid) => at.repository.head(cid), receiptFor: options.proof ?? proofOf },
    sights,
    idle: async () => {
      if (now.inFlight) throw new NodeDaemonError('TIMED_OUT', 'requests in flight')
    },
    breakOff: () => {
      if (now.breakable) now.inFlight = false
    },
    identity: COORDINATOR,
    clock,
    log: silent
  }
  const ledger = options.ledger ?? new DrainLedger(options.store ?? controlStore(memoryKeyValue()), peerOf(name))
  const driver = new DrainDriver(deps, peerOf(name), ledger, (report) => {
    reports.push(report)
    if (states.at(-1) !== report.state) states.push(report.state)
  })
  return {
    driver,
    states,
    reports,
    now,
    ledger,
    async until(is, stepMs = 500) {
      for (let turn = 0; turn < 2000; turn++) {
        const report = driver.report()
        if (is(report)) return report
        for (let more = 0; more < 5; more++) await new Promise((resolve) => setImmediate(resolve))
        clock.advance(stepMs)
      }
      throw new Error(`it never came to that: ${JSON.stringify(driver.report())}`)
    }
  }
}
