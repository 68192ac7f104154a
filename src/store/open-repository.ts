import type { Clock } from '../core/clock.ts'
import { hasCode } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { Random } from '../core/random.ts'
import { cachedLevel } from './cached-level.ts'
import type { Disk } from './disk.ts'
import { groupedReads } from './grouped-reads.ts'
import { Ledger } from './ledger.ts'
import { destroyLevel, isDamagedRow, type LevelStore, openLevel } from './level.ts'
import { mendPacks } from './pack-files.ts'
import { openPacks, type Packs } from './packs.ts'
import { relocate } from './relocate.ts'
import { replay } from './replay.ts'
import { decodeJson, decodePosition, encodeJson, FORMAT_KEY, INDEXED_KEY } from './rows.ts'
import { Shelf } from './shelf.ts'

/** Where the index is kept, and how it is thrown away to be built anew. */
export interface IndexPlace {
  open(): Promise<LevelStore>
  /** To be called while it is not open. */
  destroy(): Promise<void>
}

/** The index as a Level folder. */
export function levelIndex(path: string): IndexPlace {
  return { open: () => openLevel(path), destroy: () => destroyLevel(path) }
}

export interface RepositoryDeps {
  /** The data folder: packs lie in `repository/packs`. */
  readonly disk: Disk
  readonly index: IndexPlace
  readonly log: Logger
  readonly clock: Clock
  readonly random: Random
  /** Blocks are refused once less than this would remain free; heads and seals may use it. */
  readonly reserveBytes?: number
  /** How many rows of the index are remembered in memory; some 400 bytes each. */
  readonly cachedRows?: number
  /** A pack is not made longer than this. */
  readonly packBytes?: number
  /** After so many bytes in the packs the index is made durable; what came after is read again at the next start. */
  readonly checkpointBytes?: number
}

export interface Parts {
  readonly level: LevelStore
  readonly packs: Packs
  readonly shelf: Shelf
  readonly ledger: Ledger
}

const FORMAT = 3
const CHECKPOINT_BYTES = 64 * 1024 * 1024
/** Some 20 MB. */
const CACHED_ROWS = 50_000

/** Mends the packs, opens the index and brings it up to date; builds it anew where it cannot be used or `rebuild` says so. */
export async function openParts(deps: RepositoryDeps, rebuild: boolean): Promise<Parts> {
  const level = await openIndex(deps, rebuild)
  try {
    if (await fits(deps, level)) return await catchUp(deps, level)
    deps.log.error({}, 'the index of the repository does not fit its packs and is built anew')
  } catch (error) {
    await level.close()
    if (!isDamagedRow(error)) throw error
    deps.log.error({ error }, 'the index of the repository is damaged and is built anew')
  }
  await level.close()
  const anew = await openIndex(deps, true)
  try {
    return await catchUp(deps, anew)
  } catch (error) {
    await anew.close()
    throw error
  }
}

/** Mends the packs, and says whether the index speaks of what they hold now. */
async function fits({ disk, log }: RepositoryDeps, level: LevelStore): Promise<boolean> {
  const marks = await level.getMany([INDEXED_KEY, FORMAT_KEY]).catch((error: unknown) => {
    if (isDamagedRow(error)) return null
    throw error
  })
  const [indexed = null, format = null] = marks ?? []
  const { lost } = await mendPacks(disk, indexed === null ? null : decodePosition(indexed), log)
  if (marks === null || lost) return false
  await relocate(disk, level, log)
  return indexed === null || (format !== null && decodeJson(format) === FORMAT)
}

async function openIndex(deps: RepositoryDeps, rebuild: boolean): Promise<LevelStore> {
  return cachedLevel(groupedReads(await openRows(deps, rebuild)), deps.cachedRows ?? CACHED_ROWS)
}

async function openRows({ index, log }: RepositoryDeps, rebuild: boolean): Promise<LevelStore> {
  if (rebuild) await index.destroy()
  try {
    return await index.open()
  } catch (error) {
    if (rebuild || hasCode(error, 'DATA_FOLDER_IN_USE', 'NO_SPACE')) throw error
    log.error({ error }, 'the index of the repository does not open and is built anew')
    await index.destroy()
    return await index.open()
  }
}

async function catchUp(deps: RepositoryDeps, level: LevelStore): Promise<Parts> {
  const began = deps.clock.now()
  const { disk, log, reserveBytes = 0, packBytes, checkpointBytes = CHECKPOINT_BYTES } = deps
  const packs = await openPacks(disk, packBytes === undefined ? {} : { packBytes })
  await level.write({ put: [[FORMAT_KEY, encodeJson(FORMAT)]] }, { durable: true })
  const shelf = await Shelf.open({ level, packs, disk, log, clock: deps.clock, reserveBytes, checkpointBytes })
  const ledger = new Ledger(shelf)
  await replay(shelf, ledger, log, deps.clock.wall())
  log.info({ packs: packs.count, tookMs: Math.round(deps.clock.now() - began) }, 'the repository is open')
  return { level, packs, shelf, ledger }
}
