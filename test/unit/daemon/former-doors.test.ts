import { expect, test } from 'vitest'
import { endTrust, isFormerDoor } from '../../../src/daemon/former-doors.ts'
import type { MemberChange } from '../../../src/membership/registry.ts'

const change = (before: string | null, state: string, role = 'front-door'): MemberChange =>
  ({ before: before === null ? null : { state: before, role }, member: { state, role } }) as unknown as MemberChange

test('a front door that is revoked, or leaves, was one; who only asked, or is an instance, never had the keys', () => {
  expect(isFormerDoor(change('approved', 'revoked'))).toBe(true)
  expect(isFormerDoor(change('approved', 'left'))).toBe(true)
  expect(isFormerDoor(change('approved', 'approved'))).toBe(false)
  expect(isFormerDoor(change('pending', 'denied'))).toBe(false)
  expect(isFormerDoor(change('pending', 'left'))).toBe(false)
  expect(isFormerDoor(change(null, 'pending'))).toBe(false)
  expect(isFormerDoor(change('approved', 'revoked', 'instance'))).toBe(false)
})

test('what it had counts no more: first new keys, then no session of before', async () => {
  const done: string[] = []
  await endTrust({ replace: async () => void done.push('keys') }, { endAll: async () => void done.push('sessions') })
  expect(done).toEqual(['keys', 'sessions'])
})
