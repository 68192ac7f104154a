import { check, double, property } from 'fast-check'
import { expect, test } from 'vitest'
import { CLOCK_DRIFT_MAX, grantorUntil, holderUntil, LEASE_MS_MAX, LeaseKeeper } from '../../../src/membership/lease.ts'

const rate = double({ min: 1 - CLOCK_DRIFT_MAX, max: 1 + CLOCK_DRIFT_MAX, noNaN: true })
const offset = double({ min: 0, max: 1e9, noNaN: true })
const delay = double({ min: 0, max: 60_000, noNaN: true })
const length = double({ min: 1, max: LEASE_MS_MAX, noNaN: true })

test('whatever two clocks with a drift of 1 % show, the holder gives up before the grantor takes the lease for ended', () => {
  const holds = property(rate, rate, offset, offset, delay, length, (holder, grantor, hStart, gStart, way, leaseMs) => {
    // In true time: asked at 0, granted `way` later.
    const holderEnds = (holderUntil(hStart, leaseMs) - hStart) / holder
    const grantedAt = gStart + way * grantor
    const grantorEnds = (grantorUntil(grantedAt, leaseMs) - gStart) / grantor
    return holderEnds <= grantorEnds + 1e-3
  })
  const result = check(holds, { numRuns: 2000 })
  expect(result.counterexample, `seed ${result.seed}`).toBeNull()
})

test('the worst clocks leave no room to spare: a shorter count of the grantor would be too short', () => {
  const leaseMs = 100_000
  const holderEnds = holderUntil(0, leaseMs) / (1 - CLOCK_DRIFT_MAX)
  const grantorEnds = grantorUntil(0, leaseMs) / (1 + CLOCK_DRIFT_MAX)
  expect(grantorEnds).toBeGreaterThanOrEqual(holderEnds)
  expect(grantorEnds - holderEnds).toBeLessThan(2)
})

test('a holder counts from before it asked, and is not valid at the very end', () => {
  const lease = new LeaseKeeper()
  expect(lease.valid(0)).toBe(false)
  lease.granted(1000, 10_000)
  expect([lease.valid(10_999), lease.valid(11_000)]).toEqual([true, false])
  expect([lease.remainingMs(5000), lease.remainingMs(20_000)]).toEqual([6000, 0])
})

test('a late answer does not shorten a lease, and giving up ends it', () => {
  const lease = new LeaseKeeper()
  lease.granted(5000, 10_000)
  lease.granted(1000, 10_000)
  expect(lease.valid(14_000)).toBe(true)
  lease.give()
  expect(lease.valid(5000)).toBe(false)
})

test.each([Number.NaN, Number.POSITIVE_INFINITY, -5])('a lease of %d ms is none', (leaseMs) => {
  expect(holderUntil(100, leaseMs)).toBe(100)
  expect(grantorUntil(100, leaseMs)).toBe(100)
})

test('no lease is longer than ten minutes', () => {
  expect(holderUntil(0, 1e12)).toBe(LEASE_MS_MAX)
})

test('none, held, ended: each arrow, and what time alone does', () => {
  const lease = new LeaseKeeper()
  const states: boolean[] = []
  const look = (now: number): void => void states.push(lease.valid(now))
  look(0)
  lease.granted(0, 1000)
  look(999)
  lease.granted(500, 1000)
  look(1499)
  look(1500)
  lease.granted(2000, 1000)
  look(2500)
  lease.give()
  look(2500)
  lease.granted(2600, 1000)
  look(2700)
  expect(states).toEqual([false, true, true, false, true, false, true])
  expect(lease.remainingMs(2700)).toBe(900)
})
