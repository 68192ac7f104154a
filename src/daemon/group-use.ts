import { type GroupName, ownerOfGroup } from '../core/ids.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { Services } from '../routing/services.ts'

/** Why a group cannot be taken away now, for people; null where it can. */
export function whyInUse(
  group: GroupName,
  table: Pick<OwnershipTable, 'find'>,
  services: Pick<Services, 'list'>
): string | null {
  for (const { name, writers } of services.list()) {
    if (writers === group) return `its members are the writers of the service ${name}`
    if (table.find(name, ownerOfGroup(group)) !== null) return `it has a workspace of the service ${name}`
  }
  return null
}
