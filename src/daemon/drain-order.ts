import type { DrainOrder } from '../console/inputs.ts'
import type { DrainView } from '../console/views.ts'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import { drainView } from './drain-view.ts'
import type { Drains } from './drains.ts'

const DEFAULT_DEADLINE_MS = 10 * 60_000

interface Deps {
  readonly registry: MemberRegistry
  readonly drains: Drains
  readonly clock: Clock
}

/** What an admin orders: the instance is drained, and stays connected. */
export async function orderDrain(
  { registry, drains, clock }: Deps,
  actor: string,
  text: string,
  order: DrainOrder
): Promise<DrainView> {
  const peer = registry.resolve(text)
  const wish = {
    deadlineMs: order.deadlineMs ?? DEFAULT_DEADLINE_MS,
    to: order.to === undefined ? null : registry.resolve(order.to),
    toRepository: order.toRepository ?? false,
    exits: false
  }
  const preview = drains.preview(peer, wish)
  if (order.plan === true) return drainView(preview)
  const at = order.at === undefined ? null : Date.parse(order.at)
  if (at !== null && at > clock.wall()) return drainView(await drains.plan(peer, at, wish, actor))
  if (preview.state === 'failed') throw new NodeDaemonError('REFUSED_BY_POLICY', preview.reason)
  return drainView(await drains.start(peer, wish, actor))
}
