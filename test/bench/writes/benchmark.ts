import { type Benchmark, type BenchOptions, row, type Section } from '../benchmark.ts'
import { Federation } from '../federation.ts'
import type { ToClient } from '../front-door/client.ts'
import { CONNECTIONS, SMALL_BODY_BYTES } from '../front-door/limits.ts'
import type { Answered } from '../front-door/load.ts'
import { Scratch } from '../scratch.ts'
import { profileOf, startRepository } from '../sync/pair.ts'
import type { ToRepository } from '../sync/repository.ts'
import { cpuSeconds } from '../system.ts'
import { Worker } from '../worker.ts'
import type { Published, PublisherOpened, ToPublisher } from './publisher.ts'

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

/** The repository and the homes in two processes, without a front door, an app or a disk of the homes. */
async function committed(options: BenchOptions): Promise<Used<Published>[]> {
  await using scratch = await Scratch.create()
  const { worker: repository, peer, addresses } = await startRepository(scratch, 'commit', options)
  await using publisher = Worker.start(scratch, PUBLISHER, profileOf(options, 'commit-homes'))
  await using _ = repository
  const opening: ToPublisher = { kind: 'open', dist: options.dist, repository: peer, addresses }
  const { peer: home } = await publisher.ask<PublisherOpened>(opening)
  const welcome: ToRepository = { kind: 'home', peer: home }
  await repository.ask(welcome)
  const publish = (durationMs: number): Promise<Used<Published>> => {
    const question: ToPublisher = { kind: 'publish', workspaces: CONNECTIONS, durationMs }
    return withCpu([repository.pid, publisher.pid], () => publisher.ask<Published>(question))
  }
  await publish(WARM_UP_MS)
  const rounds: Used<Published>[] = []
  for (let number = 1; number <= options.rounds; number++) {
    options.say(`at the commit call, round ${number} of ${options.rounds}`)
    rounds.push(await publish(options.loadMs))
  }
  return rounds
}

interface FrontDoorRound {
  readonly full: Used<Answered>
  readonly half: Used<Answered>
}

async function throughFrontDoor(options: BenchOptions): Promise<FrontDoorRound[]> {
  await using scratch = await Scratch.create()
  await using client = Worker.start(scratch, CLIENT)
  await using federation = await Federation.start(scratch, options, { users: CONNECTIONS })
  const { url, tokens, pids } = federation
  const put = (durationMs: number, perSecond: number | null): Promise<Used<Answered>> => {
    const load = { method: 'PUT', path: '/small.txt', tokens, durationMs, perSecond } as const
    const question: ToClient = { kind: 'requests', url, ...load }
    return withCpu([pids.coordinator, pids.instance], () => client.ask<Answered>(question))
  }
  await put(WARM_UP_MS, null)
  const rounds: FrontDoorRound[] = []
  for (let number = 1; number <= options.rounds; number++) {
    options.say(`through the front door, round ${number} of ${options.rounds}`)
    const full = await put(options.loadMs, null)
    rounds.push({ full, half: await put(options.loadMs, perSecond(full) / 2) })
  }
  return rounds
}

const perSecond = ({ requests, failed, ms }: Answered): number => (requests - failed) / (ms / 1000)

function cpuRows(
  rounds: readonly Used<{ readonly requests: number }>[],
  [first, second]: readonly [string, string]
): Section['rows'] {
  const of = (process: number): { values: number[] } => ({
    values: rounds.map(({ cpuSeconds: used, requests }) => ((used[process] ?? Number.NaN) / requests) * 1e6)
  })
  return [row(`${first}, CPU a write`, 'µs', of(0)), row(`${second}, CPU a write`, 'µs', of(1))]
}

function commitSection(rounds: readonly Used<Published>[]): Section {
  const of = (value: (round: Published) => number): { values: number[] } => ({ values: rounds.map(value) })
  return {
    title: `At the commit call: heads of ${CONNECTIONS} workspaces, each with a new file of ${SMALL_BODY_BYTES} bytes, until the signed receipt`,
    rows: [
      row(
        'publishes',
        'heads/s',
        of(({ heads, ms }) => heads / (ms / 1000))
      ),
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
      row(
        'failed',
        'heads',
        of(({ failed }) => failed)
      ),
      ...cpuRows(
        rounds.map((round) => ({ ...round, requests: round.heads })),
        ['repository', 'homes']
      )
    ]
  }
}

function answeredSection(title: string, rounds: readonly Used<Answered>[]): Section {
  const of = (value: (round: Answered) => number): { values: number[] } => ({ values: rounds.map(value) })
  return {
    title,
    rows: [
      row('writes', 'requests/s', of(perSecond)),
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
      row(
        'failed',
        'requests',
        of(({ failed }) => failed)
      ),
      ...cpuRows(rounds, ['coordinator', 'instance'])
    ]
  }
}

export const writesBenchmark: Benchmark = {
  name: 'writes',
  about: 'small writes over many workspaces, each durable in the main repository when it is answered',
  async run(options) {
    const commits = await committed(options)
    const rounds = await throughFrontDoor(options)
    const put = `PUT of ${SMALL_BODY_BYTES} bytes through the front door, ${CONNECTIONS} users`
    return [
      commitSection(commits),
      answeredSection(
        `${put}, each as fast as it is answered`,
        rounds.map(({ full }) => full)
      ),
      answeredSection(
        `${put}, at half of that rate on a schedule, each from its scheduled moment`,
        rounds.map(({ half }) => half)
      )
    ]
  }
}
