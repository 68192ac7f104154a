import { setTimeout as pause } from 'node:timers/promises'
import { Chance } from '../sim/world.ts'
import { TestFederation } from '../tools/federation.ts'
import { WatchedDrain } from './drain.ts'
import { type Fault, faultsOf, nameOf, type Victim } from './faults.ts'
import { ChaosUser, type UserCounts } from './user.ts'

const INSTANCES = ['alpha', 'beta', 'gamma'] as const
const COORDINATOR = 'coordinator'
const USERS = 12
/** Between two requests of one user. */
const PAUSE_MS = { from: 50, to: 250 }
/** Of SIGSTOP: some are shorter than `--failover-after`, some longer. */
const STOPPED_MS = { from: 100, to: 3_500 }
const KILLED_MS = { from: 0, to: 1_000 }
const BETWEEN_MS = { from: 0, to: 300 }
/** A drain whose length is not known yet takes so long, as far as one can guess. */
const FIRST_DRAIN_MS = 400
/** A drain that ends before the blow falls is begun again, so often. */
const TRIES_MAX = 3
const COME_BACK_MS = 60_000

export interface ChaosOptions {
  readonly seed: string
  /** No new fault is begun after so long… */
  readonly forMs: number
  /** …but so many are in any case. */
  readonly faultsMin: number
  readonly say: (text: string) => void
}

export interface Struck extends Fault {
  /** How far the drain was; null outside of one. */
  readonly phase: string | null
}

export interface ChaosReport extends UserCounts {
  readonly struck: readonly Struck[]
  readonly users: number
  readonly drains: number
  /** Of drained instances, each verified offline. */
  readonly certificates: number
  /** What must not happen, and did. */
  readonly problems: readonly string[]
}

