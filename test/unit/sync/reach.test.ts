import { expect, test } from 'vitest'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { Later } from '../../../src/core/later.ts'
import { silent } from '../../../src/core/log.ts'
import { reachMeasuring } from '../../../src/sync/reach.ts'
import type { RemoteRepository } from '../../../src/sync/repository-client.ts'
import { manualClock } from '../../tools/clock.ts'
import { settled } from '../handover/fleet.ts'

const REMOTE = {} as RemoteRepository

function bench() {
  const clock = manualClock()
  const later = new Later<RemoteRepository>()
  const world = {
    count: 1,
    measured: 0,
    takesMs: 0,
    measuring: async (_signal: AbortSignal): Promise<void> => undefined
  }
  const stopped = new AbortController()
  const reach = () =>
    reachMeasuring({ remote: (signal) => later.get(signal), clock, log: silent }, stopped.signal, {
      count: () => world.count,
      async measure(signal) {
        world.measured++
        clock.advance(world.takesMs)
        await world.measuring(signal)
      }
    })
  const pass = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      await settled()
      clock.advance(1000)
    }
    await settled()
  }
  return { clock, later, world, stopped, reach, pass }
}

test('a repository that is at hand is had at once, without a timer', async () => {
  const { clock, later, world, reach } = bench()
  later.set(REMOTE)
  expect(await reach()).toBe(REMOTE)
  expect([clock.waiting, world.measured]).toEqual([0, 0])
})

test('while it is away, what waits is measured once, and again only where more has changed', async () => {
  const { clock, later, world, reach, pass } = bench()
  const reaching = reach()
  await pass(10)
  expect(world.measured).toBe(1)
  world.count = 2
  await pass(10)
  expect(world.measured).toBe(2)
  later.set(REMOTE)
  expect(await reaching).toBe(REMOTE)
  expect(clock.waiting).toBe(0)
})

test('what takes long to measure is measured seldom', async () => {
  const { later, world, reach, pass } = bench()
  world.takesMs = 500
  const reaching = reach()
  for (let second = 0; second < 31; second++) {
    world.count++
    await pass(1)
  }
  expect(world.measured).toBeLessThanOrEqual(4)
  later.set(REMOTE)
  await reaching
})

/** A measurement that would go on for ever. */
const measureOn = (signal: AbortSignal): Promise<void> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))

test('a measurement is given up as soon as the repository is back, or the work is over', async () => {
  const { later, world, stopped, reach, pass } = bench()
  world.measuring = measureOn
  const reaching = reach()
  await pass(1)
  expect(world.measured).toBe(1)
  later.set(REMOTE)
  expect(await reaching).toBe(REMOTE)
  later.clear()
  const again = reach().then(() => 'reached', codeOf)
  await pass(1)
  expect(world.measured).toBe(2)
  stopped.abort(new NodeDaemonError('CLOSED', 'stopping'))
  expect(await again).toBe('CLOSED')
})

test('it ends by the signal', async () => {
  const { stopped, reach, pass } = bench()
  const reaching = reach().then(() => 'reached', codeOf)
  await pass(1)
  stopped.abort(new NodeDaemonError('CLOSED', 'stopping'))
  expect(await reaching).toBe('CLOSED')
})
