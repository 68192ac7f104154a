import { expect, test } from 'vitest'
import type { SignedHead } from '../../../src/core/records.ts'
import { Growth } from '../../../src/handover/growth.ts'

const head = (sequence: number, bytes: number): SignedHead => ({ value: { sequence, bytes } }) as SignedHead

function workspace(bytes: number) {
  const sync = { tip: head(1, bytes), isAtRest: true }
  return { sync, growth: new Growth(sync) }
}

test('what is on its way counts until its request has ended', () => {
  const { growth } = workspace(100)
  const [one, two] = [growth.begin(), growth.begin()]
  one.take(10)
  two.take(5)
  expect([growth.usedBytes, one.usedBytes]).toEqual([115, 115])
  one.leave()
  expect(growth.usedBytes).toBe(105)
})

test('what the newest head has is not counted twice', () => {
  const { sync, growth } = workspace(100)
  const stay = growth.begin()
  stay.take(10)
  stay.wrote()
  sync.tip = head(2, 110)
  stay.published()
  expect(growth.usedBytes).toBe(110)
  stay.leave()
  expect(growth.usedBytes).toBe(110)
})

test('what was written and is in no head yet counts until it is', () => {
  const { sync, growth } = workspace(100)
  sync.isAtRest = false
  const stay = growth.begin()
  stay.take(10)
  stay.wrote()
  stay.leave()
  expect(growth.usedBytes).toBe(110)
  // Begun before the file was written.
  sync.tip = head(2, 100)
  expect(growth.usedBytes).toBe(110)
  sync.tip = head(3, 110)
  expect(growth.usedBytes).toBe(110)
  expect(growth.usedBytes).toBe(110)
})

test('nothing is left over once all is published', () => {
  const { sync, growth } = workspace(100)
  sync.isAtRest = false
  for (const bytes of [10, 20]) {
    const stay = growth.begin()
    stay.take(bytes)
    stay.wrote()
    stay.leave()
  }
  expect(growth.usedBytes).toBe(130)
  sync.tip = head(2, 130)
  sync.isAtRest = true
  expect(growth.usedBytes).toBe(130)
})
