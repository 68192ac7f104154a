import { parseArgs } from 'node:util'
import { DoorTarget } from './door-target.ts'
import { type FuzzReport, fuzz, GROWTH_BYTES_MAX, once } from './fuzz.ts'
import { HTTP_TARGETS } from './http-targets.ts'
import { INGRESS_TARGETS } from './ingress-targets.ts'
import type { FuzzTarget } from './target.ts'
import { ConfigTarget, TEXT_TARGETS } from './text-targets.ts'
import { WIRE_TARGETS } from './wire-targets.ts'

const HELP = `Gives every decoder, and the front door, inputs that are nearly valid: npm run fuzz -- --seconds 60

  --seconds N   for so long (60); the front door gets half of it
  --seed S      from which inputs are made, a number (1)
  --only WORDS  only what has these words in its name
  --round R     this round alone, with its input: as a finding is told

Ends with 0 where everything was read or refused as it should be, and with 1 otherwise.`
const MAX_FINDINGS = 10
const SHOWN_BYTES = 2_000

const OPTIONS = {
  seconds: { type: 'string', default: '60' },
  seed: { type: 'string', default: '1' },
  only: { type: 'string', default: '' },
  round: { type: 'string' },
  help: { type: 'boolean', default: false }
} as const

const values = said()

function said() {
  try {
    const { values } = parseArgs({ options: OPTIONS })
    for (const [name, text, least] of [
      ['seconds', values.seconds, 1],
      ['seed', values.seed, 0],
      ['round', values.round ?? '0', 0]
    ] as const) {
      if (!/^\d{1,15}$/.test(text) || Number(text) < least)
        throw new Error(`--${name} takes a whole number from ${least}`)
    }
    return values
  } catch (error) {
    console.error(error instanceof Error ? error.message.split('\n', 1)[0] : String(error))
    process.exit(2)
  }
}

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    process.exitCode = 1
    console.error('nobody caught:', error)
  })
}

if (values.help) console.log(HELP)
else if ((await run()) > 0) process.exitCode = 1

/** How much was found. */
async function run(): Promise<number> {
  const seed = Number(values.seed)
  const half = (Number(values.seconds) * 1000) / 2
  using config = new ConfigTarget()
  await using door = await DoorTarget.start()
  const decoders = [...WIRE_TARGETS, ...HTTP_TARGETS, ...INGRESS_TARGETS, ...TEXT_TARGETS, config].filter(isWanted)
  const doors = [door].filter(isWanted)
  if (values.round !== undefined) return oneRound([...decoders, ...doors], seed, Number(values.round))
  let failed = 0
  for (const targets of [decoders, doors]) {
    const forMs = decoders.length === 0 || doors.length === 0 ? 2 * half : half
    if (targets.length > 0)
      failed += say(targets, seed, await fuzz(targets, { seed, forMs, maxFindings: MAX_FINDINGS }))
  }
  return failed
}

function isWanted(target: FuzzTarget): boolean {
  return target.name.includes(values.only)
}

function say(targets: readonly FuzzTarget[], seed: number, { rounds, findings, grownBytes }: FuzzReport): number {
  const grownMiB = (grownBytes / 1024 ** 2).toFixed(1)
  const what = targets.length === 1 ? (targets[0]?.name ?? '') : `${targets.length} decoders`
  console.log(
    `${what}: ${rounds * targets.length} inputs from seed ${seed}, ${findings.length} findings, memory ${grownMiB} MiB`
  )
  for (const { target, round, input, problem } of findings) {
    console.log(`\n${target}: ${problem}`)
    console.log(`  input: ${JSON.stringify(Buffer.from(input).toString('latin1').slice(0, SHOWN_BYTES))}`)
    console.log(`  again: npm run fuzz -- --seed ${seed} --round ${round} --only '${target}'`)
  }
  return findings.length + (grownBytes > GROWTH_BYTES_MAX ? 1 : 0)
}

async function oneRound(targets: readonly FuzzTarget[], seed: number, round: number): Promise<number> {
  let failed = 0
  for (const target of targets) {
    const finding = await once(target, seed, round)
    if (finding === null) continue
    failed++
    console.log(`${target.name}: ${finding.problem}\n${Buffer.from(finding.input).toString('hex')}`)
  }
  return failed
}
