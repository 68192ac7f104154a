import { describe, expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import { silent } from '../../../src/core/log.ts'
import {
  AT_REST,
  beginRebalance,
  counted,
  endRebalance,
  goOn,
  holdRebalance,
  type Rebalance
} from '../../../src/handover/rebalance.ts'
import { Rebalancer, type RebalancerDeps } from '../../../src/handover/rebalancer.ts'
import type { RebalanceMove } from '../../../src/placement/plan-rebalance.ts'
import { manualClock } from '../../tools/clock.ts'
import { peer, workspace } from '../placement/support.ts'
import { settled } from './fleet.ts'

const LOOK_MS = 30_000
const PAUSE_MS = 5000
const SETTLED_MS = 120_000

const moveOf = (number: number, reason: RebalanceMove['reason'] = 'load'): RebalanceMove => ({
  role: 'home',
  workspace: workspace(number),
  from: peer('a'),
  to: peer('b'),
  bytes: 10,
  reason
})

/** Moves that are left to make; those in `busy` are in use. */
function bench(changes: Partial<RebalancerDeps> = {}) {
  const clock = manualClock()
  const world = {
    left: [] as RebalanceMove[],
    busy: new Set<RebalanceMove>(),
    present: ['a', 'b'],
    short: new Set<string>(),
    blocked: null as string | null,
    underWay: 0,
    most: 0,
    plans: 0,
    begunAt: [] as number[],
    told: [] as string[]
  }
  const rebalancer = new Rebalancer({
    plan: (max, anyhow) => {
      world.plans++
      return world.left.filter((move) => anyhow || !world.busy.has(move)).slice(0, max)
    },
    instances: () => world.present.map((name) => ({ peer: peer(name), shortOfRoom: world.short.has(name) })),
    blocked: () => world.blocked,
    carryOut: async (move) => {
      world.begunAt.push(clock.now())
      world.most = Math.max(world.most, ++world.underWay)
      await settled()
      world.underWay--
      world.left = world.left.filter((one) => one !== move)
    },
    onBegun: (trigger, actor) => world.told.push(`begun ${trigger} ${actor}`),
    onEnded: ({ moved, failed, end }) => world.told.push(`ended ${moved}/${failed}: ${end}`),
    onChange: () => undefined,
    clock,
    log: silent,
    ...changes
  })
  const pass = async (ms: number): Promise<void> => {
    for (let turn = 0; turn < 4; turn++) await settled()
    for (let left = ms; left > 0; left -= PAUSE_MS) {
      clock.advance(Math.min(PAUSE_MS, left))
      for (let turn = 0; turn < 4; turn++) await settled()
    }
  }
  return { clock, world, rebalancer, pass }
}

test('moves two at a time with a rest between them, until nothing is left', async () => {
  const { world, rebalancer, pass } = bench()
  world.left = Array.from({ length: 5 }, (_, index) => moveOf(index))
  rebalancer.begin('asked', 'root')
  expect(rebalancer.current).toEqual({ state: 'moving', trigger: 'asked', moved: 0, failed: 0 })
  await pass(60_000)
  expect(world.most).toBe(2)
  expect(world.begunAt).toEqual([0, 0, PAUSE_MS, PAUSE_MS, 2 * PAUSE_MS])
  expect(world.told).toEqual(['begun asked root', 'ended 5/0: nothing is left to move'])
  expect(rebalancer.current).toEqual({
    state: 'idle',
    last: { trigger: 'asked', moved: 5, failed: 0, end: 'nothing is left to move' }
  })
})

test('waits for whatever comes first, says for what, and goes on', async () => {
  const { world, rebalancer, pass } = bench()
  world.left = [1, 2, 3, 4].map((number) => moveOf(number))
  rebalancer.begin('asked', 'root')
  await settled()
  world.blocked = 'a drain is under way'
  await pass(60_000)
  expect(rebalancer.current).toMatchObject({ state: 'waiting', reason: 'a drain is under way', moved: 2 })
  world.blocked = null
  await pass(60_000)
  expect(world.told.at(-1)).toBe('ended 4/0: nothing is left to move')
})

test('waits for workspaces that are in use', async () => {
  const { world, rebalancer, pass } = bench()
  world.left = [moveOf(1)]
  world.busy = new Set(world.left)
  rebalancer.begin('asked', 'root')
  await pass(60_000)
  expect(rebalancer.current).toMatchObject({ state: 'waiting', reason: expect.stringContaining('in use'), moved: 0 })
  world.busy.clear()
  await pass(PAUSE_MS)
  expect(world.begunAt).toHaveLength(1)
})

test('is stopped by an admin, and by the end of the coordinator; nothing more is begun', async () => {
  const { world, rebalancer, pass } = bench()
  world.left = Array.from({ length: 9 }, (_, index) => moveOf(index))
  rebalancer.begin('asked', 'root')
  await settled()
  rebalancer.stop()
  await pass(60_000)
  expect(world.told.at(-1)).toBe('ended 2/0: stopped by an admin')
  expect(() => rebalancer.stop()).toThrow('no rebalance is under way')
  rebalancer.begin('asked', 'root')
  await rebalancer.close()
  rebalancer.begin('asked', 'root')
  expect(rebalancer.current.state).toBe('idle')
})

test('gives up what fails, and all of it where nothing succeeds', async () => {
  const tried: string[] = []
  const { world, rebalancer, pass } = bench({
    carryOut: async (move) => {
      tried.push(move.workspace)
      throw new Error('no')
    }
  })
  world.left = Array.from({ length: 30 }, (_, index) => moveOf(index))
  rebalancer.begin('asked', 'root')
  await pass(120_000)
  expect(world.told.at(-1)).toBe('ended 0/10: too many moves failed')
  expect(new Set(tried).size).toBe(tried.length)

  world.left = [moveOf(1)]
  rebalancer.begin('asked', 'root')
  await pass(60_000)
  expect(world.told.at(-1)).toBe('ended 0/1: nothing is left to move')
})

describe('by itself', () => {
  test('begins once an instance has served for a while, and not again for the same one', async () => {
    const { world, rebalancer, pass } = bench()
    world.left = [moveOf(1)]
    rebalancer.watch()
    await pass(SETTLED_MS)
    expect(world.told).toEqual([])
    await pass(LOOK_MS + PAUSE_MS)
    expect(world.told).toEqual(['begun joined coordinator', 'ended 1/0: nothing is left to move'])
    world.left = [moveOf(2)]
    await pass(10 * 60_000)
    expect(world.told).toHaveLength(2)

    world.present = ['a', 'b', 'new']
    await pass(SETTLED_MS + 2 * LOOK_MS)
    expect(world.told.slice(2)).toEqual(['begun joined coordinator', 'ended 1/0: nothing is left to move'])
    await rebalancer.close()
  })

  test('an instance that comes and goes begins nothing, and one that was away is looked at anew', async () => {
    const { world, rebalancer, pass } = bench()
    rebalancer.watch()
    await pass(SETTLED_MS + LOOK_MS)
    world.left = [moveOf(1)]
    for (let times = 0; times < 5; times++) {
      world.present = ['a', 'b', 'c']
      await pass(SETTLED_MS - LOOK_MS)
      world.present = ['a', 'b']
      await pass(LOOK_MS)
    }
    expect(world.told).toEqual([])
    world.present = ['a']
    await pass(LOOK_MS)
    world.present = ['a', 'b']
    await pass(SETTLED_MS + 2 * LOOK_MS)
    expect(world.told[0]).toBe('begun joined coordinator')
    await rebalancer.close()
  })

  test('begins where a disk is nearly full; where nothing helps it is not asked all the time', async () => {
    const { world, rebalancer, pass } = bench()
    rebalancer.watch()
    await pass(SETTLED_MS + LOOK_MS)
    world.short.add('a')
    const before = world.plans
    await pass(60 * 60_000)
    expect(world.told).toEqual([])
    expect(world.plans - before).toBeLessThanOrEqual(7)
    world.left = [moveOf(1, 'disk')]
    await pass(11 * 60_000)
    expect(world.told).toEqual(['begun disk coordinator', 'ended 1/0: nothing is left to move'])
    await rebalancer.close()
  })

  test('begins nothing while something comes first, and does not forget it', async () => {
    const { world, rebalancer, pass } = bench()
    world.left = [moveOf(1)]
    world.blocked = 'promotions are held'
    rebalancer.watch()
    await pass(10 * 60_000)
    expect(world.told).toEqual([])
    world.blocked = null
    await pass(2 * LOOK_MS)
    expect(world.told).toHaveLength(2)
    await rebalancer.close()
  })
})

test('each arrow leads from where it begins, and from nowhere else', () => {
  const moving = beginRebalance(AT_REST, 'asked')
  const all: readonly Rebalance[] = [AT_REST, moving, holdRebalance(moving, 'a drain')]
  const outcome = (arrow: (from: Rebalance) => Rebalance): string[] =>
    all.map((from) => {
      try {
        return arrow(from).state
      } catch (error) {
        return codeOf(error)
      }
    })
  const no = 'ILLEGAL_TRANSITION'
  expect(outcome((from) => beginRebalance(from, 'disk'))).toEqual(['moving', no, no])
  expect(outcome((from) => holdRebalance(from, 'why'))).toEqual([no, 'waiting', 'waiting'])
  expect(outcome(goOn)).toEqual([no, 'moving', 'moving'])
  expect(outcome((from) => counted(from, true))).toEqual([no, 'moving', 'moving'])
  expect(outcome((from) => endRebalance(from, 'done'))).toEqual([no, 'idle', 'idle'])
})
