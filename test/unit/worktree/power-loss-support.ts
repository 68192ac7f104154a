import type { KeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import type { Random } from '../../../src/core/random.ts'
import { memoryIndex } from '../../../src/store/memory-index.ts'
import { Worktree } from '../../../src/worktree/worktree.ts'
import type { FileCall } from '../../sim/memory-file.ts'
import { MemoryFileSystem, memoryReader } from '../../sim/memory-files.ts'
import { MemoryVolume } from '../../sim/memory-volume.ts'
import { handClock, seeded } from '../store/support.ts'

export const FOLDER = '/data/workspaces/one'
export const STAGING = '/data/incoming/one'

/** What a power loss leaves of what was not synced. */
export const SURVIVALS: readonly [string, (call: number) => Random][] = [
  ['kept', () => ({ ...seeded(1), fraction: () => 1 - 2 ** -30 })],
  ['dropped', () => ({ ...seeded(1), fraction: () => 0 })],
  ['kept in part', (call) => seeded(call)]
]

/** What runs on a machine until it loses power. */
export interface Running {
  readonly files: MemoryFileSystem
  readonly tree: Worktree
}

/** A machine with one workspace, on which any call to its file system or its index can fail, and which can lose power. */
export class Machine {
  readonly volume: MemoryVolume
  /** Since it was started. */
  calls = 0
  /** Called before each call: what it throws is what the call fails with. */
  beforeCall: (call: FileCall | 'record') => void = () => undefined
  readonly #index = memoryIndex()
  readonly #random = seeded(7)
  #files: MemoryFileSystem | null = null

  constructor(options: { readonly syncsWhole: boolean }) {
    let ns = 1_700_000_000_000_000_000n
    const nowNs = (): bigint => {
      ns += 1_000n
      return ns
    }
    this.volume = new MemoryVolume({ nowNs, ...options })
  }

  async start(): Promise<Running> {
    this.calls = 0
    this.beforeCall = () => undefined
    const before = (call: FileCall | 'record'): void => {
      this.calls++
      this.beforeCall(call)
    }
    const files = new MemoryFileSystem(this.volume, before)
    for (const above of [FOLDER, STAGING]) await files.makeFolders(above.slice(0, above.lastIndexOf('/')), 0o700)
    this.volume.syncAll()
    const level = await this.#index.open()
    const index: KeyValue = {
      ...level,
      async write(changes, options) {
        before('record')
        await level.write(changes, options)
      }
    }
    const deps = { files, reader: memoryReader(files), index, clock: handClock(), random: this.#random, log: silent }
    this.#files = files
    this.calls = 0
    return { files, tree: new Worktree({ ...deps, folder: FOLDER, staging: STAGING }) }
  }

  async losePower(random: Random): Promise<void> {
    this.#files?.end()
    this.volume.crash(random)
    await this.#index.crash(random)
  }
}
