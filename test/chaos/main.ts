import { parseArgs } from 'node:util'
import { type ChaosReport, runChaos } from './chaos.ts'
import { nameOf } from './faults.ts'

const HELP = `Real processes, killed and stopped at random moments while users work: npm run chaos -- --seconds 600

  --seconds N  new faults for so long (60)
  --seed S     chooses faults and moments (a new one each time)

Run "npm run build" before. Ends with 0 where every promise was kept, and with 1 otherwise.`
const SECONDS_MAX = 24 * 3600

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    help: { type: 'boolean', default: false }
  }
})

process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))
if (values.help) console.log(HELP)
else process.exitCode = await run(values.seed, Number(values.seconds))

async function run(seed: string, seconds: number): Promise<number> {
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > SECONDS_MAX) {
    console.error(`--seconds takes a whole number from 1 to ${SECONDS_MAX}`)
    return 2
  }
  console.log(`seed ${seed}`)
  const began = performance.now()
  const say = (text: string): void => console.log(`${((performance.now() - began) / 1000).toFixed(1)} s  ${text}`)
  const report = await runChaos({ seed, forMs: seconds * 1000, faultsMin: 1, say })
  show(report)
  if (report.problems.length === 0) return 0
  console.log(`again: npm run chaos -- --seed ${seed} --seconds ${seconds}`)
  return 1
}

function show(report: ChaosReport): void {
  const counts = new Map<string, number>()
  for (const fault of report.struck) counts.set(nameOf(fault), (counts.get(nameOf(fault)) ?? 0) + 1)
  console.log('')
  for (const [name, count] of [...counts].sort()) console.log(`${String(count).padStart(5)}  ${name}`)
  const { requests, acknowledged, refused, unsure, users, drains, certificates, problems } = report
  console.log(
    `${requests} requests of ${users} users: ${acknowledged} changes acknowledged, ${refused} told not to be done, ${unsure} uncertain\n` +
      `${drains} drains begun, ${certificates} certificates verified\n${problems.length} problems`
  )
  for (const problem of problems) console.log(problem)
}
