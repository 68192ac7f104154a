import type { TestFederation } from '../../tools/federation.ts'
import { type Benchmark, type BenchOptions, MIB, median, percentile, type Row, type Section } from '../benchmark.ts'
import { openScene, profiled } from '../scene.ts'
import { Scratch } from '../scratch.ts'
import { pause, residentBytes } from '../system.ts'
import { Worker } from '../worker.ts'
import type { ComputeListening, ToCompute } from './compute.ts'
import { Crowd, type Kind, LAB } from './crowd.ts'

const COMPUTE = new URL('./compute.ts', import.meta.url)
const INSTANCES = ['alpha', 'beta', 'gamma', 'delta', 'epsilon'] as const
const DRAINED = 'alpha'
const KILLED = 'beta'
const REQUESTS_EACH = 10
/** In the soak: between an answer and the next request of a user. */
const SOAK_EVERY_MS = 10_000
const SAMPLE_MS = 2_000

interface Sample {
  readonly atMs: number
  readonly bytes: Readonly<Record<string, number>>
}

async function open(
  scratch: Scratch,
  name: string,
  options: BenchOptions,
  compute: Worker
): Promise<{ federation: TestFederation; crowd: Crowd }> {
  const question: ToCompute = { kind: 'listen' }
  const { port } = await compute.ask<ComputeListening>(question)
  const federation = await openScene(scratch, name, options)
  const added = await federation.admin('services', 'add', 'lab', '--route', LAB)
  if (added.code !== 0) throw new Error(added.log)
  const offers = ['--service', 'files', '--service', `lab=http://127.0.0.1:${port}`]
  for (const instance of INSTANCES) await federation.join(instance, offers)
  return { federation, crowd: new Crowd(await federation.addUsers(options.users)) }
}

/** One instance drains once a quarter of the requests has been answered, another dies at the half. */
async function trouble(federation: TestFederation, isAt: (share: number) => Promise<boolean>): Promise<string> {
  if (!(await isAt(0.25))) return 'neither'
  const draining = federation.command(DRAINED, 'drain', '--deadline', '10m')
  if (!(await isAt(0.5))) return 'drained only'
  federation.program(KILLED).kill('SIGKILL')
  const { code, log } = await draining
  if (code !== 0) throw new Error(`the drain ended with ${code}: ${log}`)
  return `${DRAINED} drained with exit code ${code}, ${KILLED} killed`
}

function requestRows(crowd: Crowd, lost: readonly string[], ms: number): Row[] {
  const { latencies, failed, foreign, acknowledged } = crowd.outcome()
  const single = (what: string, unit: string, value: number, note?: string): Row => ({
    what,
    unit,
    values: [value],
    ...(note !== undefined && { note })
  })
  const times = (kind: Kind): Row[] => [
    single(`${kind}, p50`, 'ms', percentile(latencies[kind], 0.5)),
    single(`${kind}, p99`, 'ms', percentile(latencies[kind], 0.99)),
    single(`${kind}, longest`, 'ms', Math.max(...latencies[kind]))
  ]
  return [
    single('requests', '', crowd.requests),
    single('in all', 's', ms / 1000),
    single('failed', 'requests', failed.length, failed[0]),
    single('acknowledged and read back', 'files', acknowledged),
    single('lost', 'files', lost.length, lost[0]),
    single("answers with another user's data", '', foreign.length, foreign[0]),
    ...times('read'),
    ...times('write'),
    ...times('compute')
  ]
}

async function burst(options: BenchOptions): Promise<Section> {
  await using scratch = await Scratch.create()
  await using compute = Worker.start(scratch, COMPUTE)
  const { federation, crowd } = await open(scratch, 'thousand', options, compute)
  await using _ = federation
  const total = options.users * REQUESTS_EACH
  options.say(`${options.users} users ask at once`)
  const began = performance.now()
  let over = false
  const work = crowd.ask(REQUESTS_EACH, 0).finally(() => {
    over = true
  })
  const isAt = async (share: number): Promise<boolean> => {
    while (!over && crowd.requests < share * total) await pause(5)
    return !over
  }
  const what = await trouble(federation, isAt)
  await work
  const ms = performance.now() - began
  options.say('reading everything back')
  const lost = await crowd.lost()
  await profiled(federation, options, INSTANCES.slice(2))
  return {
    title: `${options.users} users, ${REQUESTS_EACH} requests each, over ${INSTANCES.length} instances: ${what}`,
    rows: requestRows(crowd, lost, ms)
  }
}

async function soak(options: BenchOptions): Promise<Section> {
  await using scratch = await Scratch.create()
  await using compute = Worker.start(scratch, COMPUTE)
  const { federation, crowd } = await open(scratch, 'soak', options, compute)
  await using _ = federation
  options.say(`${options.users} users for ${options.soakMs / 60_000} minutes`)
  const began = performance.now()
  const ending = AbortSignal.timeout(options.soakMs)
  const isAt = async (share: number): Promise<boolean> => {
    while (performance.now() - began < share * options.soakMs) await pause(50)
    return true
  }
  const watched = ['coordinator', ...INSTANCES.slice(2)]
  const samples: Sample[] = []
  const watch = async (): Promise<void> => {
    while (!ending.aborted) {
      const pids = watched.map((name) => [name, federation.program(name).pid] as const)
      const bytes = await Promise.all(pids.map(async ([name, pid]) => [name, await residentBytes(pid)] as const))
      samples.push({ atMs: performance.now() - began, bytes: Object.fromEntries(bytes) })
      await pause(SAMPLE_MS)
    }
  }
  const [what] = await Promise.all([trouble(federation, isAt), crowd.askUntil(ending, SOAK_EVERY_MS), watch()])
  const ms = performance.now() - began
  const lost = await crowd.lost()
  return {
    title: `The same users for ${Math.round(options.soakMs / 60_000)} minutes, a request each every ${SOAK_EVERY_MS / 1000} s: ${what}`,
    rows: [...requestRows(crowd, lost, ms), ...watched.flatMap((name) => memoryRows(name, samples, options.soakMs))]
  }
}

function memoryRows(name: string, samples: readonly Sample[], soakMs: number): Row[] {
  return [1, 2, 3].map((quarter) => {
    const within = samples.filter(({ atMs }) => Math.floor((atMs * 4) / soakMs) === quarter)
    const values = [median(within.map(({ bytes }) => (bytes[name] ?? Number.NaN) / MIB))]
    return { what: `memory of ${name}, quarter ${quarter + 1}, median`, unit: 'MiB', values }
  })
}

export const thousandBenchmark: Benchmark = {
  name: 'thousand',
  about: 'a thousand users who all ask at once, one instance drained and one killed on the way',
  async run(options) {
    const sections = [await burst(options)]
    return options.soakMs === 0 ? sections : [...sections, await soak(options)]
  }
}
