import { expect, test } from 'vitest'
import type { OwnerId, ServiceName, UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { Quotas } from '../../../src/daemon/quotas.ts'

const ADA = 'user:ada' as UserId
const GUEST = `guest:${'c'.repeat(32)}` as UserId
const [FILES, NOTES] = ['files', 'notes'] as ServiceName[]
const idOf = (service: string, user: string): WorkspaceId => `${service} ${user}` as WorkspaceId

function quotas(services: readonly ServiceName[], used: Record<string, number>): Quotas {
  return new Quotas(
    {
      table: { find: (service, user) => (idOf(service, user) in used ? idOf(service, user) : null) },
      services: { list: () => services.map((name) => ({ name })) },
      usedBytes: (workspace) => used[workspace] ?? 0,
      quotaOf: (user) => (user === 'user:rich' ? 500 : null)
    },
    { quotaBytes: 100, anonymousQuotaBytes: 10 }
  )
}

test('a user has one quota over all services; what one workspace uses is missing in the other', () => {
  if (FILES === undefined || NOTES === undefined) throw new Error('no services')
  const all = quotas([FILES, NOTES], { [idOf(FILES, ADA)]: 30, [idOf(NOTES, ADA)]: 50 })
  expect(all.limitOf(ADA, idOf(FILES, ADA))).toBe(50)
  expect(all.limitOf(ADA, idOf(NOTES, ADA))).toBe(70)
  expect(quotas([FILES, NOTES], { [idOf(NOTES, ADA)]: 500 }).limitOf(ADA, idOf(FILES, ADA))).toBe(0)
})

test('a guest has a smaller one, and an admin may give a user more', () => {
  if (FILES === undefined) throw new Error('no services')
  const all = quotas([FILES], {})
  expect([all.of(ADA), all.of(GUEST), all.of('user:rich' as UserId)]).toEqual([100, 10, 500])
  expect(all.limitOf(GUEST, idOf(FILES, GUEST))).toBe(10)
})

test('what a whole service shares has no bound; a group has that of a user', () => {
  if (FILES === undefined || NOTES === undefined) throw new Error('no services')
  const all = quotas([FILES, NOTES], {})
  expect(all.limitOf('service:notes' as OwnerId, idOf(NOTES, 'all'))).toBeNull()
  expect(all.limitOf('group:lab' as OwnerId, idOf(NOTES, 'lab'))).toBe(100)
})
