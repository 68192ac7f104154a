import { expect, test } from 'vitest'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { Flights } from '../../../src/routing/flights.ts'
import { manualClock } from '../../tools/clock.ts'

const NOTES = 'a'.repeat(32) as WorkspaceId

function flights() {
  const clock = manualClock()
  const broken: string[] = []
  const touched: string[] = []
  const table = new Flights(clock, () => void touched.push('touched'))
  const enter = (name: string): (() => void) => table.enter(NOTES, () => void broken.push(name))
  return { table, clock, broken, enter, touched }
}

test('a request that does not end soon is told from others, until it ends', () => {
  const { table, clock, enter } = flights()
  const endStream = enter('stream')
  clock.advance(2999)
  expect([table.isBusy(NOTES), table.hasLong(NOTES)]).toEqual([true, false])
  clock.advance(1)
  const endShort = enter('short')
  expect(table.hasLong(NOTES)).toBe(true)
  endStream()
  endStream()
  expect([table.isBusy(NOTES), table.hasLong(NOTES)]).toEqual([true, false])
  endShort()
  expect(table.isBusy(NOTES)).toBe(false)
})

test('long requests are broken off alone, or all of them', () => {
  const { table, clock, broken, enter } = flights()
  enter('stream')
  clock.advance(3000)
  enter('short')
  table.breakOff(NOTES, 'long')
  expect(broken).toEqual(['stream'])
  table.breakOff(NOTES, 'all')
  expect(broken).toEqual(['stream', 'stream', 'short'])
})

test('each request that begins or ends is heard of, once', () => {
  const { enter, touched } = flights()
  const end = enter('one')
  expect(touched).toHaveLength(1)
  end()
  end()
  expect(touched).toHaveLength(2)
})
