import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { Director } from '../handover/director.ts'
import type { FailureDetector } from '../handover/failure-detector.ts'
import type { Holdings } from '../handover/holdings.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { PromotionHold } from '../handover/promotion-hold.ts'
import { Rebalancer } from '../handover/rebalancer.ts'
import type { Audit } from '../membership/audit.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import { isShortOfRoom } from '../placement/candidate.ts'
import { planRebalance, type RebalanceMove, type RebalanceWorkspace } from '../placement/plan-rebalance.ts'
import type { Door } from '../routing/doors/doors.ts'
import type { Changes } from './changes.ts'
import type { LiveSights } from './drain-sights.ts'
import type { Fleet } from './fleet.ts'

/** A workspace that nobody asked anything of for so long is idle. */
const IDLE_MS = 30_000

export interface RebalancingDeps {
  readonly registry: Pick<MemberRegistry, 'members'>
  readonly table: OwnershipTable
  readonly director: Director
  readonly holdings: Holdings
  readonly fleet: Fleet
  readonly detector: FailureDetector
  readonly hold: PromotionHold
  readonly doors: Door
  readonly sights: Pick<LiveSights, 'isBusy'>
  readonly changes: Changes
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Logger
}

/** The spreading of workspaces over the instances of this federation. */
export function openRebalancer(deps: RebalancingDeps): Rebalancer {
  const { changes, clock, log } = deps
  const record = (actor: string, action: string, details: Readonly<Record<string, unknown>>): void => {
    deps.audit({ actor, action, target: 'federation', details }).catch((error: unknown) => {
      log.error({ error }, 'the audit log was not written')
    })
  }
  return new Rebalancer({
    plan: (max, anyhow) => planRebalance(deps.fleet.candidates(), workspacesOf(deps, anyhow), { max }),
    instances: () => deps.fleet.candidates().map((one) => ({ peer: one.peer, shortOfRoom: isShortOfRoom(one) })),
    blocked: () => whatComesFirst(deps),
    carryOut: (move, signal) => carryOut(deps, move, signal),
    onBegun: (trigger, actor) => record(actor, 'rebalance.begin', { trigger }),
    onEnded: (last, actor) => record(actor, 'rebalance.end', { ...last }),
    onChange: () => changes.tell('workspaces'),
    clock,
    log
  })
}

function* workspacesOf(deps: RebalancingDeps, anyhow: boolean): Generator<RebalanceWorkspace> {
  const { table, fleet, holdings } = deps
  for (const { signed } of table.all()) {
    const { workspace, service, home, standbys } = signed.value
    if (home === null) continue
    yield {
      workspace,
      service,
      bytes: fleet.usedBytes(workspace),
      home,
      standbys: standbys.map((peer) => ({ peer, current: holdings.sequence(workspace, peer) > 0 })),
      idle: anyhow || isIdle(deps, workspace)
    }
  }
}

/** Nobody asked for it of late, no connection to it is open, and its app does not say that users are at work. */
const isIdle = ({ doors, sights, director }: RebalancingDeps, workspace: RebalanceWorkspace['workspace']): boolean =>
  director.state(workspace).state === 'serving' && doors.quietMs(workspace) >= IDLE_MS && !sights.isBusy(workspace)

function whatComesFirst({ registry, fleet, hold, detector }: RebalancingDeps): string | null {
  if (hold.reason !== null) return `nothing is promoted now: ${hold.reason}`
  if (registry.members().some(({ peerId }) => fleet.isDraining(peerId))) return 'a drain is under way'
  return detector.isWaiting ? 'an instance went away a moment ago, and may come back' : null
}

async function carryOut(deps: RebalancingDeps, move: RebalanceMove, signal: AbortSignal): Promise<void> {
  const { table, fleet, director, doors, log } = deps
  const { workspace, from, to, role, reason } = move
  const value = table.get(workspace)?.signed.value
  const isThere = role === 'home' ? value?.home === from : value?.standbys.includes(from) === true && value.home !== to
  if (!isThere || !fleet.candidates().some(({ peer }) => peer === to)) {
    throw new NodeDaemonError('CONFLICT', 'it is not as it was planned any more')
  }
  if (role === 'standby') await director.replaceStandby(workspace, from, to, signal)
  else {
    if (!isIdle(deps, workspace)) throw new NodeDaemonError('BUSY', 'it is in use')
    await director.move(workspace, to, { idle: doors.idle.bind(doors), signal, keepAsStandby: true })
  }
  log.info({ workspace, role, from, to, reason }, 'a workspace was moved to even the load')
}
