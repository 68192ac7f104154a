import { expect, test } from 'vitest'
import { Standstill } from '../../../src/core/standstill.ts'
import { manualClock } from '../../tools/clock.ts'

test('a process that was stopped knows it, whichever timer asks first when it goes on', () => {
  for (const dueMs of [10, 200, 900]) {
    const clock = manualClock()
    const answers: number[] = []
    using standstill = new Standstill(clock)
    clock.advance(1000)
    clock.after(dueMs, () => answers.push(standstill.endedAt))
    clock.standStill(1200)
    expect(answers).toEqual([2200])
    clock.advance(60_000)
    expect(standstill.endedAt).toBe(2200)
  }
})

test('one that is only busy for a moment did not stand still', () => {
  const clock = manualClock()
  using standstill = new Standstill(clock)
  for (let round = 0; round < 100; round++) {
    clock.standStill(700)
    clock.advance(50)
  }
  expect(standstill.endedAt).toBe(Number.NEGATIVE_INFINITY)
})

test('nothing runs on after its end', () => {
  const clock = manualClock()
  new Standstill(clock)[Symbol.dispose]()
  expect(clock.waiting).toBe(0)
})
