import { expect, test } from 'vitest'
import type { OwnerId, ServiceName, WorkspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import type { Fleet } from '../../../src/daemon/fleet.ts'
import { LiveGroupBook } from '../../../src/daemon/group-book.ts'
import { whyInUse } from '../../../src/daemon/group-use.ts'
import { LiveServiceCatalogue } from '../../../src/daemon/service-catalogue.ts'
import { OwnershipTable } from '../../../src/handover/ownership-table.ts'
import { Groups } from '../../../src/membership/groups.ts'
import type { Candidate } from '../../../src/placement/candidate.ts'
import { Services } from '../../../src/routing/services.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import { manualClock } from '../../tools/clock.ts'
import { identityOf, peerOf } from '../handover/fleet.ts'
import { instance } from '../placement/support.ts'

const LAB = 'lab' as ServiceName
const BY = { actor: 'root', role: 'admin' } as const

async function bench() {
  const store = controlStore(memoryKeyValue())
  const audit = async (): Promise<void> => undefined
  const table = await OwnershipTable.open(store, identityOf('a'))
  const services: Services = await Services.open(
    { store, audit, workspaces: (name) => table.countOf(name), hasGroup: (group) => groups.has(group) },
    'replicated'
  )
  const inUse = (group: Parameters<typeof whyInUse>[0]): string | null => whyInUse(group, table, services)
  const groups: Groups = await Groups.open({ store, clock: manualClock(), audit, inUse })
  const here: Candidate[] = []
  const fleet = { candidates: () => here } as unknown as Fleet
  let made = 0
  const own = async (service: ServiceName, owner: string): Promise<void> => {
    const id = (++made).toString(16).padStart(32, '0') as WorkspaceId
    await table.create(id, { service, owner: owner as OwnerId, home: peerOf('a'), createdAtMs: 1 })
  }
  return {
    catalogue: new LiveServiceCatalogue({ services, table, fleet, standbys: 1 }),
    book: new LiveGroupBook({ groups, services, table }),
    here,
    own
  }
}

test('a service warns as long as nobody would take over from the home of its workspaces', async () => {
  const { catalogue, here, own } = await bench()
  await catalogue.add(BY, { name: 'lab', route: '/lab', scope: 'service' })
  const warnings = (): readonly string[] => catalogue.list().find(({ name }) => name === 'lab')?.warnings ?? []
  expect(warnings()).toEqual(['no instance offers it now: nobody can use it'])
  here.push(instance('a', 1e9, { services: [LAB], zone: 'one' }))
  expect(warnings()).toEqual(['only a offers it: when that goes away, nobody takes over'])
  here.push(instance('b', 1e9, { services: [LAB], zone: 'one' }))
  await own(LAB, 'service:lab')
  expect(warnings()).toEqual([
    '1 of its workspaces have no standby yet',
    'all instances that offer it are in the zone one, and may fail together'
  ])
  here.push(instance('c', 1e9, { services: [], unfit: new Map([[LAB, 'it has no label gpu=yes']]) }))
  here.push(instance('d', 1e9, { services: [LAB], zone: 'two' }))
  expect(warnings()).toEqual([
    '1 of its workspaces have no standby yet',
    'c offers it and cannot run it: it has no label gpu=yes'
  ])
})

test('a service that is not declared any more shows with what it needs to be reached again', async () => {
  const { catalogue, own } = await bench()
  await own(LAB, 'group:club')
  await own(LAB, 'group:team')
  expect(catalogue.list().at(-1)).toMatchObject({ name: 'lab', route: '', scope: 'group', workspaces: 2 })
  expect(catalogue.list().at(-1)?.warnings[0]).toContain('services add lab --scope group')
})

test('a group stays while it has a workspace or writes one', async () => {
  const { catalogue, book, own } = await bench()
  for (const name of ['club', 'editors', 'free']) await book.add(BY, name)
  await book.grant(BY, 'club', { user: 'ada', rights: 'write' })
  await catalogue.add(BY, { name: 'lab', route: '/lab', scope: 'group' })
  await catalogue.add(BY, { name: 'wiki', route: '/wiki', scope: 'service', writers: 'editors' })
  await own(LAB, 'group:club')
  expect(book.list()).toMatchObject([
    { name: 'club', members: [{ user: 'ada', rights: 'write' }], workspaces: 1 },
    { name: 'editors', workspaces: 0 },
    { name: 'free', workspaces: 0 }
  ])
  await expect(book.remove(BY, 'club')).rejects.toThrow('club stays: it has a workspace of the service lab')
  await expect(book.remove(BY, 'editors')).rejects.toThrow('its members are the writers of the service wiki')
  await book.remove(BY, 'free')
  expect(book.list()).toHaveLength(2)
})
