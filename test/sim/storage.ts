import { NodeDaemonError } from '../../src/core/errors.ts'
import type { Identity } from '../../src/core/identity.ts'
import type { Disk } from '../../src/store/disk.ts'
import type { LevelStore } from '../../src/store/level.ts'
import { type MemoryDisk, memoryDisk } from '../../src/store/memory-disk.ts'
import { type MemoryIndex, memoryIndex } from '../../src/store/memory-index.ts'
import type { IndexPlace } from '../../src/store/open-repository.ts'
import type { DataFolder } from '../../src/store/state-folder.ts'
import type { Life, Machine } from './machine.ts'

/** What goes wrong with a disk now. */
export interface DiskTrouble {
  /** Nothing more fits: whatever would need room fails. */
  full: boolean
  /** The chance that a call fails for no reason. */
  failing: number
}

/** What of a machine survives its processes: its disk, as far as it was made durable. */
export class Storage {
  readonly machine: Machine
  readonly identity: Identity
  readonly trouble: DiskTrouble = { full: false, failing: 0 }
  readonly #files = new Map<string, Uint8Array>()
  readonly packs: MemoryDisk = memoryDisk()
  readonly index: MemoryIndex = memoryIndex()
  readonly state: MemoryIndex = memoryIndex()
  #hasStopped = true
  #openedState: LevelStore | null = null
  #backup: [string, Uint8Array][] = []
  #boot = 0
  #bootThen = 0

  constructor(machine: Machine, identity: Identity) {
    this.machine = machine
    this.identity = identity
  }

  /** The process was killed: what it had written stays. */
  async killed(): Promise<void> {
    await this.state.crash(KEEPS_ALL)
    await this.index.crash(KEEPS_ALL)
  }

  /** What was not made durable is gone, or a part of it. */
  async powerLost(): Promise<void> {
    const { chance } = this.machine
    this.#boot++
    this.packs.crash(chance)
    await this.state.crash(chance)
    await this.index.crash(chance)
  }

  /** Somebody copies the small state, while the process runs or not. */
  async backUp(): Promise<void> {
    this.#backup = []
    for await (const row of this.#openedState?.entries({ prefix: '' }) ?? []) this.#backup.push(row)
  }

  /** Somebody puts the copy in the place of the small state. No process runs meanwhile. */
  async putBack(): Promise<void> {
    await this.state.destroy()
    const level = await this.state.open()
    await level.write({ put: this.#backup }, { durable: true })
    await level.close()
  }

  /** The daemon's own folder, for one process. */
  openFolder(life: Life): DataFolder {
    const [cleanStop, sameBoot] = [this.#hasStopped, this.#boot === this.#bootThen]
    this.#hasStopped = false
    this.#bootThen = this.#boot
    return {
      path: `/${this.machine.name}`,
      identity: this.identity,
      cleanStop,
      sameBoot,
      writeAtomic: async (name, bytes) => {
        await this.#call(life, 'writing', true)
        this.#files.delete(name)
        this.#files.set(name, Buffer.from(bytes))
      },
      read: async (name) => this.#files.get(name) ?? null,
      remove: async (name) => {
        await this.#call(life, 'removing', false)
        this.#files.delete(name)
      },
      release: async () => {
        this.#hasStopped = true
      }
    }
  }

  file(name: string): Uint8Array | undefined {
    return this.#files.get(name)
  }

  /** In the order in which they were written last, whatever their machine's clock said then. */
  fileNames(): string[] {
    return [...this.#files.keys()]
  }

  disk(life: Life): Disk {
    const packs = this.packs
    const reads = <T>(work: () => Promise<T>): Promise<T> => this.#do(life, 'reading', false, work)
    const writes = <T>(work: () => Promise<T>): Promise<T> => this.#do(life, 'writing', true, work)
    const frees = <T>(work: () => Promise<T>): Promise<T> => this.#do(life, 'writing', false, work)
    return {
      append: (path, parts) => writes(() => packs.append(path, parts)),
      sync: (path) => writes(() => packs.sync(path)),
      syncFolder: (path) => frees(() => packs.syncFolder(path)),
      rename: (from, to) => writes(() => packs.rename(from, to)),
      read: (path, offset, length) => reads(() => packs.read(path, offset, length)),
      list: (path) => reads(() => packs.list(path)),
      size: (path) => reads(() => packs.size(path)),
      truncate: (path, length) => frees(() => packs.truncate(path, length)),
      remove: (path) => frees(() => packs.remove(path)),
      makeFolder: (path) => writes(() => packs.makeFolder(path)),
      freeBytes: async () => (this.trouble.full ? 0 : 1e12),
      close: async () => undefined
    }
  }

  indexPlace(life: Life): IndexPlace {
    const index = this.index
    return { open: async () => this.#level(life, await index.open()), destroy: () => index.destroy() }
  }

  async openState(life: Life): Promise<LevelStore> {
    this.#openedState = await this.state.open()
    return this.#level(life, this.#openedState)
  }

  #level(life: Life, level: LevelStore): LevelStore {
    return {
      get: level.get,
      getMany: level.getMany,
      entries: level.entries,
      write: (changes, options) =>
        options.durable
          ? this.#do(life, 'writing', true, () => level.write(changes, options))
          : level.write(changes, options),
      close: level.close
    }
  }

  async #do<T>(life: Life, what: string, needsRoom: boolean, work: () => Promise<T>): Promise<T> {
    await this.#call(life, what, needsRoom)
    return await work()
  }

  /** Takes its time, and fails as the disk does now. */
  async #call(life: Life, what: string, needsRoom: boolean): Promise<void> {
    const { machine, trouble } = this
    if (life.over || machine.chance.happens(0.2)) await machine.busy(life, machine.chance.between(0.01, 3))
    if (trouble.full && needsRoom) throw new NodeDaemonError('NO_SPACE', `no room left: ${what}`)
    if (trouble.failing > 0 && machine.chance.happens(trouble.failing)) throw failed(what)
  }
}

const KEEPS_ALL = { fraction: () => 1 - Number.EPSILON, bytes: (length: number) => new Uint8Array(length) }

function failed(what: string): Error {
  return Object.assign(new Error(`EIO: ${what}`), { code: 'EIO' })
}
