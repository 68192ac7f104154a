import { NodeDaemonError } from '../core/errors.ts'
import type { KeyValueChanges } from '../core/key-value.ts'
import type { Random } from '../core/random.ts'
import { type LevelStore, openMemoryLevel } from './level.ts'
import type { IndexPlace } from './open-repository.ts'

/** An index in memory that can lose power, open once at a time as on disk: for tests and the simulator. */
export interface MemoryIndex extends IndexPlace {
  /** Loses the last of those writes that no durable one followed: as many as chance says. */
  crash(random: Random): Promise<void>
}

const APPLIED = { durable: true } as const

export function memoryIndex(): MemoryIndex {
  let now = openMemoryLevel()
  let durable = openMemoryLevel()
  let unsynced: KeyValueChanges[] = []
  let holder: object | null = null

  const settle = async (count: number): Promise<void> => {
    for (const changes of unsynced.slice(0, count)) await durable.write(changes, APPLIED)
    unsynced = []
  }

  const refuseOpen = (): void => {
    if (holder !== null) throw new NodeDaemonError('DATA_FOLDER_IN_USE', 'the index is open already')
  }

  const store = (level: LevelStore, own: object): LevelStore => ({
    get: level.get,
    getMany: level.getMany,
    entries: level.entries,
    async write(changes, options) {
      if (holder !== own) throw new NodeDaemonError('CLOSED', 'the index is closed')
      await level.write(changes, options)
      unsynced.push(changes)
      if (options.durable) await settle(unsynced.length)
    },
    async close() {
      if (holder === own) holder = null
    }
  })

  return {
    async open() {
      refuseOpen()
      holder = {}
      return store(now, holder)
    },
    async destroy() {
      refuseOpen()
      now = openMemoryLevel()
      durable = openMemoryLevel()
      unsynced = []
    },
    async crash(random) {
      holder = null
      await settle(Math.floor(random.fraction() * (unsynced.length + 1)))
      const copy = openMemoryLevel()
      const put: [string, Uint8Array][] = []
      for await (const entry of durable.entries({ prefix: '' })) put.push(entry)
      await copy.write({ put }, APPLIED)
      now = copy
    }
  }
}
