import { expect, test } from 'vitest'
import { runChaos } from '../chaos/chaos.ts'

const FAULTS_MIN = 6
const FAULTS_MS = 30_000
const WHOLE_MS = 180_000

test(
  'whoever is killed or stopped at any moment, in drains too: what users were told is so, and nothing is done twice',
  async () => {
    const seed = process.env.CHAOS_SEED ?? String(Date.now() % 1_000_000)
    console.info(`npm run chaos -- --seed ${seed}`)
    const lines: string[] = []
    const report = await runChaos({
      seed,
      forMs: FAULTS_MS,
      faultsMin: FAULTS_MIN,
      say: (text) => lines.push(text)
    })
    expect(report.problems, lines.join('\n')).toEqual([])
    expect(report.struck.length).toBeGreaterThanOrEqual(FAULTS_MIN)
    const inDrains = report.struck.filter(({ phase }) => phase !== null)
    expect(inDrains.length).toBeGreaterThanOrEqual(report.struck.length / 3)
    expect(report.certificates).toBeGreaterThan(0)
    expect(report.acknowledged).toBeGreaterThan(100)
  },
  WHOLE_MS
)
