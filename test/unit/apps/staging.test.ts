import { expect, test } from 'vitest'
import { Stamps } from '../../../src/apps/files/staging.ts'
import type { Clock } from '../../../src/core/clock.ts'

const stopped: Clock = { now: () => 0, wall: () => 1_700_000_000_000, after: () => ({ cancel: () => undefined }) }

test('no two uploads get the same time, not even when the clock stands still, to the microsecond', () => {
  const stamps = new Stamps(stopped)
  const times = Array.from({ length: 100 }, () => stamps.next() * 1_000_000)
  expect(new Set(times.map(Math.floor)).size).toBe(100)
  expect(times.map(Math.floor)).toEqual(times.map(Math.round))
})
