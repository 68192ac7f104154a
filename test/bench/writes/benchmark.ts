import { type Benchmark, type BenchOptions, row, type Section } from '../benchmark.ts'
import { Federation } from '../federation.ts'
import type { ToClient } from '../front-door/client.ts'
import { CONNECTIONS, SMALL_BODY_BYTES } from '../front-door/limits.ts'
import type { Answered } from '../load.ts'
import { Scratch } from '../scratch.ts'
import { profileOf, startRepository } from '../sync/pair.ts'
import type { ToRepository } from '../sync/repository.ts'
import { cpuSeconds } from '../system.ts'
import { Worker } from '../worker.ts'
import type { PublisherOpened, ToPublisher } from './publisher.ts'

const PUBLISHER = new URL('./publisher.ts', import.meta.url)
const CLIENT = new URL('../front-door/client.ts', import.meta.url)
/** Compiled code only: what is measured is the daily work, not the first second. */
const WARM_UP_MS = 2_000

/** Something that was done while two processes of the product used CPU time for it. */
type Used<T> = T & { readonly cpuSeconds: readonly number[] }

async function withCpu<T extends object>(pids: readonly number[], work: () => Promise<T>): Promise<Used<T>> {
  const before = await Promise.all(pids.map(cpuSeconds))
  const outcome = await work()
  const after = await Promise.all(pids.map(cpuSeconds))
  return { ...outcome, cpuSeconds: after.map((seconds, index) => seconds - (before[index] ?? 0)) }
}

/** At full speed, and at half of that. */
interface Round {
  readonly full: Used<Answered>
  readonly half: Used<Answered>
}

async function roundsOf(
  { rounds, loadMs, say }: BenchOptions,
  what: string,
  write: (durationMs: number, perSecond: number | null) => Promise<Used<Answered>>
): Promise<Round[]> {
  await write(WARM_UP_MS, null)
  const all: Round[] = []
  for (let number = 1; number <= rounds; number++) {
    say(`${what}, round ${number} of ${rounds}`)
    const full = await write(loadMs, null)
    all.push({ full, half: await write(loadMs, perSecond(full) / 2) })
  }
  return all
}

/** The repository and the homes in two processes, without a front door, an app or a disk of the homes. */
async function committed(options: BenchOptions): Promise<Round[]> {
  await using scratch = await Scratch.create()
  const { worker, peer, addresses } = await startRepository(scratch, 'commit', options)
  await using repository = worker
  await using publisher = Worker.start(scratch, PUBLISHER, profileOf(options, 'commit-homes'))
  const opening: ToPublisher = { kind: 'open', dist: options.dist, repository: peer, addresses }
  const { peer: home } = await publisher.ask<PublisherOpened>(opening)
  const welcome: ToRepository = { kind: 'home', peer: home }
  await repository.ask(welcome)
  return await roundsOf(options, 'at the commit call', (durationMs, rate) => {
    const question: ToPublisher = { kind: 'publish', workspaces: CONNECTIONS, durationMs, perSecond: rate }
    return withCpu([repository.pid, publisher.pid], () => publisher.ask<Answered>(question))
  })
}

async function throughFrontDoor(options: BenchOptions): Promise<Round[]> {
  await using scratch = await Scratch.create()
  await using client = Worker.start(scratch, CLIENT)
  await using federation = await Federation.start(scratch, 'writes', options, { users: CONNECTIONS })
  const { url, users, pids } = federation
  return await roundsOf(options, 'through the front door', (durationMs, rate) => {
    const load = { method: 'PUT', path: '/small.txt', users, status: null, durationMs, perSecond: rate } as const
    const question: ToClient = { kind: 'requests', url, ...load }
    return withCpu([pids.coordinator, pids.instance], () => client.ask<Answered>(question))
  })
}

const perSecond = ({ requests, failed, ms }: Answered): number => (requests - failed) / (ms / 1000)

/** What is measured, and the two processes of the product that do it. */
interface Kind {
  readonly title: string
  readonly processes: readonly [string, string]
}

function sectionOf({ title, processes }: Kind, rounds: readonly Used<Answered>[]): Section {
  const of = (value: (round: Used<Answered>) => number): { values: number[] } => ({ values: rounds.map(value) })
  const failure = rounds.find((round) => round.failure !== null)?.failure
  return {
    title,
    rows: [
      row('writes', 'a second', of(perSecond)),
      row(
        'p50',
        'ms',
        of(({ p50Ms }) => p50Ms)
      ),
      row(
        'p99',
        'ms',
        of(({ p99Ms }) => p99Ms)
      ),
      {
        ...row(
          'failed',
          'writes',
          of(({ failed }) => failed)
        ),
        ...(failure !== null && failure !== undefined && { note: failure })
      },
      ...processes.map((name, process) =>
        row(
          `${name}, CPU a write`,
          'µs',
          of(({ cpuSeconds: used, requests }) => ((used[process] ?? Number.NaN) / requests) * 1e6)
        )
      )
    ]
  }
}

const sectionsOf = (kind: Kind, rounds: readonly Round[]): Section[] => [
  sectionOf(
    { ...kind, title: `${kind.title}, at full speed` },
    rounds.map(({ full }) => full)
  ),
  sectionOf(
    { ...kind, title: `${kind.title}, at half of that rate on a schedule, each from its scheduled moment` },
    rounds.map(({ half }) => half)
  )
]

const COMMIT: Kind = {
  title: `At the commit call: heads of ${CONNECTIONS} workspaces, each with a new file of ${SMALL_BODY_BYTES} bytes`,
  processes: ['repository', 'homes']
}
const FRONT_DOOR: Kind = {
  title: `PUT of ${SMALL_BODY_BYTES} bytes through the front door, ${CONNECTIONS} users`,
  processes: ['coordinator', 'instance']
}

export const writesBenchmark: Benchmark = {
  name: 'writes',
  about: 'small writes over many workspaces, each durable in the main repository when it is answered',
  async run(options) {
    const commits = await committed(options)
    return [...sectionsOf(COMMIT, commits), ...sectionsOf(FRONT_DOOR, await throughFrontDoor(options))]
  }
}
