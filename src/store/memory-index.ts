import type { KeyValueChanges } from '../core/key-value.ts'
import type { Random } from '../core/random.ts'
import { type LevelStore, openMemoryLevel } from './level.ts'
import type { IndexPlace } from './open-repository.ts'

/** An index in memory that can lose power: for tests and the simulator. */
export interface MemoryIndex extends IndexPlace {
  /** Loses the last of those writes that no durable one followed: as many as chance says. */
  crash(random: Random): Promise<void>
}

const APPLIED = { durable: true } as const

export function memoryIndex(): MemoryIndex {
  let now = openMemoryLevel()
  let durable = openMemoryLevel()
  let unsynced: KeyValueChanges[] = []

  const settle = async (count: number): Promise<void> => {
    for (const changes of unsynced.slice(0, count)) await durable.write(changes, APPLIED)
    unsynced = []
  }

  const store = (level: LevelStore): LevelStore => ({
    get: level.get,
    getMany: level.getMany,
    entries: level.entries,
    async write(changes, options) {
      await level.write(changes, options)
      unsynced.push(changes)
      if (options.durable) await settle(unsynced.length)
    },
    close: async () => undefined
  })

  return {
    open: async () => store(now),
    async destroy() {
      now = openMemoryLevel()
      durable = openMemoryLevel()
      unsynced = []
    },
    async crash(random) {
      await settle(Math.floor(random.fraction() * (unsynced.length + 1)))
      const copy = openMemoryLevel()
      const put: [string, Uint8Array][] = []
      for await (const entry of durable.entries({ prefix: '' })) put.push(entry)
      await copy.write({ put }, APPLIED)
      now = copy
    }
  }
}
