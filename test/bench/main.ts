import { existsSync } from 'node:fs'
import { availableParallelism, cpus, loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Benchmark, type BenchOptions, MIB } from './benchmark.ts'
import { failoverBenchmark } from './failover/benchmark.ts'
import { frontDoorBenchmark } from './front-door/benchmark.ts'
import { handoverBenchmark } from './handover/benchmark.ts'
import { hostileBenchmark } from './hostile/benchmark.ts'
import { installHelia, peersHere } from './peers.ts'
import { smallFilesBenchmark } from './small-files/benchmark.ts'
import { syncBenchmark } from './sync/benchmark.ts'
import { dataOf, tableOf } from './table.ts'
import { thousandBenchmark } from './thousand/benchmark.ts'
import { writesBenchmark } from './writes/benchmark.ts'

const BENCHMARKS: readonly Benchmark[] = [
  syncBenchmark,
  smallFilesBenchmark,
  writesBenchmark,
  frontDoorBenchmark,
  hostileBenchmark,
  handoverBenchmark,
  failoverBenchmark,
  thousandBenchmark
]
const MAX_SIZE = 4096
/** What `--size` does not say. */
const SCALES = {
  daily: {
    size: 256,
    files: 2_000,
    unchangedFiles: 10_000,
    changes: 100,
    moves: 20,
    workspaces: 200,
    kills: 5,
    users: 1_000,
    soakMs: 0
  },
  full: {
    size: 1024,
    files: 10_000,
    unchangedFiles: 100_000,
    changes: 500,
    moves: 100,
    workspaces: 1_000,
    kills: 20,
    users: 1_000,
    soakMs: 600_000
  }
} as const
const LONG_BYTES_FULL = 10 * 1024 * MIB
/** In sizes of the large file. */
const LONG_SIZES = 4

const USAGE = `npm run bench -- NAME [options]

${BENCHMARKS.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n')}

  --json          data instead of tables
  --full          the sizes by which the product is judged: a file of 1 GiB, 10,000 small files,
                  100,000 that do not change, 10 GiB for an instance's memory, 1,000 workspaces in a drain,
                  20 kills, a thousand users for ten minutes; takes long
  --size MIB      of the large file (${SCALES.daily.size}; at most ${MAX_SIZE})
  --rounds N      how often, product and peers in turn (3; at most 20)
  --users N       of the thousand (1000; at most 2000)
  --seconds N     how long each load runs (3; at most 60)
  --dist DIR      the compiled product (dist)
  --profile DIR   CPU profiles of the product's processes, a folder for each
  --peers         says which peers are installed, and installs Helia below node_modules/.cache

Peers run beside where they are installed; the tables name those that are not. Run "npm run build" before.
`

const SETTINGS = {
  json: { type: 'boolean', default: false },
  full: { type: 'boolean', default: false },
  size: { type: 'string' },
  rounds: { type: 'string', default: '3' },
  seconds: { type: 'string', default: '3' },
  users: { type: 'string' },
  dist: { type: 'string', default: join(import.meta.dirname, '../../dist') },
  profile: { type: 'string' },
  peers: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false }
} as const

class UsageError extends Error {}

function whole(name: string, text: string, max: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= max) return value
  throw new UsageError(`--${name} takes a whole number from 1 to ${max}`)
}

async function sayPeers(): Promise<void> {
  await installHelia()
  for (const { name, todo } of await peersHere()) console.error(`${name.padEnd(12)} ${todo ?? 'is there'}`)
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ options: SETTINGS, allowPositionals: true })
  const [name, ...rest] = positionals
  if (values.peers && !values.help) await sayPeers()
  if (values.help || name === undefined) {
    if (!values.peers) console.log(USAGE)
    return 0
  }
  const benchmark = BENCHMARKS.find((one) => one.name === name)
  if (benchmark === undefined || rest.length > 0)
    throw new UsageError(
      `there is no benchmark "${positionals.join(' ')}": there are ${BENCHMARKS.map((one) => one.name).join(', ')}`
    )
  const dist = resolve(values.dist)
  if (!existsSync(join(dist, 'cli/main.js'))) throw new UsageError(`${dist} is not built: run "npm run build" first`)
  const { size, users, ...scale } = values.full ? SCALES.full : SCALES.daily
  const sizeBytes = whole('size', values.size ?? String(size), MAX_SIZE) * MIB
  const options: BenchOptions = {
    dist,
    sizeBytes,
    longBytes: values.full ? LONG_BYTES_FULL : LONG_SIZES * sizeBytes,
    ...scale,
    users: whole('users', values.users ?? String(users), 2_000),
    rounds: whole('rounds', values.rounds, 20),
    loadMs: whole('seconds', values.seconds, 60) * 1000,
    profileFolder: values.profile === undefined ? null : resolve(values.profile),
    say: (text) => console.error(text)
  }
  const machine = {
    node: process.version,
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? '',
    loadBefore: loadavg()[0] ?? 0
  }
  const sections = await benchmark.run(options)
  if (values.json) {
    console.log(
      JSON.stringify({ benchmark: name, machine, rounds: options.rounds, sections: sections.map(dataOf) }, null, 2)
    )
  } else {
    const { node, cores, cpu, loadBefore } = machine
    console.log(
      `${name}: Node ${node}, ${cores} cores (${cpu}), load before ${loadBefore.toFixed(1)}, ${options.rounds} rounds\n`
    )
    for (const section of sections) console.log(tableOf(section))
  }
  return 0
}

process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))
try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = error instanceof UsageError ? 2 : 1
}