/**
 * Users at work, and faults one after another; after each of them the federation must come back by itself. In the end
 * everything that users were told is compared with what they read, and the certificates are verified.
 *
 * @throws Error with the logs, where the federation does not come back in time
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  await using federation = await TestFederation.open()
  for (const name of INSTANCES) await federation.join(name)
  return await new Chaos(federation, options).run()
}

class Chaos {
  readonly #federation: TestFederation
  readonly #options: ChaosOptions
  readonly #chance: Chance
  readonly #struck: Struck[] = []
  readonly #problems: string[] = []
  readonly #certificates: string[] = []
  #drains = 0
  #drainMs = FIRST_DRAIN_MS
  /** When the front door was last there again; infinite while it is away. */
  #doorBackAt = 0

  constructor(federation: TestFederation, options: ChaosOptions) {
    this.#federation = federation
    this.#options = options
    this.#chance = new Chance(`faults ${options.seed}`)
  }

  async run(): Promise<ChaosReport> {
    const { seed, forMs, faultsMin } = this.#options
    const accounts = await this.#federation.addUsers(USERS)
    const wasAway = (since: number): boolean => since <= this.#doorBackAt
    const users = accounts.map((user) => new ChaosUser(user, new Chance(`${user.name} ${seed}`), wasAway))
    const ending = new AbortController()
    const work = Promise.all(users.map((user) => user.work(ending.signal, PAUSE_MS)))
    try {
      await this.#comeBack('the start')
      const until = performance.now() + forMs
      for (const fault of faultsOf(this.#chance)) {
        if (performance.now() >= until && this.#struck.length >= faultsMin) break
        await this.#strike(fault)
        await this.#comeBack(nameOf(fault))
        await pause(this.#chance.between(BETWEEN_MS.from, BETWEEN_MS.to))
      }
    } finally {
      ending.abort()
      await work
    }
    await Promise.all(users.map((user) => user.check()))
    for (const path of this.#certificates) await this.#verify(path)
    return this.#report(users)
  }

  #report(users: readonly ChaosUser[]): ChaosReport {
    const sum = (of: (counts: UserCounts) => number): number =>
      users.reduce((total, { counts }) => total + of(counts), 0)
    return {
      struck: this.#struck,
      users: users.length,
      drains: this.#drains,
      certificates: this.#certificates.length,
      problems: [...this.#problems, ...users.flatMap(({ problems }) => problems)],
      requests: sum(({ requests }) => requests),
      acknowledged: sum(({ acknowledged }) => acknowledged),
      refused: sum(({ refused }) => refused),
      unsure: sum(({ unsure }) => unsure)
    }
  }

  async #strike(fault: Fault): Promise<void> {
    if (!fault.inDrain) {
      await this.#blow(fault, this.#processes(fault.victim, this.#chance.one(INSTANCES), null), null)
      return
    }
    for (let tries = 1; tries <= TRIES_MAX; tries++) {
      const delayMs = tries === TRIES_MAX ? 0 : this.#chance.between(0, this.#drainMs)
      if (await this.#strikeDrain(fault, delayMs)) return
      await this.#comeBack('a drain that ended first')
    }
    this.#options.say(`${nameOf(fault)}: the drains were over before it`)
  }

  /** False where the drain was over before. */
  async #strikeDrain(fault: Fault, delayMs: number): Promise<boolean> {
    const peers = await this.#federation.peers()
    const { name } = this.#chance.one(peers.filter(({ workspaces }) => workspaces > 0))
    const drain = await WatchedDrain.begin(this.#federation, name)
    this.#drains += 1
    await pause(delayMs)
    if (!drain.isUnderWay) {
      this.#drainMs = drain.tookMs
      return false
    }
    const { state = 'preparing', workspaces } = drain.view ?? {}
    const phase = `${state} ${workspaces?.done ?? 0}/${workspaces?.total ?? 0}`
    await this.#blow(fault, this.#processes(fault.victim, name, drain.targetName), phase)
    return true
  }

  #processes(victim: Victim, instance: string, target: string | null): readonly string[] {
    if (victim === 'coordinator') return [COORDINATOR]
    if (victim === 'instance-and-coordinator') return [instance, COORDINATOR]
    if (victim === 'instance') return [instance]
    return [target ?? this.#chance.one(INSTANCES.filter((name) => name !== instance))]
  }

  async #blow(fault: Fault, names: readonly string[], phase: string | null): Promise<void> {
    this.#options.say(`${nameOf(fault)}: ${names.join(' and ')}${phase === null ? '' : `, ${phase}`}`)
    this.#struck.push({ ...fault, phase })
    if (fault.blow === 'SIGSTOP') {
      for (const name of names) this.#federation.program(name).kill('SIGSTOP')
      await pause(this.#chance.between(STOPPED_MS.from, STOPPED_MS.to))
      for (const name of names) this.#federation.program(name).kill('SIGCONT')
      return
    }
    if (names.includes(COORDINATOR)) this.#doorBackAt = Number.POSITIVE_INFINITY
    await Promise.all(names.map((name) => this.#federation.kill(name)))
    await pause(this.#chance.between(KILLED_MS.from, KILLED_MS.to))
    // The coordinator first: an instance says that it serves once it was told so.
    if (names.includes(COORDINATOR)) {
      await this.#federation.startCoordinator()
      this.#doorBackAt = performance.now()
    }
    for (const name of names) if (name !== COORDINATOR) await this.#federation.resume(name)
  }

  /** All instances serve and every workspace has a standby, which may still fetch what users save meanwhile. Those that drained come back on their folder. */
  async #comeBack(after: string): Promise<void> {
    const federation = this.#federation
    const isBack = async (): Promise<boolean> => {
      for (const name of INSTANCES) if (federation.program(name).hasEnded) await this.#comeBackDrained(name, after)
      const peers = await federation.peers()
      if (!peers.every(({ state }) => state === 'serving')) return false
      const workspaces = await federation.workspaces()
      if (workspaces.length < USERS) return false
      return workspaces.every(({ state, standbys }) => state === 'serving' && standbys.length > 0)
    }
    await federation.until(`the federation is back after ${after}`, isBack, COME_BACK_MS)
  }

  async #comeBackDrained(name: string, after: string): Promise<void> {
    const program = this.#federation.program(name)
    const { code, signal } = await program.ended()
    const drained = program.events.find(({ event }) => event === 'drained')
    if (code !== 0 || drained === undefined) {
      this.#problems.push(`${name} ended with ${code ?? signal} after ${after}:\n${program.log}`)
    } else this.#certificates.push(String(drained.certificate))
    await this.#federation.resume(name)
  }

  async #verify(path: string): Promise<void> {
    const { code, log } = await this.#federation.run('receipts', 'verify', path)
    if (code !== 0) this.#problems.push(`the certificate ${path} does not verify: ${log}`)
  }
}
