import { messageOf } from '../../src/core/errors.ts'
import type { Identity } from '../../src/core/identity.ts'
import type { PeerIdText, ServiceName, WorkspaceId } from '../../src/core/ids.ts'
import type { Logger } from '../../src/core/log.ts'
import type { Served } from '../../src/daemon/entrance.ts'
import { type InstanceCore, openInstanceCore } from '../../src/daemon/instance-core.ts'
import type { InstanceMachine } from '../../src/daemon/instance-machine.ts'
import type { InstanceEvent, InstanceOptions } from '../../src/daemon/options.ts'
import { type PremisesDisk, PremisesKeeper } from '../../src/daemon/premises.ts'
import { Shutdown } from '../../src/daemon/shutdown.ts'
import { RESTART_MS } from './coordinator.ts'
import { FILES } from './door.ts'
import { valueEntrance } from './entrance.ts'
import type { Life, Machine } from './machine.ts'
import { MemoryFileSystem, memoryReader } from './memory-files.ts'
import { SystemError } from './memory-nodes.ts'
import { MemoryVolume } from './memory-volume.ts'
import type { Network } from './network.ts'
import { slowFiles } from './slow-files.ts'
import { Storage } from './storage.ts'

const OPTIONS: Omit<InstanceOptions, 'data' | 'coordinator' | 'name' | 'labels'> = {
  contact: '',
  site: '',
  message: '',
  listen: [],
  capacityBytes: 1e9,
  services: [{ name: FILES, upstream: null, command: null }],
  versions: {},
  uploadLimit: null,
  downloadLimit: null,
  code: null,
  acceptTerms: true,
  keepMs: 7 * 24 * 3_600_000,
  hooks: { before: {}, after: {}, busy: {}, ready: {}, freeze: {}, thaw: {}, timeoutMs: 1000, intervalMs: 1000 },
  apps: {
    sandbox: 'none',
    network: false,
    memoryBytes: 1e9,
    processes: 10,
    openFiles: 100,
    count: 1,
    idleMs: 1000,
    startMs: 1000,
    readable: {}
  },
  ingress: null,
  pid: 1
}

const INSTANCE_PORT = 9471
const NEEDS_ROOM: ReadonlySet<string> = new Set(['write', 'makeFolder', 'makeFolders', 'symlink', 'truncate'])

/** How a run of an instance's process ended. */
export interface Ended {
  readonly exitCode: number
  readonly message: string
}

/** The production instance on a simulated machine. */
export class SimulatedInstance {
  readonly machine: Machine
  readonly storage: Storage
  readonly volume: MemoryVolume
  readonly name: string
  readonly events: InstanceEvent[] = []
  readonly #network: Network
  readonly #coordinator: string
  readonly #labels: Readonly<Record<string, string>>
  readonly #log: Logger
  /** Where it listens for other members; null where it only dials out. */
  readonly #port: number | null
  #core: InstanceCore | null = null
  #shutdown: Shutdown | null = null
  #served: Served | null = null
  /** Told of each change that this instance is about to answer as saved. */
  readonly onSaved = new Set<(workspace: WorkspaceId, epoch: number) => void>()
  /** What it was home of when its last drain began, with the epochs. */
  readonly drainedFrom = new Map<WorkspaceId, number>()
  /** Raised with each start and each end. */
  runs = 0
  /** How the last run ended by itself; null where it was killed, or runs. */
  ended: Ended | null = null

  constructor(
    parts: { readonly machine: Machine; readonly network: Network; readonly log: Logger },
    who: {
      readonly identity: Identity
      readonly coordinator: string
      readonly labels: Readonly<Record<string, string>>
    }
  ) {
    this.machine = parts.machine
    this.name = parts.machine.name
    this.#network = parts.network
    this.#log = parts.log
    this.#coordinator = who.coordinator
    this.#labels = who.labels
    this.#port = parts.machine.world.chance(`${parts.machine.name} listens`).happens(0.6) ? INSTANCE_PORT : null
    this.storage = new Storage(parts.machine, who.identity)
    this.volume = new MemoryVolume({ nowNs: () => BigInt(Math.floor(parts.machine.wallMs * 1000)) * 1000n })
  }

  get core(): InstanceCore | null {
    return this.#core
  }

  get peerId(): PeerIdText {
    return this.storage.identity.peerId
  }

  get identity(): Identity {
    return this.storage.identity
  }

