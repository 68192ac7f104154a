import { expect, test } from 'vitest'
import { begin, makeFederation } from './federation.ts'
import { World } from './world.ts'

const INSTANCES = 200
const AWAY_MS = 60_000
const BACK_WITHIN_MS = 60_000
const EVENTS_MAX = 2_000_000
/** Of each instance at most one attempt in so many milliseconds, on the average; an attempt is a few dials. */
const DIALS_PER_SECOND_MAX = 2 * INSTANCES

test(`${INSTANCES} instances that were cut off come back to a cold coordinator within a minute, and not all at once`, {
  timeout: 180_000
}, async () => {
  const world = new World('herd')
  const federation = await makeFederation(world, {
    instances: INSTANCES,
    zones: 4,
    weather: { latencyMs: 20, jitterMs: 20, loss: 0.01, bytesPerMs: 10_000 },
    settings: {
      standbys: 1,
      acknowledge: 'replicated',
      failoverAfterMs: 2000,
      leaseMs: 10_000,
      restartGraceMs: 30_000,
      holdMs: 30_000
    },
    clocks: () => ({ rate: 1, wallOffMs: 0 })
  })
  const { coordinator, network } = federation
  const most = { dials: 0 }
  await world.run(async () => {
    await begin(federation)
    await coordinator.losePower()
    await world.sleep(AWAY_MS)
    network.dials.clear()
    await coordinator.start()
    const startedAt = world.now
    const isBack = (): boolean => coordinator.core?.control.sessions().length === INSTANCES
    while (!isBack() && world.now - startedAt < BACK_WITHIN_MS) {
      await world.sleep(1000)
      most.dials = Math.max(
        most.dials,
        [...network.dials.values()].reduce((sum, count) => sum + count, 0)
      )
      network.dials.clear()
    }
    expect(coordinator.core?.control.sessions()).toHaveLength(INSTANCES)
  }, EVENTS_MAX)
  expect(most.dials).toBeLessThanOrEqual(DIALS_PER_SECOND_MAX)
})
