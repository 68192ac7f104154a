import { availableParallelism } from 'node:os'
import { expect, test } from 'vitest'
import { runSeeds } from './fleet.ts'
import type { Outcome } from './run.ts'

const SEEDS = 200
const TWICE = 6
const jobs = availableParallelism()

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index + 1))

async function outcomes(seeds: readonly string[], atOnce: number): Promise<Outcome[]> {
  const all: Outcome[] = []
  await runSeeds(seeds[Symbol.iterator](), { jobs: atOnce, onOutcome: (outcome) => all.push(outcome) > 0 })
  return all
}

test(`every promise is kept under ${SEEDS} seeds`, { timeout: 300_000 }, async () => {
  const all = await outcomes(numbers(SEEDS), jobs)
  const broken = all.filter(({ violations }) => violations.length > 0)
  const shown = broken.map(({ seed, violations }) => ({ again: `npm run sim -- --seed ${seed}`, violations }))
  expect(shown).toEqual([])
  expect(all).toHaveLength(SEEDS)
})

test('the same seed happens in the same way in another process, after other seeds', { timeout: 120_000 }, async () => {
  const seeds = numbers(TWICE)
  const [forwards, backwards] = await Promise.all([outcomes(seeds, 1), outcomes(seeds.toReversed(), 1)])
  const traces = (all: readonly Outcome[]): string[] => all.map(({ seed, trace }) => `${seed} ${trace}`).sort()
  expect(traces(backwards)).toEqual(traces(forwards))
})
