import type { Clock } from '../core/clock.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { AuditLog } from '../membership/audit.ts'
import { Groups } from '../membership/groups.ts'
import { Services } from '../routing/services.ts'
import type { ControlStore } from '../store/control-store.ts'
import type { CoreOptions } from './coordinator-parts.ts'
import { whyInUse } from './group-use.ts'

/** What admins have declared: services, and groups of users. A group that a service or a workspace needs stays. */
export async function openDeclared(
  deps: {
    readonly store: ControlStore
    readonly clock: Clock
    readonly audit: AuditLog
    readonly table: OwnershipTable
  },
  options: Pick<CoreOptions, 'acknowledge'>
): Promise<{ readonly services: Services; readonly groups: Groups }> {
  const { store, clock, table } = deps
  const audit = deps.audit.append
  const services = await Services.open(
    {
      store,
      audit,
      workspaces: (service) => table.countOf(service),
      hasGroup: (group) => groups.has(group)
    },
    options.acknowledge
  )
  const groups: Groups = await Groups.open({ store, clock, audit, inUse: (group) => whyInUse(group, table, services) })
  return { services, groups }
}
