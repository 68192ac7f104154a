import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { type Attendance, CLEAR, confirmed, judge, look, type MassLoss } from '../../../src/handover/mass-loss.ts'

const POLICY = { windowMs: 30_000, settleMs: 10_000 }
const peers = (count: number, from = 0): PeerIdText[] =>
  Array.from({ length: count }, (_, index) => `peer ${from + index}` as PeerIdText)

/** `serving` are there, after them `away` vanished, each at its moment. */
const attendance = (serving: number, away: readonly number[]): Attendance => ({
  serving: new Set(peers(serving)),
  vanished: new Map(peers(away.length, serving).map((peer, index) => [peer, away[index] ?? 0]))
})

const judged = (serving: number, away: readonly number[], now = 0): string =>
  judge(CLEAR, attendance(serving, away), now, POLICY).state

const engaged = (serving: number, missing: number, now = 0): MassLoss =>
  judge(CLEAR, attendance(serving, Array(missing).fill(now)), now, POLICY)

describe('the brake engages', () => {
  test.each([
    // serving, vanished at once
    [2, 2, 'clear'],
    [1, 3, 'engaged'],
    [0, 4, 'engaged'],
    [3, 2, 'clear'],
    [2, 3, 'engaged'],
    [3, 3, 'clear'],
    [50, 50, 'clear'],
    [49, 51, 'engaged']
  ])('with %d left and %d vanished: %s. Half of them is no majority', (serving, missing, expected) => {
    expect(judged(serving, Array(missing).fill(0))).toBe(expected)
  })

  test.each([
    [0, 3],
    [1, 2],
    [0, 1]
  ])('never with fewer than four: %d left, %d vanished', (serving, missing) => {
    expect(judged(serving, Array(missing).fill(0))).toBe('clear')
  })

  test('by what is lost within the window, not by what was lost before it', () => {
    expect(judged(1, [0, 10_000, 30_000], 30_000)).toBe('engaged')
    expect(judged(1, [0, 10_000, 30_001], 30_001)).toBe('clear')
  })

  test('never where one follows the other more slowly than the window, down to the last', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 30_001, max: 200_000 }), { minLength: 1, maxLength: 20 }), (gaps) => {
        const times: number[] = []
        for (const gap of gaps) {
          times.push((times.at(-1) ?? 0) + gap)
          expect(judged(gaps.length - times.length, times, times.at(-1))).toBe('clear')
        }
      })
    )
  })

  test('exactly where more than half of at least four are missing, whoever they are', () => {
    fc.assert(
      fc.property(fc.nat(40), fc.nat(40), (serving, missing) => {
        const isMassLoss = serving + missing >= 4 && missing > serving
        expect(judged(serving, Array(missing).fill(5), 5)).toBe(isMassLoss ? 'engaged' : 'clear')
      })
    )
  })
})

describe('once it is engaged', () => {
  test('no time that passes releases it, and no instance that is new', () => {
    const later = look(engaged(1, 3), { ...attendance(1, [0, 0, 0]) }, 1e9, POLICY)
    expect(later.state).toBe('engaged')
    const joined = new Set([...peers(1), ...peers(20, 100)])
    expect(look(later, { ...attendance(1, [0, 0, 0]), serving: joined }, 1e9, POLICY).state).toBe('engaged')
  })

  test('those that are back get the others as long as it lasted, at most the settling time', () => {
    const half = attendance(2, [0, 0])
    const short = look(engaged(1, 3), half, 3000, POLICY)
    expect(short.state).toBe('settling')
    expect(look(short, half, 5999, POLICY).state).toBe('settling')
    expect(look(short, half, 6000, POLICY).state).toBe('clear')
    const long = look(engaged(1, 3), half, 60_000, POLICY)
    expect([look(long, half, 69_999, POLICY).state, look(long, half, 70_000, POLICY).state]).toEqual([
      'settling',
      'clear'
    ])
  })

  test('it is released at once where all are back', () => {
    expect(look(engaged(1, 3), attendance(4, []), 600, POLICY).state).toBe('clear')
  })

  test('it engages again where they vanish again while it settles', () => {
    const settling = look(engaged(1, 3), attendance(2, [0, 0]), 3000, POLICY)
    const again = look(settling, attendance(1, [0, 0, 3500]), 4000, POLICY)
    expect(again.state).toBe('engaged')
    expect(look(again, attendance(2, [0, 0]), 4500, POLICY)).toMatchObject({ state: 'settling', calmAt: 4500 })
  })

  test('who left with a word since, or is no member any more, counts no more', () => {
    // Three of five vanished, two of these are revoked: one of three is missing.
    expect(look(engaged(2, 3), attendance(2, [0]), 1000, POLICY).state).toBe('settling')
  })

  test('an admin confirms it, and nothing that is not there', () => {
    const settling = look(engaged(1, 3), attendance(2, [0, 0]), 3000, POLICY)
    expect([confirmed(engaged(1, 3)).state, confirmed(settling).state]).toEqual(['clear', 'clear'])
    expect(() => confirmed(CLEAR)).toThrow('no mass loss')
  })
})

test('each arrow leads from where it begins, and from nowhere else', () => {
  const all: readonly MassLoss[] = [CLEAR, engaged(1, 3), look(engaged(1, 3), attendance(2, [0, 0]), 1000, POLICY)]
  expect(all.map(({ state }) => state)).toEqual(['clear', 'engaged', 'settling'])
  const outcome = (arrow: (from: MassLoss) => MassLoss): string[] =>
    all.map((from) => {
      try {
        return arrow(from).state
      } catch (error) {
        return codeOf(error)
      }
    })
  const lost = attendance(1, [0, 0, 0])
  expect(outcome((from) => judge(from, lost, 1000, POLICY))).toEqual(['engaged', 'engaged', 'settling'])
  expect(outcome((from) => look(from, lost, 1000, POLICY))).toEqual(['clear', 'engaged', 'engaged'])
  expect(outcome((from) => look(from, attendance(2, [0, 0]), 1500, POLICY))).toEqual(['clear', 'settling', 'settling'])
  expect(outcome((from) => look(from, attendance(2, [0, 0]), 9000, POLICY))).toEqual(['clear', 'settling', 'clear'])
  expect(outcome(confirmed)).toEqual(['ILLEGAL_TRANSITION', 'clear', 'clear'])
})
