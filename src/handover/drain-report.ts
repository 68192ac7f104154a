import type { Instant } from '../core/clock.ts'
import type { Ownership } from '../core/records.ts'
import type { DrainableWorkspace, PlannedHandover } from '../placement/plan-drain.ts'
import type { DrainReport } from '../wire/control.ts'
import { type Drain, figures } from './drain.ts'
import type { DrainSights } from './drain-deps.ts'
import type { Holdings } from './holdings.ts'

/** Workspaces that are waited for, as far as they are listed one by one. */
const WAITING_TOLD = 100

/** A drain as it crosses the wire; `moves` stand in it as the plan. */
export function reportOf(drain: Drain, moves: readonly PlannedHandover[], now: Instant): DrainReport {
  const unproven = drain.state === 'expired' || drain.state === 'cancelled' ? drain.unproven : []
  return {
    state: drain.state,
    ...figures(drain, now),
    reason: '',
    certificate: drain.state === 'drained' ? drain.certificate : new Uint8Array(0),
    plan: moves.map(({ workspace: { workspace, busy }, to, toName, bytes, etaMs }) => {
      return { workspace, to, toName, bytes, etaMs, busy }
    }),
    waiting: 'waiting' in drain ? [...drain.waiting.workspaces].slice(0, WAITING_TOLD) : [],
    unproven,
    exits: false,
    plannedAtMs: null
  }
}

/** A workspace as a plan sees it. A standby that follows lacks what its home has not published, another one everything. */
export function drainableOf(
  { workspace, service, standbys }: Pick<Ownership, 'workspace' | 'service' | 'standbys'>,
  sights: DrainSights,
  holdings: Holdings
): DrainableWorkspace {
  const bytes = sights.usedBytes(workspace)
  const unsyncedBytes = sights.unsyncedBytes(workspace)
  const lacking = standbys.map((peer) => {
    const follows = holdings.sequence(workspace, peer) > 0
    return { peer, lackingBytes: follows ? Math.min(bytes, unsyncedBytes) : bytes }
  })
  return { workspace, service, bytes, unsyncedBytes, standbys: lacking, busy: sights.isBusy(workspace) }
}
