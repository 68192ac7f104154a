import { expect, test } from 'vitest'
import { DoorTarget } from '../../fuzz/door-target.ts'
import { fuzz, GROWTH_BYTES_MAX } from '../../fuzz/fuzz.ts'
import { HTTP_TARGETS } from '../../fuzz/http-targets.ts'
import { ConfigTarget, TEXT_TARGETS } from '../../fuzz/text-targets.ts'
import { WIRE_TARGETS } from '../../fuzz/wire-targets.ts'

const options = { seed: 1, maxFindings: 3 }

test('every decoder reads or refuses what is nearly valid, and keeps nothing of it', async () => {
  using config = new ConfigTarget()
  const targets = [...WIRE_TARGETS, ...HTTP_TARGETS, ...TEXT_TARGETS, config]
  const report = await fuzz(targets, { ...options, forMs: 3_000 })
  expect(report.findings).toEqual([])
  expect(report.grownBytes).toBeLessThan(GROWTH_BYTES_MAX)
  expect(report.rounds).toBeGreaterThan(20)
})

test('the front door takes what is nearly a request, serves everybody else, and keeps nothing of it', async () => {
  await using door = await DoorTarget.start()
  const report = await fuzz([door], { ...options, forMs: 2_000 })
  expect(report.findings).toEqual([])
  expect(report.grownBytes).toBeLessThan(GROWTH_BYTES_MAX)
  expect(report.rounds).toBeGreaterThan(20)
})
