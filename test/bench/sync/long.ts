import { randomFillSync } from 'node:crypto'
import { open, rename, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { type BenchOptions, MIB, median, row, type Section } from '../benchmark.ts'
import { Federation, type LiveWorkspace } from '../federation.ts'
import { Scratch } from '../scratch.ts'
import { pause, peakResidentBytes, residentBytes } from '../system.ts'
import { salted } from './files.ts'

const FILE_BYTES = 64 * MIB
/** What may be written and not yet durable: files come faster than they are sent. */
const AHEAD_BYTES = 512 * MIB
const LOOK_EVERY_MS = 200
const STALL_MS = 120_000
/** Of what is synced: the workspace, the packs, and room to breathe. */
const DISK_SHARE = 2.2

interface Sample {
  readonly durableBytes: number
  readonly residentBytes: number
}

/** The memory of an instance, as a real process, while it syncs far more than fits into it. */
export async function longSection(options: BenchOptions): Promise<Section> {
  const { longBytes } = options
  const title = `Resident memory of an instance while it syncs ${(longBytes / MIB).toLocaleString('en')} MiB`
  await using scratch = await Scratch.create()
  const { bavail, bsize } = await statfs(scratch.folder)
  const needed = longBytes * DISK_SHARE
  if (bavail * bsize < needed) {
    const missing = `not measured: needs ${Math.ceil(needed / MIB).toLocaleString('en')} MiB of disk`
    return { title, rows: [row('the instance', 'MiB', { missing })] }
  }
  await using federation = await Federation.start(scratch, options, { users: 1 })
  const workspace = await federation.openWorkspace()
  const before = await residentBytes(federation.pids.instance)
  const samples = await synced(workspace, join(scratch.folder, 'arriving'), federation.pids.instance, longBytes)
  const part = (from: number, to: number): { values: number[] } => {
    const within = samples.filter(({ durableBytes: at }) => at >= from * longBytes && at <= to * longBytes)
    return { values: [median(within.map((sample) => sample.residentBytes)) / MIB] }
  }
  const peak = (await peakResidentBytes(federation.pids.instance)) / MIB
  return {
    title,
    rows: [
      row('before', 'MiB', { values: [before / MIB] }),
      row('median of the first quarter', 'MiB', part(0, 0.25)),
      row('median of the last quarter', 'MiB', part(0.75, 1)),
      row('peak', 'MiB', { values: [peak] })
    ]
  }
}

/** Writes files into the workspace until the main repository has so many bytes durably. */
async function synced(workspace: LiveWorkspace, arriving: string, pid: number, bytes: number): Promise<Sample[]> {
  const base = randomFillSync(Buffer.alloc(MIB))
  const samples: Sample[] = []
  const { usedBytes: before } = await workspace.look()
  let durable = 0
  let progressAt = performance.now()
  const look = async (): Promise<void> => {
    const now = (await workspace.look()).usedBytes - before
    if (now > durable) progressAt = performance.now()
    durable = now
    samples.push({ durableBytes: durable, residentBytes: await residentBytes(pid) })
    if (performance.now() - progressAt > STALL_MS) throw new Error('the instance has stopped syncing')
    await pause(LOOK_EVERY_MS)
  }
  for (let written = 0; written < bytes; written += FILE_BYTES) {
    await writeFresh(arriving, Math.min(FILE_BYTES, bytes - written), { base, from: written / MIB })
    await rename(arriving, join(workspace.folder, `long-${written / FILE_BYTES}`))
    do await look()
    while (written - durable > AHEAD_BYTES)
  }
  while (durable < bytes) await look()
  return samples
}

/** Bytes that were never written before, made on the way. */
async function writeFresh(
  path: string,
  bytes: number,
  { base, from }: { readonly base: Buffer; readonly from: number }
): Promise<void> {
  await using handle = await open(path, 'w')
  for (let at = 0, number = from; at < bytes; at += base.length, number++) {
    await handle.write(salted(base.subarray(0, Math.min(base.length, bytes - at)), number))
  }
}