  #saved(workspace: WorkspaceId, epoch: number): void {
    for (const tell of this.onSaved) tell(workspace, epoch)
  }

  /** Would it let a request in? */
  takes(workspace: WorkspaceId, epoch: number): boolean {
    try {
      this.#served?.enter(workspace, epoch).leave()
      return this.#served !== null
    } catch {
      return false
    }
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
    this.machine.world.note(this.name, 'starts')
    this.ended = null
    const run = ++this.runs
    const shutdown = new Shutdown(this.#log)
    const clock = this.machine.clock(life)
    const random = this.machine.world.chance(`${this.name} random ${run}`)
    const space = async (): Promise<{ totalBytes: number; freeBytes: number }> => ({
      totalBytes: 1e10,
      freeBytes: this.storage.trouble.full ? 0 : 9e9
    })
    const core = await openInstanceCore(
      { ...OPTIONS, data: `/${this.name}`, coordinator: this.#coordinator, name: this.name, labels: this.#labels },
      {
        folder: this.storage.openFolder(life),
        state: await this.storage.openState(life),
        startHost: async (gate) =>
          this.#network.startHost(this.machine, life, this.storage.identity.peerId, gate, this.#port),
        openMachine: async (host, state): Promise<InstanceMachine> => {
          const disk = this.#disk(life)
          const premises = await PremisesKeeper.open({
            ...disk,
            folder: `/${this.name}`,
            state,
            clock,
            random,
            log: this.#log
          })
          return {
            premises: (workspace) => premises.of(workspace),
            openEntrance: (served) => {
              this.#served = served
              return valueEntrance(
                {
                  host,
                  files: disk.files,
                  machine: this.machine,
                  life,
                  onSaved: (workspace, epoch) => this.#saved(workspace, epoch)
                },
                served
              )
            },
            openProviders: async () => this.#network.dht.of(host.peerId),
            space,
            load: () => ({ memoryBytes: 1e8, loadPermille: 100 }),
            findCoordinator: async () => null,
            async close() {
              await premises.close()
              return await disk.files.syncFileSystem('/')
            }
          }
        },
        space,
        services: [FILES as ServiceName],
        hooksFor: () => null,
        askAtWork: () => null,
        apps: { keepSecret: () => undefined, of: () => null },
        hostName: this.name,
        interactive: false,
        confirm: async () => true,
        report: (event) => this.events.push(event),
        clock,
        random,
        log: this.#log
      },
      shutdown
    )
    if (life.over) return
    this.#core = core
    this.#shutdown = shutdown
    core.daemon.finished.then(
      (outcome) => this.#finished(life, outcome),
      (error: unknown) => this.#finished(life, { exitCode: 1, message: String(error) })
    )
    void core.join()
  }

  #disk(life: Life): PremisesDisk {
    const { machine, storage } = this
    const files = new MemoryFileSystem(this.volume, (call) => {
      if (life.over) throw new SystemError('EIO')
      if (storage.trouble.full && NEEDS_ROOM.has(call)) throw new SystemError('ENOSPC')
      if (storage.trouble.failing > 0 && machine.chance.happens(storage.trouble.failing)) throw new SystemError('EIO')
    })
    const busy = async (): Promise<void> => {
      if (life.over || machine.chance.happens(0.3)) await machine.busy(life, machine.chance.between(0.01, 2))
    }
    return {
      files: slowFiles(files, busy),
      reader: memoryReader(files),
      // The app reports what it writes; nobody else does.
      watch: async () => ({ take: () => new Set<never>(), barrier: async () => undefined, close: () => undefined })
    }
  }

  #finished(life: Life, ended: Ended): void {
    if (life.over) return
    this.machine.world.note(this.name, `ends with ${ended.exitCode}`)
    this.ended = ended
    this.#over()
    this.#network.processEnded(this.machine, false)
    void this.storage.killed()
  }

  async kill(): Promise<void> {
    this.machine.world.note(this.name, 'is killed')
    this.#over()
    this.#network.processEnded(this.machine, false)
    await this.storage.killed()
  }

  async losePower(): Promise<void> {
    this.machine.world.note(this.name, 'loses power')
    this.#over()
    this.machine.isOff = true
    this.#network.processEnded(this.machine, true)
    this.volume.crash(this.machine.chance)
    await this.storage.powerLost()
  }

  #over(): void {
    this.machine.end()
    this.#served = null
    this.#core = null
    this.#shutdown = null
    this.runs++
  }

  get shutdown(): Shutdown | null {
    return this.#shutdown
  }
}
