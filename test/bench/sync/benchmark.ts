import { join } from 'node:path'
import type { Benchmark, BenchOptions } from '../benchmark.ts'
import { Scratch } from '../scratch.ts'
import { programPath } from '../system.ts'
import { copyFolder, type RsyncDaemon, startRsync } from './copies.ts'
import { insertByte, writeRandomFile, writeSmallFiles } from './files.ts'
import { Pair } from './pair.ts'
import { type LargeRound, largeSections, type RsyncRuns, type SmallRound, smallSections } from './report.ts'

interface Stage {
  readonly scratch: Scratch
  readonly rsync: RsyncDaemon | null
  readonly options: BenchOptions
}

async function firstByRsync(rsync: RsyncDaemon | null, files: string): Promise<Omit<RsyncRuns, 'again'> | null> {
  if (rsync === null) return null
  const first = await rsync.copy(files, 'first', { fsync: false })
  return { first, fsynced: await rsync.copy(files, 'fsynced', { fsync: true }) }
}

async function againByRsync(
  rsync: RsyncDaemon | null,
  files: string,
  before: Omit<RsyncRuns, 'again'> | null
): Promise<RsyncRuns | null> {
  if (rsync === null || before === null) return null
  return { ...before, again: await rsync.copy(files, 'first', { fsync: false }) }
}

async function rawStream({ scratch, options }: Stage): Promise<LargeRound['raw']> {
  await using pair = await Pair.start(scratch, 'raw', options)
  return await pair.rawStream(options.sizeBytes)
}

async function largeRound(stage: Stage): Promise<LargeRound> {
  const { scratch, rsync, options } = stage
  const raw = await rawStream(stage)
  await using pair = await Pair.start(scratch, 'large', options)
  const { files } = pair
  const file = join(files, 'random.bin')
  await writeRandomFile(file, options.sizeBytes)
  const first = await pair.sync()
  const byRsync = await firstByRsync(rsync, files)
  const copyMs = await copyFolder(files, join(scratch.folder, 'copy'), { sync: false })
  const copySyncedMs = await copyFolder(files, join(scratch.folder, 'copy-synced'), { sync: true })
  await insertByte(file, options.sizeBytes)
  const again = await pair.sync()
  const byRsyncAgain = await againByRsync(rsync, files, byRsync)
  return { raw, first, again, peak: await pair.peakBytes(), rsync: byRsyncAgain, copyMs, copySyncedMs }
}

async function smallRound({ scratch, rsync, options }: Stage): Promise<SmallRound> {
  await using pair = await Pair.start(scratch, 'small', options)
  const { files } = pair
  await writeSmallFiles(files, options.files)
  const first = await pair.sync()
  const byRsync = await firstByRsync(rsync, files)
  const copyMs = await copyFolder(files, join(scratch.folder, 'copy'), { sync: false })
  const again = await pair.sync()
  return { first, again, rsync: await againByRsync(rsync, files, byRsync), copyMs }
}

/** In a folder of its own, with fresh processes on both sides. */
async function staged<T>(options: BenchOptions, work: (stage: Stage) => Promise<T>): Promise<T> {
  await using scratch = await Scratch.create()
  const program = await programPath('rsync')
  const rsync = program === null ? null : await startRsync(scratch, program, join(scratch.folder, 'rsync'))
  return await work({ scratch, rsync, options })
}

export const syncBenchmark: Benchmark = {
  name: 'sync',
  about: 'a workspace into the main repository: a large file, one byte inserted, many small files; beside rsync and cp',
  async run(options) {
    const large: LargeRound[] = []
    const small: SmallRound[] = []
    for (let number = 1; number <= options.rounds; number++) {
      options.say(`round ${number} of ${options.rounds}`)
      large.push(await staged(options, largeRound))
      small.push(await staged(options, smallRound))
    }
    return [...largeSections(large, options.sizeBytes), ...smallSections(small, options.files)]
  }
}
