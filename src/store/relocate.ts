import type { Logger } from '../core/log.ts'
import type { Location } from './car.ts'
import type { Disk } from './disk.ts'
import type { LevelStore } from './level.ts'
import { listPacks, PACK_START, packEnd, readPack } from './pack-files.ts'
import * as rows from './rows.ts'

/**
 * Ends the replacement of a pack that was cut short: looks up again where its blocks lie in whichever file stands
 * there. Does nothing where no replacement was begun.
 */
export async function relocate(disk: Disk, level: LevelStore, log: Logger): Promise<void> {
  const row = await level.get(rows.REPLACING_KEY)
  if (row === null) return
  const pack = Number(rows.decodeJson(row))
  const known = new Map<string, Location>()
  for await (const [key, value] of level.entries({ prefix: rows.BLOCK_ROWS })) {
    const location = rows.decodeLocation(value)
    if (location.pack === pack) known.set(key, location)
  }
  const found = await placesIn(disk, pack, known)
  const put = [...found].map(([key, location]) => [key, rows.encodeLocation(location)] as const)
  const lost = [...known].filter(([key]) => !found.has(key))
  const counters = await countersWithout(
    level,
    lost.map(([, location]) => location)
  )
  const remove = [rows.REPLACING_KEY, ...lost.map(([key]) => key)]
  await level.write({ put: [...put, ...counters], remove }, { durable: true })
  log.warn({ pack, blocks: found.size, dropped: lost.length }, 'the replacement of a pack was ended after a stop')
}

async function placesIn(
  disk: Disk,
  pack: number,
  known: ReadonlyMap<string, Location>
): Promise<Map<string, Location>> {
  const packs = await listPacks(disk)
  const end = await packEnd(disk, pack, packs[packs.indexOf(pack) + 1])
  const found = new Map<string, Location>()
  for await (const item of readPack(disk, pack, PACK_START, end)) {
    if (item.kind !== 'block' || !item.valid) continue
    const key = rows.blockKey(item.block.cid)
    if (known.has(key) && !found.has(key)) found.set(key, item.location)
  }
  return found
}

async function countersWithout(
  level: LevelStore,
  lost: readonly Location[]
): Promise<(readonly [string, Uint8Array])[]> {
  const row = await level.get(rows.COUNTERS_KEY)
  if (row === null) return []
  const counters = rows.decodeJson(row) as { blocks: number; storedBytes: number }
  const storedBytes = counters.storedBytes - lost.reduce((sum, { length }) => sum + length, 0)
  return [[rows.COUNTERS_KEY, rows.encodeJson({ ...counters, blocks: counters.blocks - lost.length, storedBytes })]]
}
