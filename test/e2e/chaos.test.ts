import { expect, test } from 'vitest'
import { runChaos } from '../chaos/chaos.ts'
import { ALL_FAULTS, nameOf } from '../chaos/faults.ts'

const WHOLE_MS = 180_000

test(
  'whoever is killed or stopped at any moment, in drains too: what users were told is so, and nothing is done twice',
  async () => {
    const seed = process.env.CHAOS_SEED ?? String(Date.now() % 1_000_000)
    console.info(`npm run chaos -- --seed ${seed}`)
    const lines: string[] = []
    const report = await runChaos({
      seed,
      forMs: 0,
      faultsMin: ALL_FAULTS.length,
      say: (text) => lines.push(text)
    })
    expect(report.problems, lines.join('\n')).toEqual([])
    expect(report.struck.map(nameOf).sort()).toEqual(ALL_FAULTS.map(nameOf).sort())
    const inDrains = report.struck.filter(({ phase }) => phase !== null)
    expect(inDrains.length).toBeGreaterThanOrEqual(report.struck.length / 3)
    expect(report.certificates).toBeGreaterThan(0)
    expect(report.acknowledged).toBeGreaterThan(100)
  },
  WHOLE_MS
)
