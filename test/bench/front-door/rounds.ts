import type { BenchOptions } from '../benchmark.ts'
import type { Federation } from '../federation.ts'
import type { Answered } from '../load.ts'
import { cpuSeconds } from '../system.ts'
import type { Worker } from '../worker.ts'
import type { Sign, ToClient, Transferred } from './client.ts'
import { enter } from './entrance.ts'
import type { PlainProxy, ProxyName } from './proxies.ts'
import { runWrk, type WrkRun } from './wrk.ts'

/** A load, and the CPU time that the server's processes used for it: that of the coordinator first. */
export interface Loaded {
  readonly answered: Answered
  readonly cpuSeconds: readonly number[]
}

/** At full speed, and at half of that. */
export interface Gets {
  readonly full: Loaded
  readonly half: Loaded
}

export interface Transfers {
  readonly downloadMs: number
  readonly uploadMs: number
}

/** What a plain proxy does. */
export interface PlainRound {
  readonly gets: Gets
  readonly redirects: Loaded
  readonly roundTrips: Loaded
  readonly wrk: WrkRun | null
  readonly large: Transfers
}

export interface Round {
  readonly tunnel: Gets
  readonly direct: Gets
  readonly redirects: Loaded
  /** Of users whom the front door has sent on, at the instance itself. */
  readonly entered: Gets
  readonly roundTrips: Loaded
  readonly puts: Loaded
  readonly wrk: WrkRun | null
  readonly large: Transfers
  readonly largeDirect: Transfers
  readonly plain: Readonly<Record<ProxyName, PlainRound | null>>
}

export interface Stage {
  readonly options: BenchOptions
  readonly client: Worker
  readonly federation: Federation
  readonly proxies: ReadonlyMap<ProxyName, PlainProxy>
  /** Where `wrk` is; null where it is not installed. */
  readonly wrk: string | null
}

interface Server {
  readonly url: string
  readonly pids: readonly number[]
  readonly users: readonly Sign[]
}

type Requests = Pick<Extract<ToClient, { kind: 'requests' }>, 'method' | 'path' | 'status'>

const GET: Requests = { method: 'GET', path: '/small.txt', status: null }
const PUT: Requests = { method: 'PUT', path: '/small.txt', status: null }
const ECHO = '/app/echo'

export const frontDoor = ({ federation }: Pick<Stage, 'federation'>): Server => ({
  url: federation.url,
  pids: [federation.pids.coordinator, federation.pids.instance],
  users: federation.users
})

export async function load(
  { client }: Pick<Stage, 'client'>,
  { url, pids, users }: Server,
  asking: Requests | 'round-trips',
  durationMs: number,
  perSecond: number | null = null
): Promise<Loaded> {
  const before = await Promise.all(pids.map(cpuSeconds))
  const common = { url, users, durationMs, perSecond }
  const question: ToClient =
    asking === 'round-trips'
      ? { kind: 'round-trips', path: ECHO, ...common }
      : { kind: 'requests', ...asking, ...common }
  const answered = await client.ask<Answered>(question)
  if (answered.failed > 0)
    throw new Error(`${answered.failed} of ${answered.requests} requests failed: ${answered.failure}`)
  const after = await Promise.all(pids.map(cpuSeconds))
  return { answered, cpuSeconds: after.map((seconds, index) => seconds - (before[index] ?? 0)) }
}

/** Before anything is measured. Compiled code only: what is measured is the daily work, not the first second. */
export async function warmUp(stage: Stage, ms: number): Promise<void> {
  const own = frontDoor(stage)
  await load(stage, own, PUT, ms)
  await load(stage, own, GET, ms)
  await load(stage, own, 'round-trips', ms)
}

export async function oneRound(stage: Stage, number: number): Promise<Round> {
  const { options, federation } = stage
  const own = frontDoor(stage)
  const large = `/large-${number}.bin`
  await federation.takeRoute('tunnel')
  const tunnel = await gets(stage, own)
  const wrkRun = await byWrk(stage, own)
  const roundTrips = await load(stage, own, 'round-trips', options.loadMs)
  const puts = await load(stage, own, PUT, options.loadMs)
  const transferred = await transfers(stage, own, large)
  const plain = { nginx: await plainRound(stage, 'nginx'), haproxy: await plainRound(stage, 'haproxy') }
  await federation.takeRoute('direct')
  const direct = await gets(stage, own)
  const largeDirect = await transfers(stage, own, large)
  await federation.takeRoute('redirect')
  const redirects = await load(stage, own, { ...GET, status: 307 }, options.loadMs)
  const entered = await gets(stage, { pids: own.pids, ...(await enter(own.url, '/small.txt', own.users)) })
  return { tunnel, direct, redirects, entered, roundTrips, puts, wrk: wrkRun, large: transferred, largeDirect, plain }
}

async function plainRound(stage: Stage, name: ProxyName): Promise<PlainRound | null> {
  const proxy = stage.proxies.get(name)
  if (proxy === undefined) return null
  const { loadMs, sizeBytes } = stage.options
  const server = { url: proxy.url, pids: [proxy.pid], users: frontDoor(stage).users }
  return {
    gets: await gets(stage, server),
    redirects: await load(stage, server, { method: 'GET', path: '/moved', status: 307 }, loadMs),
    roundTrips: await load(stage, server, 'round-trips', loadMs),
    wrk: await byWrk(stage, server),
    large: await transfers(stage, server, `/large/${sizeBytes}`)
  }
}

async function gets(stage: Stage, server: Server): Promise<Gets> {
  const { loadMs } = stage.options
  const full = await load(stage, server, GET, loadMs)
  return { full, half: await load(stage, server, GET, loadMs, perSecond(full) / 2) }
}

async function byWrk({ wrk, options }: Stage, { url, users: [user] }: Server): Promise<WrkRun | null> {
  return wrk === null || user === undefined ? null : runWrk(wrk, `${url}/small.txt`, user, options.loadMs / 1000)
}

async function transfers({ client, options }: Stage, { url, users: [user] }: Server, path: string): Promise<Transfers> {
  if (user === undefined) throw new Error('there is no user')
  const question = { url: url + path, user, bytes: options.sizeBytes }
  const { ms: uploadMs } = await client.ask<Transferred>({ kind: 'upload', ...question } satisfies ToClient)
  const { ms: downloadMs } = await client.ask<Transferred>({ kind: 'download', ...question } satisfies ToClient)
  return { uploadMs, downloadMs }
}

export const perSecond = ({ answered }: Loaded): number => answered.requests / (answered.ms / 1000)

/** Of one of the processes. */
export const cpuMicroseconds = ({ answered, cpuSeconds: used }: Loaded, process: number): number =>
  ((used[process] ?? Number.NaN) / answered.requests) * 1e6

/** Requests in a second of the CPU time of one process. */
export const perCpuSecond = (loaded: Loaded, process = 0): number => 1e6 / cpuMicroseconds(loaded, process)
