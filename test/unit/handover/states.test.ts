import { describe, expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import * as drains from '../../../src/handover/drain.ts'
import * as states from '../../../src/handover/workspace-state.ts'
import { planDrain } from '../../../src/placement/plan-drain.ts'
import { drainable, instance, policy, workspace } from '../placement/support.ts'

const TO = 'target' as PeerIdText

function outcome(work: () => { state: string }): string {
  try {
    return work().state
  } catch (error) {
    return codeOf(error) === 'ILLEGAL_TRANSITION' ? '-' : `failed: ${codeOf(error)}`
  }
}

describe('a workspace', () => {
  const all: readonly states.WorkspaceState[] = [
    { state: 'serving' },
    { state: 'moving', to: TO },
    { state: 'frozen', to: TO },
    { state: 'restoring' },
    { state: 'orphaned', reason: 'nobody' }
  ]

  test.each<[string, (from: states.WorkspaceState) => states.WorkspaceState, readonly string[]]>([
    // from:                                                    serving      moving       frozen       restoring    orphaned
    ['beginMove', (from) => states.beginMove(from, TO), ['moving', '-', '-', '-', '-']],
    ['freeze', states.freeze, ['frozen', 'frozen', '-', '-', '-']],
    ['thaw', states.thaw, ['-', 'serving', 'serving', '-', '-']],
    ['promote', states.promote, ['restoring', 'restoring', 'restoring', 'restoring', 'restoring']],
    ['assumed', states.assumed, ['serving', '-', '-', 'serving', '-']],
    ['orphan', (from) => states.orphan(from, 'nobody'), ['-', '-', 'orphaned', 'orphaned', 'orphaned']]
  ])('goes along the arrow %s from where it begins, and from nowhere else', (_, arrow, expected) => {
    expect(all.map((from) => outcome(() => arrow(from)))).toEqual(expected)
  })

  test('lets requests pass while it is served, also while its next home catches up', () => {
    expect(all.map(states.passes)).toEqual([true, true, false, false, false])
  })

  test('remembers where it moves to while it is frozen', () => {
    expect(states.freeze(states.beginMove({ state: 'serving' }, TO))).toEqual({ state: 'frozen', to: TO })
    expect(states.freeze({ state: 'serving' })).toEqual({ state: 'frozen', to: null })
  })

  test('names both states when an arrow does not exist', () => {
    expect(() => states.beginMove({ state: 'restoring' }, TO)).toThrow('restoring cannot become moving')
  })
})

describe('a drain', () => {
  const plan = planDrain([drainable(1, 10), drainable(2, 30)], [instance('b')], policy())
  const refused = planDrain([drainable(1, 10)], [instance('b', 1)], policy())
  const CERTIFICATE = Uint8Array.of(1)
  const preparing = drains.prepare({ state: 'serving' }, 60_000)
  const draining = drains.begin(preparing, plan, 0)
  const stalled = drains.stall(draining, 'no room', drains.STALLED_AFTER_MS)
  const almost = drains.handedOver(draining as drains.Draining, workspace(1), 10)
  const proven = drains.handedOver(almost, workspace(2), 20)
  const all: readonly drains.Drain[] = [
    { state: 'serving' },
    preparing,
    draining,
    stalled,
    drains.finish(proven, CERTIFICATE),
    drains.expire(draining),
    drains.cancel(draining),
    drains.begin(preparing, refused, 0)
  ]

  test('has the states of its diagram', () => {
    const names = ['serving', 'preparing', 'draining', 'stalled', 'drained', 'expired', 'cancelled', 'failed']
    expect(all.map(({ state }) => state)).toEqual(names)
  })

  test.each<[string, (from: drains.Drain) => drains.Drain, readonly string[]]>([
    // from: serving, preparing, draining, stalled, drained, expired, cancelled, failed
    [
      'prepare',
      (from) => drains.prepare(from, 1),
      ['preparing', '-', '-', '-', 'preparing', 'preparing', 'preparing', 'preparing']
    ],
    ['begin', (from) => drains.begin(from, plan, 0), ['-', 'draining', '-', '-', '-', '-', '-', '-']],
    ['begin, refused', (from) => drains.begin(from, refused, 0), ['-', 'failed', '-', '-', '-', '-', '-', '-']],
    [
      'handedOver',
      (from) => drains.handedOver(from, workspace(1), 1),
      ['-', '-', 'draining', 'draining', '-', '-', '-', '-']
    ],
    ['stall', (from) => drains.stall(from, 'why', 1e9), ['-', '-', 'stalled', 'stalled', '-', '-', '-', '-']],
    ['arrived, more', (from) => drains.arrived(from, 5, 1), ['-', '-', 'draining', 'draining', '-', '-', '-', '-']],
    ['arrived, nothing', (from) => drains.arrived(from, 0, 1), ['-', '-', 'draining', 'stalled', '-', '-', '-', '-']],
    [
      'replan',
      (from) => drains.replan(from, [], new Set([workspace(1)])),
      ['-', '-', 'draining', 'stalled', '-', '-', '-', '-']
    ],
    [
      'waitFor, some',
      (from) => drains.waitFor(from, { workspaces: new Set([workspace(1)]), until: 100 }, 1),
      ['-', '-', 'draining', 'stalled', '-', '-', '-', '-']
    ],
    [
      'waitFor, all',
      (from) => drains.waitFor(from, { workspaces: new Set([workspace(1), workspace(2)]), until: 100 }, 1),
      ['-', '-', 'draining', 'draining', '-', '-', '-', '-']
    ],
    ['hasten', (from) => drains.hasten(from, 5), ['-', 'preparing', 'draining', 'stalled', '-', '-', '-', '-']],
    ['expire', drains.expire, ['-', '-', 'expired', 'expired', '-', '-', '-', '-']],
    ['cancel', drains.cancel, ['-', 'cancelled', 'cancelled', 'cancelled', '-', '-', '-', '-']],
    [
      'finish, with something pending',
      (from) => drains.finish(from, CERTIFICATE),
      ['-', '-', '-', '-', '-', '-', '-', '-']
    ]
  ])('goes along the arrow %s from where it begins, and from nowhere else', (_, arrow, expected) => {
    expect(all.map((from) => outcome(() => arrow(from)))).toEqual(expected)
  })

  test('is drained only once nothing is pending, also out of a stall', () => {
    expect(outcome(() => drains.finish(almost, CERTIFICATE))).toBe('-')
    expect(drains.finish(proven, CERTIFICATE)).toMatchObject({ state: 'drained', total: 2, bytes: 40 })
    expect(drains.finish(drains.stall(proven, 'why', 1e9), CERTIFICATE).state).toBe('drained')
  })

  test('stalls after a while without progress, not at the first failure, and goes on with progress', () => {
    expect(drains.stall(draining, 'why', drains.STALLED_AFTER_MS - 1).state).toBe('draining')
    const later = drains.stall(drains.handedOver(stalled, workspace(1), 20_000), 'why', 20_001)
    expect(later.state).toBe('draining')
  })

  test('that ended early names what is unproven', () => {
    expect(drains.expire(almost)).toEqual({ state: 'expired', unproven: [workspace(2)] })
    expect(drains.cancel(almost)).toEqual({ state: 'cancelled', unproven: [workspace(2)] })
    expect(drains.cancel(preparing)).toEqual({ state: 'cancelled', unproven: [] })
  })

  test('that was refused carries the reasons', () => {
    expect(drains.begin(preparing, refused, 0)).toMatchObject({ state: 'failed', reasons: [expect.any(String)] })
  })

  test('that is hastened ends at the earlier deadline', () => {
    expect(drains.hasten(draining, 5)).toMatchObject({ deadline: 5 })
    expect(drains.hasten(draining, 1e9)).toMatchObject({ deadline: 60_000 })
  })

  test('does not stall while all that is left is waited for', () => {
    const left = { workspaces: new Set([workspace(2)]), until: 50_000 }
    expect(drains.stall(drains.waitFor(almost, left, 10), 'why', 1e9).state).toBe('draining')
    expect(drains.stall(drains.waitFor(draining, left, 10), 'why', 1e9).state).toBe('stalled')
  })

  test('that has waited for users is not stalled at once when it goes on', () => {
    const all = { workspaces: new Set([workspace(1), workspace(2)]), until: 50_000 }
    const waited = drains.waitFor(draining, all, 0)
    const onAgain = drains.waitFor(waited, { workspaces: new Set(), until: 50_000 }, 50_000)
    expect(drains.stall(onAgain, 'why', 50_001).state).toBe('draining')
    expect(drains.figures(onAgain, 50_000).etaMs).toBe(drains.figures(draining, 0).etaMs)
  })

  test('that was planned anew counts what came meanwhile, and names it where it ends early', () => {
    const late = planDrain([drainable(3, 100)], [instance('b')], policy())
    if (late.kind !== 'planned') throw new Error('it was not planned')
    const anew = drains.replan(almost, late.moves, new Set([workspace(2), workspace(3), workspace(4)]))
    expect(drains.expire(anew).unproven).toEqual([2, 3, 4].map(workspace))
    expect(drains.figures(anew, 0)).toMatchObject({
      workspaces: { done: 1, total: 4 },
      bytes: { done: 10, total: 140 }
    })
  })

  test('tells how far it is', () => {
    expect(drains.figures(draining, 0)).toMatchObject({
      workspaces: { done: 0, total: 2 },
      bytes: { done: 0, total: 40 }
    })
    expect(drains.figures(almost, 1000)).toMatchObject({
      workspaces: { done: 1, total: 2 },
      bytes: { done: 10, total: 40 }
    })
    expect(drains.figures(drains.arrived(almost, 12, 1000), 1000).bytes).toEqual({ done: 22, total: 40 })
    const done = drains.figures(drains.finish(proven, CERTIFICATE), 5000)
    expect(done).toEqual({ workspaces: { done: 2, total: 2 }, bytes: { done: 40, total: 40 }, etaMs: 0 })
    expect(drains.figures({ state: 'serving' }, 0).etaMs).toBe(0)
  })
})

describe('the time that a drain has left', () => {
  // Two copies of 100 s each at the planned rate.
  const large = planDrain([drainable(1, 100e6), drainable(2, 100e6)], [instance('b')], policy())
  const begun = drains.begin(drains.prepare({ state: 'serving' }, 600_000), large, 0)
  const eta = (drain: drains.Drain, now: number): number => drains.figures(drain, now).etaMs

  test('is that of the plan at first', () => {
    expect(eta(begun, 0)).toBe(200_400)
  })

  test('follows what was measured: bytes that have arrived, and workspaces that are handed over', () => {
    const slow = drains.arrived(begun, 50e6, 100_000)
    expect(eta(slow, 100_000)).toBeGreaterThan(270_000)
    const fast = drains.handedOver(begun, workspace(1), 20_000)
    expect(eta(fast, 20_000)).toBeLessThan(30_000)
  })

  test('grows while nothing goes on, and is never nothing while something is left', () => {
    expect(eta(begun, 300_000)).toBeGreaterThan(eta(begun, 100_000))
    expect(eta(drains.arrived(begun, 200e6, 1000), 1000)).toBeGreaterThanOrEqual(1000)
    expect(eta(drains.handedOver(drains.handedOver(begun, workspace(1), 1), workspace(2), 2), 3)).toBe(0)
  })

  test('is at least as long as users at work are waited for', () => {
    const waiting = { workspaces: new Set([workspace(1), workspace(2)]), until: 500_000 }
    expect(eta(drains.waitFor(begun, waiting, 0), 100_000)).toBeGreaterThan(400_000)
  })
})
