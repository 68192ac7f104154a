import {
  type Benchmark,
  type BenchOptions,
  compared,
  type Measured,
  MIB,
  measured,
  row,
  type Section
} from '../benchmark.ts'
import { Federation } from '../federation.ts'
import { Scratch } from '../scratch.ts'
import { cpuSeconds, programPath } from '../system.ts'
import { Worker } from '../worker.ts'
import type { ToClient, Transferred } from './client.ts'
import { CONNECTIONS, SMALL_BODY_BYTES } from './limits.ts'
import type { Answered } from './load.ts'
import { type Nginx, startNginx } from './nginx.ts'
import type { ToUpstream, UpstreamListening } from './upstream.ts'
import { runWrk, type WrkRun } from './wrk.ts'

const CLIENT = new URL('./client.ts', import.meta.url)
const UPSTREAM = new URL('./upstream.ts', import.meta.url)
/** Compiled code only: what is measured is the daily work, not the first second. */
const WARM_UP_MS = 2_000

/** A load, and the CPU time that the server's processes used for it. */
interface Loaded {
  readonly answered: Answered
  readonly cpuSeconds: readonly number[]
}

interface Round {
  readonly gets: Loaded
  readonly puts: Loaded
  readonly wrk: WrkRun | null
  readonly downloadMs: number
  readonly uploadMs: number
  readonly nginx: {
    readonly gets: Loaded
    readonly wrk: WrkRun | null
    readonly downloadMs: number
    readonly uploadMs: number
  } | null
}

interface Stage {
  readonly options: BenchOptions
  readonly client: Worker
  readonly federation: Federation
  readonly nginx: Nginx | null
  readonly wrk: string | null
}

const ask = <T>(client: Worker, question: ToClient): Promise<T> => client.ask<T>(question)

async function load(
  { client, federation: { tokens } }: Pick<Stage, 'client' | 'federation'>,
  at: { readonly url: string; readonly pids: readonly number[] },
  method: 'GET' | 'PUT',
  durationMs: number
): Promise<Loaded> {
  const before = await Promise.all(at.pids.map(cpuSeconds))
  const question: ToClient = {
    kind: 'requests',
    url: at.url,
    method,
    path: '/small.txt',
    tokens,
    durationMs,
    perSecond: null
  }
  const answered = await ask<Answered>(client, question)
  if (answered.failed > 0) throw new Error(`${answered.failed} of ${answered.requests} requests failed`)
  const after = await Promise.all(at.pids.map(cpuSeconds))
  return { answered, cpuSeconds: after.map((seconds, index) => seconds - (before[index] ?? 0)) }
}

async function transferMs(stage: Stage, kind: 'upload' | 'download', url: string): Promise<number> {
  const token = stage.federation.tokens[0] ?? ''
  return (await ask<Transferred>(stage.client, { kind, url, token, bytes: stage.options.sizeBytes })).ms
}

async function oneRound(stage: Stage, number: number): Promise<Round> {
  const { options, federation, nginx, wrk } = stage
  const { coordinator, instance } = federation.pids
  const own = { url: federation.url, pids: [coordinator, instance] }
  const seconds = options.loadMs / 1000
  const token = federation.tokens[0] ?? ''
  const gets = await load(stage, own, 'GET', options.loadMs)
  const plain = nginx === null ? null : { url: nginx.url, pids: [nginx.pid] }
  const plainGets = plain === null ? null : await load(stage, plain, 'GET', options.loadMs)
  const wrkRun = wrk === null ? null : await runWrk(wrk, `${own.url}/small.txt`, token, seconds)
  const plainWrk = wrk === null || plain === null ? null : await runWrk(wrk, `${plain.url}/small.txt`, token, seconds)
  const puts = await load(stage, own, 'PUT', options.loadMs)
  const uploadMs = await transferMs(stage, 'upload', `${own.url}/large-${number}.bin`)
  const downloadMs = await transferMs(stage, 'download', `${own.url}/large-${number}.bin`)
  if (plain === null || plainGets === null) return { gets, puts, wrk: wrkRun, downloadMs, uploadMs, nginx: null }
  const large = `${plain.url}/large/${options.sizeBytes}`
  const plainUpload = await transferMs(stage, 'upload', large)
  const plainDownload = await transferMs(stage, 'download', large)
  const peer = { gets: plainGets, wrk: plainWrk, uploadMs: plainUpload, downloadMs: plainDownload }
  return { gets, puts, wrk: wrkRun, downloadMs, uploadMs, nginx: peer }
}

const perSecond = ({ answered }: Loaded): number => answered.requests / (answered.ms / 1000)
const perCpuSecond = ({ answered, cpuSeconds: used }: Loaded): number =>
  answered.requests / used.reduce((sum, seconds) => sum + seconds, 0)
const cpuMicroseconds = ({ answered, cpuSeconds: used }: Loaded, process: number): number =>
  ((used[process] ?? Number.NaN) / answered.requests) * 1e6

