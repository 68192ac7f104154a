import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { blockOf, DAG_PB_CODEC, RAW_CODEC } from '../../../src/core/blocks.ts'
import { Horizon } from '../../../src/store/horizon.ts'
import { Marks } from '../../../src/store/marks.ts'
import { Pins } from '../../../src/store/pins.ts'
import { handClock } from './support.ts'

const HOUR = 3_600_000
const MINUTE = 60_000
const cidOf = (number: number, codec = RAW_CODEC): CID => blockOf(codec, Buffer.from(String(number))).cid

test.each([2, 4] as const)('a set of marks (%d words) holds what was added, and nothing else', (words) => {
  fc.assert(
    fc.property(fc.array(fc.nat(3000), { maxLength: 3000 }), (numbers) => {
      const marks = new Marks(words)
      const model = new Set<number>()
      for (const number of numbers) {
        expect(marks.add(cidOf(number))).toBe(!model.has(number))
        model.add(number)
      }
      expect(marks.size).toBe(model.size)
      for (let number = 0; number < 50; number++) expect(marks.has(cidOf(number))).toBe(model.has(number))
      for (const number of model) expect(marks.has(cidOf(number))).toBe(true)
    }),
    { numRuns: 10 }
  )
})

test('a chunk and a node of the same bytes are told apart', () => {
  const marks = new Marks(4)
  marks.add(cidOf(1))
  expect(marks.has(cidOf(1, DAG_PB_CODEC))).toBe(false)
  expect(marks.add(cidOf(1, DAG_PB_CODEC))).toBe(true)
})

test('a pin holds for an hour at least, and not for ever', () => {
  const clock = handClock()
  const pins = new Pins(clock)
  clock.pass(0.9 * HOUR)
  pins.add([cidOf(1)])
  clock.pass(0.2 * HOUR)
  pins.add([cidOf(2)])
  clock.pass(0.75 * HOUR)
  pins.add([])
  expect(pins.has(cidOf(1))).toBe(true)
  clock.pass(1.1 * HOUR)
  pins.add([])
  expect(pins.has(cidOf(1))).toBe(false)
})

test('while pins are held none ends, and those that came meanwhile hold for an hour after', () => {
  const clock = handClock()
  const pins = new Pins(clock)
  pins.add([cidOf(1)])
  const release = pins.hold()
  clock.pass(3 * HOUR)
  pins.add([cidOf(2)])
  expect(pins.has(cidOf(1))).toBe(true)
  release()
  clock.pass(0.95 * HOUR)
  pins.add([])
  expect(pins.has(cidOf(2))).toBe(true)
  clock.pass(2 * HOUR)
  pins.add([])
  expect(pins.has(cidOf(2))).toBe(false)
})

test('pins that cannot all be remembered say so for an hour', () => {
  const clock = handClock()
  const pins = new Pins(clock, 3)
  pins.add([1, 2, 3].map((number) => cidOf(number)))
  expect(pins.full).toBe(false)
  pins.add([cidOf(1)])
  expect(pins.full).toBe(false)
  pins.add([cidOf(4)])
  expect(pins.full).toBe(true)
  clock.pass(1.01 * HOUR)
  expect(pins.full).toBe(false)
})

test('what was written within the last hour is young, and what was there at the start counts as written then', () => {
  const clock = handClock()
  const horizon = new Horizon(clock, { pack: 1, offset: 100 })
  const isYoung = (offset: number): boolean => horizon.isYoung({ pack: 1, offset })
  clock.pass(30 * MINUTE)
  horizon.note({ pack: 1, offset: 200 })
  clock.pass(10_000)
  horizon.note({ pack: 1, offset: 300 })
  expect(isYoung(50)).toBe(true)
  clock.pass(31 * MINUTE)
  expect([50, 150, 250].map(isYoung)).toEqual([false, true, true])
  clock.pass(30 * MINUTE)
  expect([50, 150, 250, 300].map(isYoung)).toEqual([false, false, false, true])
})

test('many writes leave few samples behind, and none makes anything old too early', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20 * MINUTE), { minLength: 1, maxLength: 200 }), (pauses) => {
      const clock = handClock()
      const horizon = new Horizon(clock, { pack: 1, offset: 0 })
      const written: number[] = []
      for (const pause of pauses) {
        clock.pass(pause)
        written.push(clock.now())
        horizon.note({ pack: 1, offset: written.length })
      }
      for (const [offset, when] of written.entries()) {
        const age = clock.now() - when
        if (age < HOUR) expect(horizon.isYoung({ pack: 1, offset })).toBe(true)
        if (age > HOUR + MINUTE) expect(horizon.isYoung({ pack: 1, offset })).toBe(false)
      }
    })
  )
})

test('a pack whose places have changed is young until an hour has passed over all of it', () => {
  const clock = handClock()
  const horizon = new Horizon(clock, { pack: 1, offset: 1000 })
  clock.pass(2 * HOUR)
  expect(horizon.isYoung({ pack: 1, offset: 500 })).toBe(false)
  horizon.rewritten(1)
  expect(horizon.isYoung({ pack: 1, offset: 500 })).toBe(true)
  horizon.note({ pack: 2, offset: 10 })
  clock.pass(1.1 * HOUR)
  expect(horizon.isYoung({ pack: 1, offset: 500 })).toBe(false)
})
