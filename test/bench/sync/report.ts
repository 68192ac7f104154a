import { compared, MIB, measured, row, type Section } from '../benchmark.ts'
import { HELIA_BYTES_MAX, type HeliaRun } from './helia.ts'
import type { AgainRuns, FirstRuns } from './in-turn.ts'
import type { PairSynced } from './pair.ts'

/** One large file. `again` is after one byte was inserted. */
export interface LargeRound {
  readonly raw: { readonly ms: number; readonly cpuSeconds: number }
  readonly first: FirstRuns & { readonly product: PairSynced }
  readonly again: AgainRuns & { readonly product: PairSynced }
  readonly helia: HeliaRun | null
  readonly copyMs: number
  readonly copySyncedMs: number
  /** The larger of both processes of Syncthing. */
  readonly peak: { readonly repository: number; readonly home: number; readonly syncthing: number | null }
}

/** Many files, none of which has changed. */
export type UnchangedRound = AgainRuns & { readonly product: PairSynced }

export function largeSections(rounds: readonly LargeRound[], sizeBytes: number): Section[] {
  const mebibytes = sizeBytes / MIB
  return [firstSection(rounds, mebibytes), insertSection(rounds, mebibytes), memorySection(rounds)]
}

function firstSection(rounds: readonly LargeRound[], mebibytes: number): Section {
  const rate = (ms: number | undefined, of: number = mebibytes): number | undefined =>
    ms === undefined ? undefined : of / (ms / 1000)
  const cpu = (seconds: (round: LargeRound) => number) => measured(rounds, (round) => mebibytes / seconds(round))
  const both = ({ first: { product } }: LargeRound): number => product.cpuSeconds.repository + product.cpuSeconds.home
  const heliaMebibytes = Math.min(mebibytes, HELIA_BYTES_MAX / MIB)
  return {
    title: `First sync of one file of ${mebibytes} MiB of random bytes, until the signed receipt`,
    rows: [
      ...compared(
        'MiB/s',
        'rate',
        {
          what: 'node-daemon',
          note: 'hashed twice, fsynced',
          ...measured(rounds, ({ first }) => rate(first.product.ms))
        },
        [
          { what: 'raw libp2p stream', note: 'no disk, no hash', ...measured(rounds, ({ raw }) => rate(raw.ms)) },
          {
            what: 'Syncthing, A → B',
            note: 'hashed, fsynced',
            ...measured(rounds, ({ first }) => rate(first.syncthing?.ms), 'syncthing')
          },
          {
            what: 'restic, local repository',
            note: 'encrypted, fsynced',
            ...measured(rounds, ({ first }) => rate(first.restic?.ms), 'restic')
          },
          {
            what: 'Helia, Bitswap',
            note: `${heliaMebibytes} MiB only, fetched after the import, no fsync`,
            ...measured(rounds, ({ helia }) => rate(helia?.fetchMs, heliaMebibytes), 'helia')
          },
          {
            what: 'rsync daemon',
            note: 'no fsync',
            ...measured(rounds, ({ first }) => rate(first.rsync?.plain.ms), 'rsync')
          },
          { what: 'rsync daemon --fsync', ...measured(rounds, ({ first }) => rate(first.rsync?.fsynced.ms), 'rsync') },
          { what: 'cp', note: 'no fsync', ...measured(rounds, ({ copyMs }) => rate(copyMs)) },
          { what: 'cp, sync', ...measured(rounds, ({ copySyncedMs }) => rate(copySyncedMs)) }
        ]
      ),
      ...compared('MiB/s of CPU time', 'rate', { what: 'node-daemon, both processes', ...cpu(both) }, [
        { what: 'raw libp2p stream, both processes', ...cpu(({ raw }) => raw.cpuSeconds) }
      ]),
      row('node-daemon, CPU, repository', 's', {
        values: rounds.map(({ first }) => first.product.cpuSeconds.repository)
      }),
      row('node-daemon, CPU, workspace', 's', { values: rounds.map(({ first }) => first.product.cpuSeconds.home) }),
      ...wireRows(rounds.map(({ first: { rsync, ...first } }) => ({ ...first, rsync: rsync?.plain ?? null })))
    ]
  }
}

/** Of all that crossed the connections, both ways. */
function wireRows(rounds: readonly UnchangedRound[]): Section['rows'] {
  const kibibytes = (bytes: number | undefined): number | undefined => (bytes === undefined ? undefined : bytes / 1024)
  return compared(
    'KiB on the wire',
    'amount',
    { what: 'node-daemon', ...measured(rounds, ({ product }) => kibibytes(product.wireBytes)) },
    [
      { what: 'Syncthing', ...measured(rounds, ({ syncthing }) => kibibytes(syncthing?.wireBytes), 'syncthing') },
      {
        what: 'restic',
        note: 'into its repository',
        ...measured(rounds, ({ restic }) => kibibytes(restic?.addedBytes), 'restic')
      },
      { what: 'rsync daemon', ...measured(rounds, ({ rsync }) => kibibytes(rsync?.wireBytes), 'rsync') }
    ]
  )
}

/** How long each took to find what changed, if anything. */
export function againRows(rounds: readonly UnchangedRound[], note?: string): Section['rows'] {
  return compared(
    'ms',
    'time',
    { what: 'node-daemon', ...(note !== undefined && { note }), ...measured(rounds, ({ product }) => product.ms) },
    [
      { what: 'Syncthing, A → B', ...measured(rounds, ({ syncthing }) => syncthing?.ms, 'syncthing') },
      { what: 'restic', ...measured(rounds, ({ restic }) => restic?.ms, 'restic') },
      { what: 'rsync daemon', note: 'no fsync', ...measured(rounds, ({ rsync }) => rsync?.ms, 'rsync') }
    ]
  )
}

function insertSection(rounds: readonly LargeRound[], mebibytes: number): Section {
  const again = rounds.map((round) => round.again)
  return {
    title: `One byte inserted in the middle of those ${mebibytes} MiB`,
    rows: [
      ...againRows(again, 'fsynced'),
      ...wireRows(again),
      row('node-daemon', 'chunks', { values: again.map(({ product }) => product.chunks) }),
      row('node-daemon', 'tree nodes', { values: again.map(({ product }) => product.nodes) })
    ]
  }
}

function memorySection(rounds: readonly LargeRound[]): Section {
  const mebibytes = (bytes: (round: LargeRound) => number | null, peer?: 'syncthing') =>
    measured(
      rounds,
      (round) => {
        const value = bytes(round)
        return value === null ? undefined : value / MIB
      },
      peer
    )
  return {
    title: 'Peak resident memory after both',
    rows: [
      row(
        'the process with the repository',
        'MiB',
        mebibytes(({ peak }) => peak.repository)
      ),
      row(
        'the process with the workspace',
        'MiB',
        mebibytes(({ peak }) => peak.home)
      ),
      row(
        'the larger one of Syncthing',
        'MiB',
        mebibytes(({ peak }) => peak.syncthing, 'syncthing')
      )
    ]
  }
}

export function unchangedSection(rounds: readonly UnchangedRound[], files: number): Section {
  return {
    title: `A look at ${files.toLocaleString('en')} files of which none has changed`,
    rows: againRows(rounds)
  }
}
