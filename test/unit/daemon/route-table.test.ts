import { expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { codeOf } from '../../../src/core/errors.ts'
import type { OwnerId, ServiceName, WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { RouteTable, type RouteTableDeps } from '../../../src/daemon/route-table.ts'
import type { ServiceRoute } from '../../../src/routing/neighbours.ts'

const route = { kind: 'path', prefix: '' } as const
const serviceOf = (scope: ServiceRoute['scope']): ServiceRoute => ({
  name: scope as string as ServiceName,
  route,
  scope,
  writers: null
})

test('a workspace is begun for an owner whom the scope of the service allows, and for nobody else', async () => {
  const begun: string[] = []
  const deps = {
    services: { list: () => [serviceOf('user'), serviceOf('group'), serviceOf('service')] },
    hold: { holds: () => false },
    groups: { has: (name: string) => name === 'lab' },
    users: { isBlocked: (user: string) => user === 'user:eve' },
    director: {
      async create(service: ServiceName, owner: OwnerId) {
        begun.push(`${service} ${owner}`)
        return 'f'.repeat(32) as WorkspaceId
      },
      state: () => ({ state: 'restoring' })
    },
    table: { get: () => null },
    clock: systemClock(),
    log: silent
  }
  const table = new RouteTable(deps as unknown as RouteTableDeps)
  const create = (service: string, owner: string): Promise<string> =>
    table.create(service as ServiceName, owner as OwnerId).then(() => 'begun', codeOf)
  const guest = `guest:${'1'.repeat(32)}`
  expect(await Promise.all([create('user', 'user:ada'), create('user', guest)])).toEqual(['begun', 'begun'])
  expect(await Promise.all([create('group', 'group:lab'), create('service', 'service:service')])).toEqual([
    'begun',
    'begun'
  ])
  const others = ['user user:eve', 'user group:lab', 'user service:user', 'group user:ada', 'service service:user']
  for (const other of others) {
    const [service = '', owner = ''] = other.split(' ')
    expect(await create(service, owner), other).toBe('FORBIDDEN')
  }
  expect(await create('group', 'group:gone')).toBe('NOT_FOUND')
  expect(begun).toEqual(['user user:ada', `user ${guest}`, 'group group:lab', 'service service:service'])
})
