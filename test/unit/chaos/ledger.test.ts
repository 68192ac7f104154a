import { expect, test } from 'vitest'
import { ALL_FAULTS, faultsOf, nameOf } from '../../chaos/faults.ts'
import { Ledger } from '../../chaos/ledger.ts'
import { Chance } from '../../sim/world.ts'

test('only what was acknowledged last may be there, or what was sent later without a clear answer', () => {
  const ledger = new Ledger()
  ledger.note('/a', 'one', 'done')
  ledger.note('/a', 'two', 'unsure')
  ledger.note('/a', null, 'unsure')
  expect([ledger.possible('/a'), ledger.certain('/a')]).toEqual([new Set(['one', 'two', null]), undefined])
  ledger.note('/a', 'three', 'not-done')
  expect(ledger.possible('/a')).toEqual(new Set(['one', 'two', null]))
  ledger.note('/a', 'four', 'done')
  expect([ledger.possible('/a'), ledger.certain('/a')]).toEqual([new Set(['four']), 'four'])
})

test('what was never carried out must not be there in the end', () => {
  const ledger = new Ledger()
  ledger.note('/a', 'one', 'not-done')
  expect([ledger.paths, ledger.certain('/a')]).toEqual([['/a'], null])
})

test('every other fault strikes inside a drain, and each kind comes once before any comes again', () => {
  const faults = faultsOf(new Chance('faults of a test'))
  const first = Array.from({ length: ALL_FAULTS.length }, () => faults.next().value)
  expect(first.map(({ inDrain }) => inDrain)).toEqual(first.map((_, place) => place % 2 === 0))
  expect(first.map(nameOf).sort()).toEqual(ALL_FAULTS.map(nameOf).sort())
})
