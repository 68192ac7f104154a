import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestFederation } from '../../tools/federation.ts'
import { sha256, type WebUser } from '../../tools/web-user.ts'
import type { BenchOptions } from '../benchmark.ts'
import { openScene, settled } from '../scene.ts'
import { Scratch } from '../scratch.ts'
import { LoadedUser, type Saved } from './user.ts'

export const USERS = 12
const INSTANCES = ['alpha', 'beta', 'gamma'] as const
const SERVED_AGAIN_MS = 30_000
/** Each user has had so many answers before the next home is killed. */
const WARM_REQUESTS = 20
const KEPT_MS = 30_000

export interface Kills {
  /** For each user of a home that was killed: until they were served by another one, in milliseconds. */
  readonly servedMs: readonly number[]
  /** For each kill: until the last of its users was served. */
  readonly lastMs: readonly number[]
  readonly requests: number
  readonly failed: readonly string[]
  readonly told: { readonly safe: number; readonly unsafe: number }
  readonly acknowledged: number
  /** Acknowledged, and not there afterwards: how long before the kill, in milliseconds. */
  readonly lostAgesMs: readonly number[]
  /** Of those, the ones that a diverged head of the workspace has. */
  readonly kept: number
}

interface Round {
  readonly servedMs: readonly number[]
  readonly lostAgesMs: readonly number[]
  readonly kept: number
  readonly users: readonly LoadedUser[]
}

/** Homes that are killed under load, one after another; each comes back before the next one goes. */
export async function killsOf(options: BenchOptions, name: string, settings: readonly string[]): Promise<Kills> {
  await using scratch = await Scratch.create()
  await using federation = await openScene(scratch, name, options, settings)
  for (const instance of INSTANCES) await federation.join(instance)
  const accounts = await federation.addUsers(USERS)
  for (const user of accounts) await user.save('/mine.txt', `of ${user.name}`)
  const rounds: Round[] = []
  for (let number = 1; number <= options.kills; number++) {
    options.say(`${name}: kill ${number} of ${options.kills}`)
    await settled(federation)
    rounds.push(await killOne(federation, accounts, number))
  }
  const users = rounds.flatMap((round) => round.users)
  const sum = (of: (user: LoadedUser) => number): number => users.reduce((total, user) => total + of(user), 0)
  return {
    servedMs: rounds.flatMap(({ servedMs }) => servedMs),
    lastMs: rounds.map(({ servedMs }) => Math.max(...servedMs)),
    requests: sum(({ requests }) => requests),
    failed: users.flatMap(({ failed }) => failed),
    told: { safe: sum(({ told }) => told.safe), unsafe: sum(({ told }) => told.unsafe) },
    acknowledged: sum(({ saved }) => saved.length),
    lostAgesMs: rounds.flatMap(({ lostAgesMs }) => lostAgesMs),
    kept: rounds.reduce((total, { kept }) => total + kept, 0)
  }
}

async function killOne(federation: TestFederation, accounts: readonly WebUser[], number: number): Promise<Round> {
  const workspaces = await federation.workspaces()
  const homeOf = ({ name }: WebUser): string => workspaces.find(({ user }) => user === `user:${name}`)?.homeName ?? ''
  const [victim = ''] = [...INSTANCES].sort((one, other) => countOf(other) - countOf(one))
  function countOf(instance: string): number {
    return accounts.filter((user) => homeOf(user) === instance).length
  }
  const before = await divergedOf(federation, accounts)
  const users = accounts.map((user) => new LoadedUser(user, `${number}`))
  const affected = users.filter(({ user }) => homeOf(user) === victim)
  const ending = new AbortController()
  const work = Promise.all(users.map((user) => user.work(ending.signal)))
  let killedAt = Number.NaN
  let servedMs: number[] = []
  try {
    await federation.until('the load is on', async () => users.every(({ requests }) => requests >= WARM_REQUESTS))
    for (const user of affected) user.lookFrom()
    killedAt = performance.now()
    federation.program(victim).kill('SIGKILL')
    const served = await Promise.all(affected.map((user) => user.servedByOther(victim, SERVED_AGAIN_MS)))
    servedMs = served.map((at) => at - killedAt)
  } finally {
    ending.abort()
    await work
  }
  await federation.program(victim).ended()
  const lost = await Promise.all(users.map(async (user) => ({ user, lost: await user.lost() })))
  await federation.resume(victim)
  let kept = 0
  for (const { user, lost: missing } of lost) {
    if (missing.length > 0) kept += await keptOf(federation, user.user, missing, before)
  }
  const lostAgesMs = lost.flatMap((one) => one.lost.map(({ at }) => killedAt - at))
  return { servedMs, lostAgesMs, kept, users }
}

/** The diverged heads of each user's workspace. */
async function divergedOf(
  federation: TestFederation,
  users: readonly WebUser[]
): Promise<ReadonlyMap<WebUser, ReadonlySet<string>>> {
  const heads = new Map<WebUser, ReadonlySet<string>>()
  for (const user of users) {
    const { diverged } = await federation.workspaceOf(user)
    heads.set(user, new Set(diverged.map(({ head }) => head)))
  }
  return heads
}

/** How many of these a new diverged head of the workspace has, with exactly what was acknowledged. */
async function keptOf(
  federation: TestFederation,
  user: WebUser,
  lost: readonly Saved[],
  before: ReadonlyMap<WebUser, ReadonlySet<string>>
): Promise<number> {
  const { id, fresh } = await federation.until(
    'what was not published is kept as diverged',
    async () => {
      const { id, diverged } = await federation.workspaceOf(user)
      const fresh = diverged.filter(({ head }) => before.get(user)?.has(head) === false)
      return fresh.length > 0 ? { id, fresh } : null
    },
    KEPT_MS
  )
  const missing = new Map(lost.map(({ path, hash }) => [path, hash]))
  for (const { head } of fresh) {
    const folder = join(await federation.spare('kept'), head)
    const { code, log } = await federation.admin('workspaces', 'restore', id, '--head', head, '--to', folder)
    if (code !== 0) throw new Error(`a diverged head cannot be restored: ${log}`)
    for (const [path, hash] of missing) {
      const bytes = await readFile(join(folder, path)).catch(() => null)
      if (bytes !== null && sha256(bytes) === hash) missing.delete(path)
    }
  }
  return lost.length - missing.size
}