function getSection(rounds: readonly Round[]): Section {
  const of = (value: (round: Round) => number): readonly number[] => rounds.map(value)
  const own = 'node-daemon, coordinator and instance'
  const nginxOrWrk = rounds.some(({ nginx }) => nginx === null) ? 'nginx' : 'wrk'
  return {
    title: `GET of ${SMALL_BODY_BYTES} bytes by token through the tunnel, ${CONNECTIONS} connections kept alive`,
    rows: [
      ...compared('requests/s', 'rate', { what: own, values: of(({ gets }) => perSecond(gets)) }, [
        {
          what: 'nginx → node:http',
          ...measured(rounds, ({ nginx }) => (nginx ? perSecond(nginx.gets) : undefined), 'nginx')
        }
      ]),
      ...compared('requests/s of CPU time', 'rate', { what: own, values: of(({ gets }) => perCpuSecond(gets)) }, [
        {
          what: 'nginx alone',
          ...measured(rounds, ({ nginx }) => (nginx ? perCpuSecond(nginx.gets) : undefined), 'nginx')
        }
      ]),
      row('coordinator, CPU a request', 'µs', { values: of(({ gets }) => cpuMicroseconds(gets, 0)) }),
      row('instance, CPU a request', 'µs', { values: of(({ gets }) => cpuMicroseconds(gets, 1)) }),
      row('node-daemon, p50', 'ms', { values: of(({ gets }) => gets.answered.p50Ms) }),
      row('node-daemon, p99', 'ms', { values: of(({ gets }) => gets.answered.p99Ms) }),
      row(
        'nginx, p50',
        'ms',
        measured(rounds, ({ nginx }) => nginx?.gets.answered.p50Ms, 'nginx')
      ),
      row(
        'nginx, p99',
        'ms',
        measured(rounds, ({ nginx }) => nginx?.gets.answered.p99Ms, 'nginx')
      ),
      row(
        'node-daemon, by wrk',
        'requests/s',
        measured(rounds, ({ wrk }) => wrk?.perSecond, 'wrk')
      ),
      row(
        'node-daemon, by wrk, p99',
        'ms',
        measured(rounds, ({ wrk }) => wrk?.p99Ms, 'wrk')
      ),
      row(
        'nginx, by wrk',
        'requests/s',
        measured(rounds, ({ nginx }) => nginx?.wrk?.perSecond, nginxOrWrk)
      ),
      row(
        'nginx, by wrk, p99',
        'ms',
        measured(rounds, ({ nginx }) => nginx?.wrk?.p99Ms, nginxOrWrk)
      )
    ]
  }
}

function putSection(rounds: readonly Round[]): Section {
  const of = (value: (round: Round) => number): Measured => ({ values: rounds.map(value) })
  return {
    title: `PUT of ${SMALL_BODY_BYTES} bytes, each durable in the main repository when answered, ${CONNECTIONS} users`,
    rows: [
      row(
        'node-daemon',
        'requests/s',
        of(({ puts }) => perSecond(puts))
      ),
      row(
        'node-daemon',
        'requests/s of CPU time',
        of(({ puts }) => perCpuSecond(puts))
      ),
      row(
        'coordinator, CPU a request',
        'µs',
        of(({ puts }) => cpuMicroseconds(puts, 0))
      ),
      row(
        'instance, CPU a request',
        'µs',
        of(({ puts }) => cpuMicroseconds(puts, 1))
      ),
      row(
        'p50',
        'ms',
        of(({ puts }) => puts.answered.p50Ms)
      ),
      row(
        'p99',
        'ms',
        of(({ puts }) => puts.answered.p99Ms)
      )
    ]
  }
}

function largeSection(rounds: readonly Round[], sizeBytes: number): Section {
  const rate = (ms: number | undefined): number | undefined =>
    ms === undefined ? undefined : sizeBytes / MIB / (ms / 1000)
  const of = (value: (round: Round) => number): readonly number[] => rounds.map((one) => rate(value(one)) ?? Number.NaN)
  return {
    title: `One file of ${sizeBytes / MIB} MiB`,
    rows: [
      ...compared('MiB/s', 'rate', { what: 'download', values: of(({ downloadMs }) => downloadMs) }, [
        { what: 'download, nginx → node:http', ...measured(rounds, ({ nginx }) => rate(nginx?.downloadMs), 'nginx') }
      ]),
      ...compared(
        'MiB/s',
        'rate',
        { what: 'upload', values: of(({ uploadMs }) => uploadMs), note: 'until durable in the main repository' },
        [
          {
            what: 'upload, nginx → node:http',
            ...measured(rounds, ({ nginx }) => rate(nginx?.uploadMs), 'nginx'),
            note: 'thrown away'
          }
        ]
      )
    ]
  }
}

async function nginxOf(scratch: Scratch, upstream: Worker): Promise<Nginx | null> {
  const program = await programPath('nginx')
  if (program === null) return null
  const question: ToUpstream = { kind: 'listen' }
  const { port } = await upstream.ask<UpstreamListening>(question)
  return startNginx(scratch, program, port)
}

export const frontDoorBenchmark: Benchmark = {
  name: 'front-door',
  about: 'requests through coordinator and instance: small reads and writes, a large file; beside nginx',
  async run(options) {
    await using scratch = await Scratch.create()
    await using client = Worker.start(scratch, CLIENT)
    await using upstream = Worker.start(scratch, UPSTREAM)
    await using federation = await Federation.start(scratch, options, { users: CONNECTIONS })
    const nginx = await nginxOf(scratch, upstream)
    const stage: Stage = { options, client, federation, nginx, wrk: await programPath('wrk') }
    const { coordinator, instance } = federation.pids
    const own = { url: federation.url, pids: [coordinator, instance] }
    options.say('warming up')
    await load(stage, own, 'PUT', WARM_UP_MS)
    await load(stage, own, 'GET', WARM_UP_MS)
    const rounds: Round[] = []
    for (let number = 1; number <= options.rounds; number++) {
      options.say(`round ${number} of ${options.rounds}`)
      rounds.push(await oneRound(stage, number))
    }
    return [getSection(rounds), putSection(rounds), largeSection(rounds, options.sizeBytes)]
  }
}
