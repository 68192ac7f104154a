import { messageOf, NodeDaemonError } from '../../src/core/errors.ts'
import type { Identity } from '../../src/core/identity.ts'
import type { UserId } from '../../src/core/ids.ts'
import type { Logger } from '../../src/core/log.ts'
import { openCoordinatorCore } from '../../src/daemon/coordinator-core.ts'
import type { CoordinatorCore, CoreOptions } from '../../src/daemon/coordinator-parts.ts'
import { Shutdown } from '../../src/daemon/shutdown.ts'
import { RETENTION } from '../../src/store/repository.ts'
import { ValueDoor } from './door.ts'
import type { Ask, Told } from './exchange-values.ts'
import type { Life, Machine } from './machine.ts'
import type { Network } from './network.ts'
import { Storage } from './storage.ts'

export const COORDINATOR_PORT = 9470
export const RESTART_MS = 1000
/** Wide: no simulated user meets them. */
const LIMITS = { quotaBytes: 10e9, anonymousQuotaBytes: 1e9, anonymousTtlMs: 7 * 86_400_000 }
/** Members tell a coordinator that it is not what it was as soon as they are connected again. */
const FOUND_OUT_MS = 30_000
const MENDED_MS = 90_000

export interface CoordinatorSettings
  extends Pick<CoreOptions, 'standbys' | 'acknowledge' | 'failoverAfterMs' | 'leaseMs' | 'restartGraceMs'> {
  readonly holdMs: number
}

/** The production coordinator on a simulated machine. */
export class SimulatedCoordinator {
  readonly machine: Machine
  readonly storage: Storage
  readonly #network: Network
  readonly #settings: CoordinatorSettings
  readonly #log: Logger
  #core: CoordinatorCore | null = null
  #door: ValueDoor | null = null
  #shutdown: Shutdown | null = null
  /** Raised with each start and each end. */
  runs = 0

  constructor(machine: Machine, network: Network, identity: Identity, settings: CoordinatorSettings, log: Logger) {
    this.machine = machine
    this.#network = network
    this.#settings = settings
    this.#log = log
    this.storage = new Storage(machine, identity)
  }

  /** Its small state was put back to an earlier one, and it may not know it yet. */
  isPutBack = false

  /** What runs; null while nothing does. */
  get core(): CoordinatorCore | null {
    return this.#core
  }

  get address(): string {
    return `/ip4/${this.machine.ip}/tcp/${COORDINATOR_PORT}/p2p/${this.storage.identity.peerId}`
  }

  /** As a service manager does: a start that fails is tried again. */
  async start(): Promise<void> {
    for (;;) {
      const life = this.machine.begin()
      try {
        return await this.#startOnce(life)
      } catch (error) {
        if (life.over) return
        this.machine.world.note(this.machine.name, `does not start: ${messageOf(error)}`)
        await this.kill()
      }
      const isStill = this.runs
      await this.machine.world.sleep(RESTART_MS)
      if (this.runs !== isStill) return
    }
  }

  async #startOnce(life: Life): Promise<void> {
    const run = ++this.runs
    this.machine.world.note('coordinator', 'starts')
    const shutdown = new Shutdown(this.#log)
    const clock = this.machine.clock(life)
    const random = this.machine.world.chance(`coordinator random ${run}`)
    const core = await openCoordinatorCore(
      {
        ...this.#settings,
        rebalance: true,
        terms: null,
        retention: RETENTION,
        scrubDays: 0,
        federation: 'simulation',
        ...LIMITS
      },
      {
        folder: this.storage.openFolder(life),
        state: await this.storage.openState(life),
        disk: this.storage.disk(life),
        index: this.storage.indexPlace(life),
        startHost: async (gate) =>
          this.#network.startHost(this.machine, life, this.storage.identity.peerId, gate, COORDINATOR_PORT),
        openProviders: async (host) => this.#network.dht.of(host.peerId),
        freeBytes: async () => 1e12,
        uploadedBytes: () => 0,
        dropHome: (home) => this.#door?.dropHome(home),
        hasSockets: () => false,
        doorRules: () => {
          throw new Error('there are no front doors of their own here')
        },
        dialIngress: () => Promise.reject(new NodeDaemonError('OUT_OF_REACH', 'no ingress here')),
        frontDoor: () => '',
        clock,
        random,
        log: this.#log
      },
      shutdown
    )
    await core.serve()
    if (!this.#isCurrent(life)) return
    this.#shutdown = shutdown
    this.#core = core
    this.#door = new ValueDoor(core, { clock, log: this.#log }, this.#settings.holdMs)
    this.machine.world.note('coordinator', 'serves')
  }

  #isCurrent(life: Life): boolean {
    return !life.over
  }

  /** A user's request. A front door that is not there, or goes away, answers nothing: 0. */
  async ask(user: UserId, ask: Ask): Promise<Told> {
    const door = this.#door
    const run = this.runs
    if (door === null) return { status: 0, body: 'the front door is closed', retry: 'safe' }
    const { promise: gone, resolve } = Promise.withResolvers<Told>()
    const look = (): void => {
      if (this.#door !== door || this.runs !== run) resolve({ status: 0, body: 'the front door went away' })
      else timer = this.machine.world.after(100, look)
    }
    let timer = this.machine.world.after(100, look)
    try {
      return await Promise.race([door.ask(user, ask), gone])
    } finally {
      timer.cancel()
    }
  }

  async kill(): Promise<void> {
    this.#end('killed')
    this.#network.processEnded(this.machine, false)
    await this.storage.killed()
  }

  /** Its small state is put back to the last copy of it, as by somebody who mends a machine. */
  async restoreBackup(): Promise<void> {
    await this.kill()
    this.machine.world.note('coordinator', 'is put back to an earlier state')
    await this.storage.putBack()
    this.isPutBack = true
    await this.start()
    const { world } = this.machine
    await world.until(() => this.#core?.hold.holds('old-backup') === true, FOUND_OUT_MS)
    await world.until(() => this.#core?.hold.holds('old-backup') === false, MENDED_MS)
    this.isPutBack = false
  }

  async losePower(): Promise<void> {
    this.#end('loses power')
    this.machine.isOff = true
    this.#network.processEnded(this.machine, true)
    await this.storage.powerLost()
  }

  /** As a person stops it. */
  async stop(): Promise<void> {
    const shutdown = this.#shutdown
    this.#core = null
    this.#door = null
    await shutdown?.run()
    this.#end('stops')
    await this.storage.killed()
  }

  #end(how: string): void {
    this.machine.world.note('coordinator', how)
    this.machine.end()
    this.runs++
    this.#core = null
    this.#door = null
    this.#shutdown = null
  }
}
