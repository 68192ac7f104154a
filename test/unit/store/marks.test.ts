import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { expect, test } from 'vitest'
import { blockOf, DAG_PB_CODEC, RAW_CODEC } from '../../../src/core/blocks.ts'
import { Horizon } from '../../../src/store/horizon.ts'
import { Marks, marksKey } from '../../../src/store/marks.ts'
import { Pins } from '../../../src/store/pins.ts'
import { handClock, seeded, workspace } from './support.ts'

const HOUR = 3_600_000
const MINUTE = 60_000
const KEY = marksKey(seeded(1))
const [A, B, C] = [workspace('a'), workspace('b'), workspace('c')]
const cidOf = (number: number, codec = RAW_CODEC): CID => blockOf(codec, Buffer.from(String(number))).cid

test.each([2, 4] as const)('a set of marks (%d words) holds what was added, and nothing else', (words) => {
  fc.assert(
    fc.property(fc.array(fc.nat(3000), { maxLength: 3000 }), (numbers) => {
      const marks = new Marks(words, KEY)
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
  const marks = new Marks(4, KEY)
  marks.add(cidOf(1))
  expect(marks.has(cidOf(1, DAG_PB_CODEC))).toBe(false)
  expect(marks.add(cidOf(1, DAG_PB_CODEC))).toBe(true)
})

test('a pin holds for an hour at least, and not for ever', () => {
  const clock = handClock()
  const pins = new Pins(clock, KEY)
  clock.pass(0.9 * HOUR)
  pins.add(A, [cidOf(1)])
  clock.pass(0.2 * HOUR)
  pins.add(A, [cidOf(2)])
  clock.pass(0.75 * HOUR)
  pins.add(A, [])
  expect(pins.has(cidOf(1))).toBe(true)
  clock.pass(1.1 * HOUR)
  pins.add(A, [])
  expect(pins.has(cidOf(1))).toBe(false)
})

test('while pins are held none ends, and those that came meanwhile hold for an hour after', () => {
  const clock = handClock()
  const pins = new Pins(clock, KEY)
  pins.add(A, [cidOf(1)])
  const release = pins.hold()
  clock.pass(3 * HOUR)
  pins.add(A, [cidOf(2)])
  expect(pins.has(cidOf(1))).toBe(true)
  release()
  clock.pass(0.95 * HOUR)
  pins.add(A, [])
  expect(pins.has(cidOf(2))).toBe(true)
  clock.pass(2 * HOUR)
  pins.add(A, [])
  expect(pins.has(cidOf(2))).toBe(false)
})

test('a workspace whose pins cannot all be remembered counts as pinned for an hour, and no other does', () => {
  const clock = handClock()
  const pins = new Pins(clock, KEY, { all: 5, each: 3 })
  const full = (): boolean[] => [A, B, C].map((id) => pins.isFull(id))
  pins.add(
    A,
    [1, 2, 3].map((number) => cidOf(number))
  )
  pins.add(A, [cidOf(1)])
  expect(full()).toEqual([false, false, false])
  pins.add(A, [cidOf(4)])
  expect(full()).toEqual([true, false, false])
  pins.add(B, [cidOf(5), cidOf(6)])
  expect(full()).toEqual([true, false, false])
  pins.add(C, [cidOf(7)])
  expect(full()).toEqual([true, false, true])
  expect([1, 2, 3, 5, 6].every((number) => pins.has(cidOf(number)))).toBe(true)
  clock.pass(1.01 * HOUR)
  expect(full()).toEqual([false, false, false])
})

test('names that begin alike cost no more than others', () => {
  const named = (number: number, alike: boolean): CID => {
    const digest = new Uint8Array(32)
    const view = new DataView(digest.buffer)
    view.setUint32(alike ? 4 : 0, number)
    view.setUint32(alike ? 0 : 4, 7)
    return CID.createV1(RAW_CODEC, createDigest(0x12, digest))
  }
  const timed = (alike: boolean): number => {
    const names = Array.from({ length: 20_000 }, (_, number) => named(number + 1000, alike))
    const marks = new Marks(2, KEY)
    const began = performance.now()
    for (const name of names) marks.add(name)
    expect(marks.size).toBe(names.length)
    return performance.now() - began
  }
  timed(false)
  // Where they share a place, each costs as much as all before it together: a thousand times as much.
  expect(timed(true)).toBeLessThan(20 * timed(false) + 100)
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
