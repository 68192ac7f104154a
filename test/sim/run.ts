import type { UserId } from '../../src/core/ids.ts'
import type { Logger } from '../../src/core/log.ts'
import type { CoordinatorCore } from '../../src/daemon/coordinator-parts.ts'
import { hardlyNoticed } from './calm.ts'
import { Checks, type Violation } from './checks.ts'
import { begin, type Federation, makeFederation } from './federation.ts'
import { guarded } from './guard.ts'
import { type Plan, planOf } from './plan.ts'
import { rememberSignatures } from './signatures.ts'
import { Troubles } from './troubles.ts'
import { SimulatedUser } from './users.ts'
import { World, WorldEnded } from './world.ts'

/** How a run of one seed ended. */
export interface Outcome {
  readonly seed: string
  readonly kind: Plan['kind']
  readonly violations: readonly Violation[]
  readonly requests: number
  readonly failed: number
  readonly events: number
  readonly worldMs: number
  readonly trace: string
}

export interface RunOptions {
  readonly onLine?: (line: string) => void
  readonly log?: Logger
  /** Ends with the first violation. */
  readonly isOneEnough?: boolean
}

const EVENTS_MAX = 400_000
/** Once all is mended, everything must be as it should within this time. */
const RECOVERY_MS = 180_000
const LOOK_EVERY_MS = 250

export async function runSeed(seed: string, { onLine, log, isOneEnough = false }: RunOptions = {}): Promise<Outcome> {
  const plan = planOf(seed)
  const world = new World(plan.seed, onLine ?? null)
  const federation = await makeFederation(world, { ...plan, zones: 2 }, log)
  const checks = new Checks(federation, plan, isOneEnough)
  const users = Array.from({ length: plan.users }, (_, index) => {
    const mayFallBack = plan.settings.acknowledge === 'local'
    return new SimulatedUser({ world, coordinator: federation.coordinator }, `user:u${index}` as UserId, {
      ...plan,
      mayFallBack,
      onProblem: (what) => checks.add('I2', what)
    })
  })
  rememberSignatures()
  try {
    const work = (): Promise<void> => world.run(() => live(federation, plan, users, checks), EVENTS_MAX)
    await guarded(work, (what) => checks.add('run', what))
  } catch (error) {
    if (!(error instanceof WorldEnded))
      checks.add('run', error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  return {
    seed,
    kind: plan.kind,
    violations: checks.violations,
    requests: users.reduce((sum, { requests }) => sum + requests, 0),
    failed: users.reduce((sum, { failed }) => sum + failed, 0),
    events: world.happened,
    worldMs: Math.round(world.now),
    trace: world.traceHash()
  }
}

async function live(
  federation: Federation,
  plan: Plan,
  users: readonly SimulatedUser[],
  checks: Checks
): Promise<void> {
  const { world } = federation
  await begin(federation)
  const troubles = new Troubles(federation, plan, (promise, what) => checks.add(promise, what))
  const watching = { over: false }
  const watch = async (): Promise<void> => {
    while (!watching.over) {
      await checks.look()
      await world.sleep(LOOK_EVERY_MS)
    }
  }
  const working = [...users.map((user) => user.run()), troubles.run(), watch()]
  await world.sleep(plan.workMs)
  troubles.stop()
  for (const user of users) user.stop()
  watching.over = true
  await Promise.all(working)
  hardlyNoticed(federation, plan, users, checks)
  await troubles.mend()
  await recovers(federation, plan, users, troubles, checks)
}

/** I9, I14: without anybody's help everything is served again, and nothing that was acknowledged is missing. */
async function recovers(
  federation: Federation,
  plan: Plan,
  users: readonly SimulatedUser[],
  troubles: Troubles,
  checks: Checks
): Promise<void> {
  const { world, coordinator, instances } = federation
  // A drain that was asked for before the end may come to its own only now: who has handed over everything stays away.
  const isExpected = (instance: (typeof instances)[number]): boolean =>
    !troubles.lost.has(instance) && (instance.machine.isRunning || instance.ended?.exitCode !== 0)
  const isWhole = (): boolean => {
    troubles.startFailed()
    const { core } = coordinator
    const expected = instances.filter(isExpected).length
    return core !== null && core.control.sessions().length >= expected && isServed(core, plan.settings.standbys)
  }
  if (!(await world.until(isWhole, RECOVERY_MS))) checks.add('I14', describe(federation))
  await checks.look()
  for (const user of users) {
    for (const file of user.files) {
      if (!(await user.read(file)) && !(await user.read(file))) checks.add('I9', `${user.id} cannot read ${file.path}`)
    }
    await user.readLog()
    if (troubles.lost.size === 0) await checks.isKept(user)
  }
  await coordinator.core?.housekeeping.verify({})
  await checks.everyHeadIsWhole()
}

/** Each workspace has a home that serves, and as many standbys as it should have. */
function isServed({ table, routes, fleet }: CoordinatorCore, standbysWanted: number): boolean {
  const wanted = Math.min(standbysWanted, fleet.candidates().length - 1)
  return [...table.all()].every(({ signed: { value } }) => {
    const standbys = value.standbys.filter((peer) => fleet.isConnected(peer))
    return routes.find(value.service, value.owner)?.state === 'serving' && standbys.length >= wanted
  })
}

function describe({ coordinator }: Federation): string {
  const { core } = coordinator
  if (core === null) return 'the coordinator does not run'
  const connected = core.control.sessions().map(({ peer }) => core.fleet.nameOf(peer))
  const places = [...core.table.all()].map(({ signed: { value } }) => {
    const home = value.home === null ? 'nobody' : core.fleet.nameOf(value.home)
    const standbys = value.standbys.map((peer) => core.fleet.nameOf(peer))
    return `${value.workspace.slice(0, 6)} ${core.director.state(value.workspace).state} at ${home}, by ${standbys}`
  })
  return `not whole again: connected ${connected.join(' ')}; ${places.join('; ')}`
}
