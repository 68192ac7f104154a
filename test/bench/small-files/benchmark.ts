import { join } from 'node:path'
import { type Benchmark, compared, measured, row, type Section } from '../benchmark.ts'
import { copyFolder } from '../sync/copies.ts'
import { SMALL_BYTES, writeSmallFiles } from '../sync/files.ts'
import {
  type AgainRuns,
  againByPeers,
  type FirstRuns,
  firstByPeers,
  type Stage,
  settled,
  staged
} from '../sync/in-turn.ts'
import { Pair, type PairSynced } from '../sync/pair.ts'
import { againRows } from '../sync/report.ts'

interface Round {
  readonly first: FirstRuns & { readonly product: PairSynced }
  /** Nothing has changed. */
  readonly again: AgainRuns & { readonly product: PairSynced }
  readonly copyMs: number
  readonly copySyncedMs: number
}

async function oneRound(stage: Stage): Promise<Round> {
  const { scratch, options } = stage
  const next = <T>(work: () => Promise<T>): Promise<T> => settled(scratch, work)
  await using pair = await Pair.start(scratch, 'small', options)
  const { files } = pair
  await writeSmallFiles(files, options.files)
  const first = await next(() => pair.sync())
  const byPeers = await firstByPeers(stage, files)
  const copyMs = await next(() => copyFolder(files, join(scratch.folder, 'copy'), { sync: false }))
  const copySyncedMs = await next(() => copyFolder(files, join(scratch.folder, 'copy-synced'), { sync: true }))
  const again = await next(() => pair.sync())
  const byPeersAgain = await againByPeers(stage, files, null)
  return {
    first: { product: first, ...byPeers },
    again: { product: again, ...byPeersAgain },
    copyMs,
    copySyncedMs
  }
}

function firstSection(rounds: readonly Round[], count: string): Section {
  return {
    title: `First sync of ${count} files of ${SMALL_BYTES / 1024} KiB, until the signed receipt`,
    rows: [
      ...compared(
        'ms',
        'time',
        { what: 'node-daemon', note: 'fsynced', ...measured(rounds, ({ first }) => first.product.ms) },
        [
          {
            what: 'Syncthing, A → B',
            note: 'fsynced',
            ...measured(rounds, ({ first }) => first.syncthing?.ms, 'syncthing')
          },
          {
            what: 'restic, local repository',
            note: 'encrypted, fsynced',
            ...measured(rounds, ({ first }) => first.restic?.ms, 'restic')
          },
          {
            what: 'rsync daemon',
            note: 'no fsync',
            ...measured(rounds, ({ first }) => first.rsync?.plain.ms, 'rsync')
          },
          { what: 'rsync daemon --fsync', ...measured(rounds, ({ first }) => first.rsync?.fsynced.ms, 'rsync') },
          { what: 'cp', note: 'no fsync', ...measured(rounds, ({ copyMs }) => copyMs) },
          { what: 'cp, sync', ...measured(rounds, ({ copySyncedMs }) => copySyncedMs) }
        ]
      ),
      row('node-daemon, CPU, repository', 'ms', {
        values: rounds.map(({ first }) => first.product.cpuSeconds.repository * 1000)
      }),
      row('node-daemon, CPU, workspace', 'ms', {
        values: rounds.map(({ first }) => first.product.cpuSeconds.home * 1000)
      })
    ]
  }
}

export const smallFilesBenchmark: Benchmark = {
  name: 'small-files',
  about: 'a workspace of many small files into the main repository; beside rsync, Syncthing, restic and cp',
  async run(options) {
    const rounds: Round[] = []
    for (let number = 1; number <= options.rounds; number++) {
      options.say(`round ${number} of ${options.rounds}`)
      rounds.push(await staged(options, oneRound))
    }
    const count = options.files.toLocaleString('en')
    return [
      firstSection(rounds, count),
      {
        title: `A look at all ${count} files where nothing has changed`,
        rows: againRows(rounds.map(({ again }) => again))
      }
    ]
  }
}
