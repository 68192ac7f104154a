import type { Clock } from '../core/clock.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { MemberRegistry } from '../membership/registry.ts'
import type { Services } from '../routing/services.ts'
import type { Welcome } from '../wire/control.ts'
import { REVISION } from '../wire/revision.ts'

/** What an instance is told first, each time it connects. */
export function welcomer(
  deps: { readonly registry: MemberRegistry; readonly services: Services; readonly clock: Clock },
  options: { readonly federation: string; readonly leaseMs: number; readonly heartbeatMs: number }
): (peer: PeerIdText) => Welcome {
  const { registry, services, clock } = deps
  const { federation, leaseMs, heartbeatMs } = options
  return (peer) => ({
    federation,
    name: registry.get(peer)?.name ?? '',
    leaseMs,
    heartbeatMs,
    acknowledge: services.strictest(),
    clockMs: clock.wall(),
    certificate: registry.standingOf(peer).certificate,
    memberList: registry.memberList(),
    services: services.levels(),
    revision: REVISION
  })
}
