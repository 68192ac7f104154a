import { expect, test } from 'vitest'
import type { GroupName, OwnerId, ServiceName, WorkspaceId } from '../../../src/core/ids.ts'
import { reachedByGroup, sharedWorkspaces } from '../../../src/daemon/group-use.ts'
import type { OwnershipTable } from '../../../src/handover/ownership-table.ts'

const LAB = 'lab' as GroupName
const owners = ['user:ada', 'group:lab', 'group:other', 'service:wiki', 'service:notes'] as OwnerId[]
const idOf = (owner: OwnerId): WorkspaceId => owner as unknown as WorkspaceId
const table = {
  all: () => owners.map((owner) => ({ signed: { value: { owner, workspace: idOf(owner) } } })).values(),
  find: (service: ServiceName, owner: OwnerId) => {
    const isThere = owners.includes(owner) && (owner.startsWith('service:') || service === 'files')
    return isThere ? idOf(owner) : null
  }
} as unknown as OwnershipTable

test('a group reaches its own workspaces, and those of the services that it writes', () => {
  const services = [
    { name: 'files' as ServiceName, writers: null },
    { name: 'wiki' as ServiceName, writers: LAB },
    { name: 'notes' as ServiceName, writers: null }
  ]
  expect(reachedByGroup(LAB, table, services)).toEqual(['group:lab', 'service:wiki'])
})

test('what one user has is not shared', () => {
  expect(sharedWorkspaces(table)).toEqual(['group:lab', 'group:other', 'service:wiki', 'service:notes'])
})
