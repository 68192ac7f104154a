import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RETENTION, type RetentionPolicy } from '../../../src/store/repository.ts'
import { retention } from '../../../src/store/retention.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const NOTHING: RetentionPolicy = { minutes: 0, hours: 0, days: 0, weeks: 0, months: 0 }

/** Which of the heads stay that were accepted at these times: they are counted from 1, the oldest first. */
const kept = (times: readonly number[], policy: Partial<RetentionPolicy>): number[] => {
  const stays = retention({ ...NOTHING, ...policy })
  return times
    .map((acceptedAtMs, index) => ({ acceptedAtMs, number: index + 1 }))
    .reverse()
    .filter(({ acceptedAtMs }) => stays(acceptedAtMs))
    .map(({ number }) => number)
    .reverse()
}

const at = (text: string): number => Date.parse(`${text}Z`)

test('the tip is always kept, and nothing else where nothing is asked for', () => {
  expect(kept([1, 2, 3], {})).toEqual([3])
  expect(kept([], RETENTION)).toEqual([])
})

test('of each of so many periods that have any, the newest head is kept', () => {
  const times = [0, 1, 2, 60, 61, 180, 181].map((minutes) => minutes * MINUTE)
  expect(kept(times, { minutes: 2 })).toEqual([6, 7])
  expect(kept(times, { hours: 2 })).toEqual([5, 7])
  expect(kept(times, { hours: 9 })).toEqual([3, 5, 7])
  expect(kept(times, { days: 9 })).toEqual([7])
})

test('weeks begin on Monday, months and years as in UTC', () => {
  const times = ['2025-12-28T23:59', '2025-12-29T00:00', '2025-12-31T23:59', '2026-01-01T00:00', '2026-01-05T00:00']
  expect(kept(times.map(at), { weeks: 9 })).toEqual([1, 4, 5])
  expect(kept(times.map(at), { months: 9 })).toEqual([3, 5])
})

test('a clock that jumps ten years ahead, and back, wipes no history', () => {
  const before = Array.from({ length: 30 }, (_, day) => at('2026-01-01T12:00') + day * DAY)
  const ahead = [at('2036-01-01T12:00')]
  const after = [at('2026-02-01T12:00'), at('2026-02-02T12:00')]
  expect(kept([...before, ...ahead, ...after], { days: 30 }).length).toBe(30)
  expect(kept([...before, ...ahead], { days: 30 }).length).toBe(30)
})

test('a clock that jumps to and fro uses up no more periods than it names', () => {
  const wild = Array.from({ length: 100 }, (_, turn) =>
    turn % 2 === 0 ? at('2036-01-01T00:00') : at('2016-01-01T00:00')
  )
  const calm = Array.from({ length: 10 }, (_, day) => at('2026-01-01T12:00') + day * DAY)
  expect(kept([...calm, ...wild], { days: 12 }).length).toBe(12)
})

const times = fc.array(
  fc.oneof(
    fc.nat(10 * 365 * 24 * 60).map((minute) => minute * MINUTE),
    fc.maxSafeNat()
  ),
  {
    minLength: 1,
    maxLength: 200
  }
)
const count = fc.nat(20)
const policies = fc.record({ minutes: count, hours: count, days: count, weeks: count, months: count })

test('it keeps no more than is asked for, and thinning again changes nothing', () => {
  fc.assert(
    fc.property(times, policies, (when, policy) => {
      const numbers = kept(when, policy)
      const sum = Object.values(policy).reduce((total, each) => total + each, 0)
      expect(numbers.length).toBeLessThanOrEqual(Math.max(1, sum))
      const left = numbers.map((number) => when[number - 1] ?? 0)
      expect(kept(left, policy)).toHaveLength(left.length)
    })
  )
})

test('what was dropped would have been dropped later too: new heads never bring an old one back', () => {
  fc.assert(
    fc.property(times, times, policies, (when, later, policy) => {
      const now = kept(when, policy)
      const then = kept([...when, ...later], policy)
      for (const number of then) if (number <= when.length) expect(now).toContain(number)
    })
  )
})
