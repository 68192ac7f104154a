import { expect, test } from 'vitest'
import { timeAhead } from '../../../src/cli/times.ts'

// A time of this machine's zone, whatever that is.
const now = new Date(2026, 0, 31, 12, 0, 0).getTime()
const local = (...parts: [number, number, number, number, number]): number => new Date(...parts).getTime()

test.each([
  ['22:30', local(2026, 0, 31, 22, 30)],
  ['12:00', local(2026, 1, 1, 12, 0)],
  ['00:05', local(2026, 1, 1, 0, 5)],
  ['2026-02-01T08:00', local(2026, 1, 1, 8, 0)],
  ['2026-03-01T00:00:00Z', Date.UTC(2026, 2, 1)],
  ['2026-03-01T00:00:00+02:00', Date.UTC(2026, 1, 28, 22)]
])('the time to come %s', (text, ms) => {
  expect(timeAhead(text, now)).toBe(ms)
})

test.each(['', '24:00', '9:5', 'tomorrow', '2h', '2026-01-01T00:00:00Z', '2030-01-01T00:00:00Z'])(
  'no time to come: "%s"',
  (text) => {
    expect(() => timeAhead(text, now)).toThrow(/is not/)
  }
)
