import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RETENTION, type RetentionPolicy } from '../../../src/store/repository.ts'
import { type Moment, retained } from '../../../src/store/retention.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const NOTHING: RetentionPolicy = { minutes: 0, hours: 0, days: 0, weeks: 0, months: 0 }

/** Heads at these times, oldest first, as retention wants them. */
const headsAt = (times: readonly number[]): Moment[] =>
  times.map((acceptedAtMs, index) => ({ cid: `head ${index + 1}`, sequence: index + 1, acceptedAtMs })).reverse()

const kept = (times: readonly number[], policy: Partial<RetentionPolicy>): number[] => {
  const names = retained(headsAt(times), { ...NOTHING, ...policy })
  return times.flatMap((_, index) => (names.has(`head ${index + 1}`) ? [index + 1] : []))
}

const at = (text: string): number => Date.parse(`${text}Z`)

test('the tip is always kept, and nothing else where nothing is asked for', () => {
  expect(kept([1, 2, 3], {})).toEqual([3])
  expect(retained([], RETENTION).size).toBe(0)
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
      const heads = headsAt(when)
      const names = retained(heads, policy)
      const sum = Object.values(policy).reduce((total, each) => total + each, 0)
      expect(names.size).toBeLessThanOrEqual(Math.max(1, sum))
      expect(
        retained(
          heads.filter(({ cid }) => names.has(cid)),
          policy
        )
      ).toEqual(names)
    })
  )
})

test('what was dropped would have been dropped later too: new heads never bring an old one back', () => {
  fc.assert(
    fc.property(times, times, policies, (when, later, policy) => {
      const now = retained(headsAt(when), policy)
      const then = retained(headsAt([...when, ...later]), policy)
      for (const { cid } of headsAt(when)) if (!now.has(cid)) expect(then.has(cid)).toBe(false)
    })
  )
})
