import { aborted } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { type Collection, step } from './collection.ts'
import { Marks } from './marks.ts'
import type { Parts } from './open-repository.ts'
import { newPackPath, PACK_START, PACKS_FOLDER, packPath } from './pack-files.ts'
import type { GcReport } from './repository.ts'
import { type Rewritten, rewrite } from './rewrite.ts'
import * as rows from './rows.ts'
import { type PackUse, type Survey, survey } from './survey.ts'

type Freed = Omit<GcReport, 'headsDropped'>

export const NOTHING_FREED: Freed = { blocksDropped: 0, freedBytes: 0, packsRewritten: 0 }

/** A pack is written anew once so much of it is not needed. */
const SPARE_SHARE = 0.25
/** Where no block of it is spare, what else there is must be worth it. */
const SPARE_BYTES = 64 * 1024
/** Of the disk's room, what others may need while a pack is written anew. */
const ROOM_BYTES = 4 * 1024 * 1024

/**
 * Writes packs anew without what is not needed, those that give most first. Each keeps its number and its order. The
 * present one is left as it is; with `full` it is ended first where it has something to give back. While a node is
 * missing below which nothing is linked, nothing is written anew.
 */
export async function compact(run: Collection): Promise<Freed> {
  const touched = new Marks(2, run.access.marksKey)
  const release = run.parts.shelf.watch(touched)
  try {
    return await compactAll(run, touched)
  } finally {
    release()
  }
}

/** @param touched what has been placed or linked since before the survey: it is needed, whatever that says */
async function compactAll(run: Collection, touched: Marks): Promise<Freed> {
  const { generation } = run.parts.shelf
  const found = await surveyWhole(run)
  await forgetDamage(run, found, touched, generation)
  if (await step(run, lacksBelow)) {
    run.access.deps.log.warn({}, 'a node that heads need is missing, and so no pack is written anew')
    return NOTHING_FREED
  }
  const worthwhile = found.packs.filter((use) => isWorthwhile(run, use) && use.pack < found.present)
  const freed = { ...NOTHING_FREED }
  for (const use of worthwhile.sort((a, b) => a.liveBytes - b.liveBytes)) {
    const done = await compactOne(run, found, touched, use)
    if (done === null) continue
    freed.blocksDropped += done.dropped.length
    freed.freedBytes += use.end - done.end
    freed.packsRewritten++
  }
  return freed
}

/** What was damaged and is not needed any more is none of anybody's troubles. */
async function forgetDamage(run: Collection, { live }: Survey, touched: Marks, generation: number): Promise<void> {
  const { access, parts } = run
  await access.alone(parts, async () => {
    const { shelf } = parts
    // What was found damaged since may have been kept and lost again: the survey does not know who needs it.
    if (shelf.generation !== generation) return
    for await (const listed of shelf.damage.pages()) {
      const cids = listed.map(({ cid }) => cid)
      shelf.damage.stageMended(cids.filter((cid) => !live.has(cid) && !touched.has(cid)))
    }
    await shelf.settle()
  })
}

async function lacksBelow({ shelf }: Parts): Promise<boolean> {
  for await (const listed of shelf.damage.pages()) {
    if (listed.some(({ open }) => open)) return true
  }
  return false
}

function isWorthwhile({ full }: Collection, { end, liveBytes, deadBlocks }: PackUse): boolean {
  const spare = end - PACK_START - liveBytes
  if (full === true && deadBlocks > 0) return true
  return spare >= SPARE_SHARE * end && (deadBlocks > 0 || spare >= SPARE_BYTES)
}

/** With `full` the present pack is ended where it has something to give back, and everything is looked at again. */
async function surveyWhole(run: Collection): Promise<Survey> {
  const { access, parts } = run
  const first = await survey(run)
  const present = first.packs.find(({ pack }) => pack === first.present)
  if (run.full !== true || present === undefined || !isWorthwhile(run, present)) return first
  await access.alone(parts, () => parts.packs.roll())
  return await survey(run)
}

async function compactOne(run: Collection, { live }: Survey, touched: Marks, use: PackUse): Promise<Rewritten | null> {
  const { access, parts } = run
  const { disk, log } = access.deps
  const { shelf, ledger } = parts
  const { pack } = use
  await refuseWithoutRoom(run, use)
  const { generation } = shelf
  try {
    const end = await step(run, async ({ packs }) => (await packs.ends()).find((each) => each.pack === pack)?.offset)
    const done = await rewrite(disk, pack, end ?? 0, {
      locations: (cids) => step(run, () => shelf.locations(cids)),
      isLive: (cid) => live.has(cid) || touched.has(cid),
      kindOf: (cid) => step(run, () => ledger.kindOf(cid))
    })
    if (done === null || !isWhole(done, use) || done.end > (end ?? 0)) {
      log.warn({ pack }, 'a damaged pack is not written anew before it is verified')
      return null
    }
    if (run.signal.aborted) throw aborted(run.signal)
    const swapped = await access.alone(parts, async () => {
      await shelf.settle()
      // Something that was left out is needed since, or lies elsewhere; or something was found damaged.
      if (shelf.generation !== generation || done.dropped.some(({ cid }) => touched.has(cid))) return false
      await swap(run, pack, done)
      return true
    })
    return swapped ? done : null
  } finally {
    await disk.remove(newPackPath(pack))
  }
}

/** Has every block been met that the index finds in this pack? */
const isWhole = ({ moved, dropped }: Rewritten, { liveBlocks, deadBlocks }: PackUse): boolean =>
  moved.length + dropped.length === liveBlocks + deadBlocks

async function refuseWithoutRoom({ access }: Collection, { liveBytes, pack }: PackUse): Promise<void> {
  if ((await access.deps.disk.freeBytes()) >= liveBytes + PACK_START + ROOM_BYTES) return
  throw new NodeDaemonError('NO_SPACE', `there is no room to write pack ${pack} anew, which takes ${liveBytes} bytes`, {
    advice: 'free some space on the disk of the main repository, and clear it up again'
  })
}

/** Puts the new pack in the old one's place. Should this be cut short, the row that it begins with tells the next start. */
async function swap({ access, parts }: Collection, pack: number, { moved, dropped }: Rewritten): Promise<void> {
  const { level, shelf } = parts
  const { disk } = access.deps
  await level.write({ put: [[rows.REPLACING_KEY, rows.encodeJson(pack)]] }, { durable: true })
  await disk.rename(newPackPath(pack), packPath(pack))
  await disk.syncFolder(PACKS_FOLDER)
  shelf.counters.blocks -= dropped.length
  shelf.counters.storedBytes -= dropped.reduce((sum, { location }) => sum + location.length, 0)
  const put = moved.map(({ cid, location }) => [rows.blockKey(cid), rows.encodeLocation(location)] as const)
  const counters = [rows.COUNTERS_KEY, rows.encodeJson(shelf.counters)] as const
  const remove = [rows.REPLACING_KEY, ...dropped.map(({ cid }) => rows.blockKey(cid))]
  await level.write({ put: [...put, counters], remove }, { durable: true })
  shelf.horizon.rewritten(pack)
}
