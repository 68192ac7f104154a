import { expect, test } from 'vitest'
import { compared, measured, median, percentile, row } from '../../bench/benchmark.ts'
import { dataOf, figure, tableOf } from '../../bench/table.ts'

test('a percentile is a value that was measured, by the nearest rank', () => {
  const values = [40, 10, 30, 20]
  expect([0, 0.25, 0.5, 0.51, 0.99, 1].map((share) => percentile(values, share))).toEqual([10, 10, 20, 30, 40, 40])
  expect(percentile([7], 0.99)).toBe(7)
  expect(percentile([], 0.5)).toBeNaN()
  expect(values).toEqual([40, 10, 30, 20])
})

test('of 1,000 latencies the p99 leaves out ten', () => {
  const values = Array.from({ length: 1000 }, (_, index) => 1000 - index)
  expect([percentile(values, 0.99), median(values)]).toEqual([990, 500])
})

test('figures have three digits that count, and whole numbers no others', () => {
  expect([0, 3, 0.123, 1.234, 12.34, 123.4, 1234.5, Number.NaN].map(figure)).toEqual([
    '0',
    '3',
    '0.12',
    '1.23',
    '12.3',
    '123',
    '1,235',
    '–'
  ])
})

test('the ratio says how many times as fast the product is, whatever the unit', () => {
  const rounds = { values: [100, 200, 300] }
  const peer = { what: 'peer', values: [50, 100, 300] }
  const [, rate] = compared('MiB/s', 'rate', { what: 'own', ...rounds }, [peer])
  const [, time] = compared('ms', 'time', { what: 'own', ...rounds }, [peer])
  const [, amount] = compared('KiB', 'amount', { what: 'own', ...rounds }, [peer])
  expect([rate?.ratio, time?.ratio, amount?.ratio]).toEqual([
    { times: 2, as: 'fast' },
    { times: 0.5, as: 'fast' },
    { times: 2, as: 'much' }
  ])
})

test('a peer that is not installed is named in the table, with what installs it', () => {
  const missing = measured([null], () => undefined, 'restic')
  const rows = compared('ms', 'time', { what: 'node-daemon', values: [12] }, [{ what: 'restic', ...missing }])
  const section = { title: 'Something', rows }
  expect(tableOf(section)).toMatch(/^ {2}restic +– +not installed: apt-get install restic$/m)
  expect(dataOf(section)).toMatchObject({
    rows: [
      { what: 'node-daemon', median: 12 },
      { what: 'restic', values: [], median: null }
    ]
  })
})

test('what one round lacks is not measured at all', () => {
  expect(measured([1, undefined], (value) => value)).toEqual({ missing: 'not measured' })
  expect(measured([1, 2], (value) => value)).toEqual({ values: [1, 2] })
})

test('a table has one line for each row, with median and range', () => {
  const section = { title: 'Loads', rows: [row('own', 'ms', { values: [3, 1, 2] }), row('once', 's', { values: [9] })] }
  const [title, , own, once] = tableOf(section).split('\n')
  expect(title).toBe('Loads')
  expect(own?.split(/ {2,}/)).toEqual(['', 'own', '2', 'ms', '1 – 3'])
  expect(once?.split(/ {2,}/)).toEqual(['', 'once', '9', 's'])
})
