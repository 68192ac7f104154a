import { join } from 'node:path'
import type { Benchmark, BenchOptions, Section } from '../benchmark.ts'
import { copyFolder } from './copies.ts'
import { insertByte, writeRandomFile, writeSmallFiles } from './files.ts'
import { runHelia } from './helia.ts'
import { againByPeers, firstByPeers, type Stage, settled, staged, takenByPeers } from './in-turn.ts'
import { liveSections } from './live.ts'
import { longSection } from './long.ts'
import { Pair } from './pair.ts'
import { type LargeRound, largeSections, type UnchangedRound, unchangedSection } from './report.ts'

/** Of the files that nobody changes: only their number counts. */
const UNCHANGED_BYTES = 256

async function rawStream({ scratch, options }: Stage): Promise<LargeRound['raw']> {
  await using pair = await Pair.start(scratch, 'raw', options)
  return await pair.rawStream(options.sizeBytes)
}

async function largeRound(stage: Stage): Promise<LargeRound> {
  const { scratch, peers, options } = stage
  const next = <T>(work: () => Promise<T>): Promise<T> => settled(scratch, work)
  const raw = await rawStream(stage)
  await using pair = await Pair.start(scratch, 'large', options)
  const { files } = pair
  const file = join(files, 'random.bin')
  await writeRandomFile(file, options.sizeBytes)
  const first = await next(() => pair.sync())
  const byPeers = await firstByPeers(stage, files)
  const copyMs = await next(() => copyFolder(files, join(scratch.folder, 'copy'), { sync: false }))
  const copySyncedMs = await next(() => copyFolder(files, join(scratch.folder, 'copy-synced'), { sync: true }))
  const helia = await next(() => runHelia(scratch, file, options.sizeBytes))
  await insertByte(file, options.sizeBytes)
  const again = await next(() => pair.sync())
  const byPeersAgain = await againByPeers(stage, files, 'random.bin')
  const peak = { ...(await pair.peakBytes()), syncthing: (await peers.syncthing?.peakBytes()) ?? null }
  return {
    raw,
    first: { product: first, ...byPeers },
    again: { product: again, ...byPeersAgain },
    copyMs,
    copySyncedMs,
    helia,
    peak
  }
}

/** All is taken once; then each looks for changes in turn, again and again. */
async function unchangedRounds(options: BenchOptions): Promise<UnchangedRound[]> {
  return staged(options, async (stage) => {
    await using pair = await Pair.start(stage.scratch, 'unchanged', options)
    const { files } = pair
    await writeSmallFiles(files, options.unchangedFiles, UNCHANGED_BYTES)
    await pair.sync()
    await takenByPeers(stage, files)
    const rounds: UnchangedRound[] = []
    for (let number = 1; number <= options.rounds; number++) {
      const product = await settled(stage.scratch, () => pair.sync())
      rounds.push({ product, ...(await againByPeers(stage, files, null)) })
    }
    return rounds
  })
}

export const syncBenchmark: Benchmark = {
  name: 'sync',
  about: 'a workspace into the main repository: a large file, changes, an upload, memory; beside rsync, Syncthing …',
  async run(options) {
    const large: LargeRound[] = []
    for (let number = 1; number <= options.rounds; number++) {
      options.say(`a large file, round ${number} of ${options.rounds}`)
      large.push(await staged(options, largeRound))
    }
    options.say('files that do not change')
    const unchanged = await unchangedRounds(options)
    const sections: Section[] = largeSections(large, options.sizeBytes)
    sections.push(unchangedSection(unchanged, options.unchangedFiles))
    sections.push(...(await liveSections(options)))
    options.say('the memory of an instance')
    sections.push(await longSection(options))
    return sections
  }
}
