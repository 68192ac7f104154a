import {
  type Benchmark,
  type BenchOptions,
  compared,
  MIB,
  measured,
  percentile,
  type Row,
  type Section
} from '../benchmark.ts'
import {
  type DrainRound,
  drainOverLine,
  FULL_WORKSPACES,
  fullDrain,
  LINE_BYTES,
  LINE_BYTES_PER_SECOND,
  type LineRound,
  manySmall
} from './drains.ts'
import { type Moves, movesOf } from './moves.ts'

const SMALL = MIB
const MIDDLE = 100 * MIB

function pauseSection({ bytes, pauses, told, quiet, took }: Moves): Section {
  const single = (what: string, value: number, note?: string): Row => ({
    what,
    unit: 'ms',
    values: [value],
    ...(note !== undefined && { note })
  })
  return {
    title: `A workspace of ${bytes / MIB} MiB that moves ${pauses.length} times to its standby, each time with a change saved just before`,
    rows: [
      { what: 'longest wait of a steady user, p50', unit: 'ms', values: pauses },
      single('longest wait of a steady user, p99', percentile(pauses, 0.99)),
      { what: 'longest wait while nothing moves, p50', unit: 'ms', values: quiet },
      single('longest wait while nothing moves, p99', percentile(quiet, 0.99)),
      { what: 'pause as the coordinator tells it', unit: 'ms', values: told },
      { what: 'the move in all', unit: 'ms', values: took }
    ]
  }
}

function drainSection(rounds: readonly DrainRound[], { sizeBytes }: BenchOptions): Section {
  const mebibytes = sizeBytes / MIB
  const rate = (ms: number | null): number | undefined => (ms === null ? undefined : mebibytes / (ms / 1000))
  return {
    title: `${mebibytes} MiB in ${FULL_WORKSPACES} workspaces, drained to an instance that has nothing, until the certificate`,
    rows: compared(
      'MiB/s',
      'rate',
      { what: 'node-daemon drain', note: 'hashed, fsynced', ...measured(rounds, ({ drainMs }) => rate(drainMs)) },
      [
        { what: 'raw libp2p stream', note: 'no disk, no hash', ...measured(rounds, ({ rawMs }) => rate(rawMs)) },
        { what: 'rsync daemon --fsync', ...measured(rounds, ({ rsyncMs }) => rate(rsyncMs), 'rsync') },
        { what: 'cp, sync', ...measured(rounds, ({ copyMs }) => rate(copyMs)) }
      ]
    )
  }
}

function lineSection(rounds: readonly LineRound[]): Section {
  const rate = (ms: number): number => LINE_BYTES / MIB / (ms / 1000)
  const megabits = (LINE_BYTES_PER_SECOND * 8) / 1e6
  return {
    title: `${LINE_BYTES / MIB} MiB in ${FULL_WORKSPACES} workspaces, drained to an empty instance behind a line of ${megabits} Mbit/s`,
    rows: compared(
      'MiB/s',
      'rate',
      { what: 'node-daemon drain', ...measured(rounds, ({ drainMs }) => rate(drainMs)) },
      [{ what: 'one TCP connection over the same line', ...measured(rounds, ({ copyMs }) => rate(copyMs)) }]
    )
  }
}

function smallSection(times: readonly number[], { workspaces }: BenchOptions): Section {
  return {
    title: `A drain of ${workspaces.toLocaleString('en')} workspaces of one file of 1 KiB whose standbys are current`,
    rows: [
      { what: 'in all', unit: 's', values: times.map((ms) => ms / 1000) },
      { what: 'each', unit: 'ms', values: times.map((ms) => ms / workspaces) }
    ]
  }
}

async function rounds<T>(options: BenchOptions, what: string, work: () => Promise<T>): Promise<T[]> {
  const all: T[] = []
  for (let number = 1; number <= options.rounds; number++) {
    options.say(`${what}, round ${number} of ${options.rounds}`)
    all.push(await work())
  }
  return all
}

export const handoverBenchmark: Benchmark = {
  name: 'handover',
  about: 'workspaces that move while they are used, and drains: how long users wait, how fast it goes',
  async run(options) {
    const sections: Section[] = []
    for (const bytes of [...new Set([SMALL, MIDDLE, options.sizeBytes])].sort((a, b) => a - b)) {
      options.say(`${options.moves} moves of ${bytes / MIB} MiB`)
      sections.push(pauseSection(await movesOf(options, bytes)))
    }
    const full = await rounds(options, 'a drain to an empty instance', () => fullDrain(options))
    const line = await rounds(options, 'a drain over a thin line', () => drainOverLine(options))
    const small = await rounds(options, 'a drain of small workspaces', () => manySmall(options))
    return [...sections, drainSection(full, options), lineSection(line), smallSection(small, options)]
  }
}
