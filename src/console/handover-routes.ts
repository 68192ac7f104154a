import * as input from './inputs.ts'
import { type Route, routesOf } from './route.ts'
import type { CoordinatorService } from './service.ts'
import * as view from './views.ts'

const { json } = routesOf<CoordinatorService>()

/** What is decided about the homes of workspaces as a whole. */
export const HANDOVER_ROUTES: readonly Route<CoordinatorService>[] = [
  json(
    'POST',
    '/failover/confirm',
    { summary: 'Go on with promotions after a mass loss', role: 'admin', output: view.confirmedView },
    (service, call) => service.handovers.confirmFailover(call.caller)
  ),
  json(
    'GET',
    '/rebalance',
    { summary: 'How the spreading of workspaces goes on, or went', role: 'viewer', output: view.rebalanceView },
    (service) => service.handovers.rebalancing()
  ),
  json(
    'POST',
    '/rebalance',
    {
      summary: 'Spread idle workspaces over the instances that there are now, or plan that',
      role: 'operator',
      input: input.rebalance,
      output: view.rebalanceView
    },
    (service, call) => service.handovers.rebalance(call.caller, call.input)
  ),
  json(
    'POST',
    '/rebalance/stop',
    { summary: 'Begin no more moves', role: 'operator', output: view.rebalanceView },
    (service, call) => service.handovers.stopRebalance(call.caller)
  )
]
