import type { RebalanceOrder } from '../console/inputs.ts'
import type { Caller, Handovers } from '../console/service.ts'
import type { ConfirmedView, RebalanceView } from '../console/views.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { PromotionHold } from '../handover/promotion-hold.ts'
import type { Rebalance } from '../handover/rebalance.ts'
import type { Rebalancer } from '../handover/rebalancer.ts'
import type { Audit } from '../membership/audit.ts'
import type { RebalanceMove } from '../placement/plan-rebalance.ts'
import type { Fleet } from './fleet.ts'

/** Moves of a plan that are shown. */
const SHOWN_MAX = 1000

export interface HandoversDeps {
  readonly hold: PromotionHold
  readonly rebalancer: Rebalancer
  readonly fleet: Pick<Fleet, 'nameOf'>
  readonly audit: Audit
}

/** What admins decide about homes as a whole. */
export class LiveHandovers implements Handovers {
  readonly #deps: HandoversDeps

  constructor(deps: HandoversDeps) {
    this.#deps = deps
  }

  async confirmFailover({ actor }: Caller): Promise<ConfirmedView> {
    const { hold, audit } = this.#deps
    const { reason } = hold
    if (reason === null) {
      throw new NodeDaemonError('REFUSED_BY_POLICY', 'there is nothing to confirm: promotions are not held', {
        advice: 'see who is gone with: node-daemon peers ls'
      })
    }
    await audit({ actor, action: 'failover.confirm', target: 'federation', details: { causes: reason } })
    return { causes: [...hold.confirm()] }
  }

  rebalance({ actor }: Caller, { plan = false }: RebalanceOrder): RebalanceView {
    const { rebalancer } = this.#deps
    if (plan) return this.#view(rebalancer.plan(SHOWN_MAX))
    rebalancer.begin('asked', actor)
    return this.#view([])
  }

  rebalancing(): RebalanceView {
    return this.#view([])
  }

  stopRebalance(_: Caller): RebalanceView {
    this.#deps.rebalancer.stop()
    return this.#view([])
  }

  #view(plan: readonly RebalanceMove[]): RebalanceView {
    const { rebalancer, fleet } = this.#deps
    const named = plan.map((move) => ({ ...move, fromName: fleet.nameOf(move.from), toName: fleet.nameOf(move.to) }))
    return { ...progressOf(rebalancer.current), plan: named }
  }
}

function progressOf(rebalance: Rebalance): Omit<RebalanceView, 'plan'> {
  if (rebalance.state === 'idle') {
    const { last } = rebalance
    return { state: 'idle', moved: last?.moved ?? 0, failed: last?.failed ?? 0, reason: last?.end ?? null }
  }
  const { state, moved, failed } = rebalance
  return { state, moved, failed, reason: rebalance.state === 'waiting' ? rebalance.reason : null }
}
