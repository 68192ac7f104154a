import { type GroupName, ownerOfGroup, ownerOfService, type WorkspaceId } from '../core/ids.ts'
import type { OwnershipTable } from '../handover/ownership-table.ts'
import type { ServiceRoute } from '../routing/neighbours.ts'
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

/** The workspaces that members of a group get to as its members: what they may do there changes with the group. */
export function reachedByGroup(
  group: GroupName,
  table: Pick<OwnershipTable, 'find'>,
  services: readonly Pick<ServiceRoute, 'name' | 'writers'>[]
): WorkspaceId[] {
  return services.flatMap(({ name, writers }) => {
    const own = table.find(name, ownerOfGroup(group))
    const whole = writers === group ? table.find(name, ownerOfService(name)) : null
    return [own, whole].filter((workspace) => workspace !== null)
  })
}

/** The workspaces that several users get to. */
export function sharedWorkspaces(table: Pick<OwnershipTable, 'all'>): WorkspaceId[] {
  return [...table.all()].flatMap(({ signed: { value } }) => (PERSONAL.test(value.owner) ? [] : [value.workspace]))
}

/** Nobody but its owner has connections into such a workspace. */
export const PERSONAL = /^(user|guest):/
