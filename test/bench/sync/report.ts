import { compared, MIB, measured, row, type Section } from '../benchmark.ts'
import type { RsyncRun } from './copies.ts'
import { SMALL_BYTES } from './files.ts'
import type { PairSynced } from './pair.ts'

export interface RsyncRuns {
  readonly first: RsyncRun
  readonly fsynced: RsyncRun
  readonly again: RsyncRun
}

/** One large file. `again` is after one byte was inserted. */
export interface LargeRound {
  readonly raw: { readonly ms: number; readonly cpuSeconds: number }
  readonly first: PairSynced
  readonly again: PairSynced
  readonly peak: { readonly repository: number; readonly home: number }
  readonly rsync: RsyncRuns | null
  readonly copyMs: number
  readonly copySyncedMs: number
}

/** Many small files. `again` is without any change. */
export interface SmallRound {
  readonly first: PairSynced
  readonly again: PairSynced
  readonly rsync: RsyncRuns | null
  readonly copyMs: number
}

export function largeSections(rounds: readonly LargeRound[], sizeBytes: number): Section[] {
  const mebibytes = sizeBytes / MIB
  return [firstSection(rounds, mebibytes), insertSection(rounds, mebibytes), memorySection(rounds)]
}

function firstSection(rounds: readonly LargeRound[], mebibytes: number): Section {
  const of = (ms: (round: LargeRound) => number | undefined) =>
    measured(rounds, (round) => {
      const value = ms(round)
      return value === undefined ? undefined : mebibytes / (value / 1000)
    })
  const cpu = (seconds: (round: LargeRound) => number) => measured(rounds, (round) => mebibytes / seconds(round))
  const both = ({ first }: LargeRound): number => first.cpuSeconds.repository + first.cpuSeconds.home
  return {
    title: `First sync of one file of ${mebibytes} MiB of random bytes, until the signed receipt`,
    rows: [
      ...compared(
        'MiB/s',
        'more',
        { what: 'node-daemon', note: 'hashed twice, fsynced', ...of(({ first }) => first.ms) },
        [
          { what: 'raw libp2p stream', note: 'no disk, no hash', ...of(({ raw }) => raw.ms) },
          { what: 'rsync daemon', note: 'no fsync', ...of(({ rsync }) => rsync?.first.ms) },
          { what: 'rsync daemon --fsync', ...of(({ rsync }) => rsync?.fsynced.ms) },
          { what: 'cp', note: 'no fsync', ...of(({ copyMs }) => copyMs) },
          { what: 'cp, sync', ...of(({ copySyncedMs }) => copySyncedMs) }
        ]
      ),
      ...compared('MiB/s of CPU time', 'more', { what: 'node-daemon, both processes', ...cpu(both) }, [
        { what: 'raw libp2p stream, both processes', ...cpu(({ raw }) => raw.cpuSeconds) }
      ]),
      row(
        'node-daemon, CPU, repository',
        's',
        measured(rounds, ({ first }) => first.cpuSeconds.repository)
      ),
      row(
        'node-daemon, CPU, workspace',
        's',
        measured(rounds, ({ first }) => first.cpuSeconds.home)
      )
    ]
  }
}

function insertSection(rounds: readonly LargeRound[], mebibytes: number): Section {
  const of = (value: (round: LargeRound) => number | undefined) => measured(rounds, value)
  return {
    title: `One byte inserted in the middle of those ${mebibytes} MiB`,
    rows: [
      ...compared('ms', 'less', { what: 'node-daemon', note: 'fsynced', ...of(({ again }) => again.ms) }, [
        { what: 'rsync daemon', note: 'no fsync', ...of(({ rsync }) => rsync?.again.ms) }
      ]),
      ...compared('KiB on the wire', 'less', { what: 'node-daemon', ...of(({ again }) => again.wireBytes / 1024) }, [
        { what: 'rsync daemon', ...of(({ rsync }) => (rsync ? rsync.again.wireBytes / 1024 : undefined)) }
      ]),
      row(
        'node-daemon',
        'chunks',
        of(({ again }) => again.chunks)
      ),
      row(
        'node-daemon',
        'tree nodes',
        of(({ again }) => again.nodes)
      )
    ]
  }
}

function memorySection(rounds: readonly LargeRound[]): Section {
  return {
    title: 'Peak resident memory after both',
    rows: [
      row(
        'the process with the repository',
        'MiB',
        measured(rounds, ({ peak }) => peak.repository / MIB)
      ),
      row(
        'the process with the workspace',
        'MiB',
        measured(rounds, ({ peak }) => peak.home / MIB)
      )
    ]
  }
}

export function smallSections(rounds: readonly SmallRound[], files: number): Section[] {
  const count = files.toLocaleString('en')
  const of = (value: (round: SmallRound) => number | undefined) => measured(rounds, value)
  return [
    {
      title: `First sync of ${count} files of ${SMALL_BYTES / 1024} KiB, until the signed receipt`,
      rows: [
        ...compared('ms', 'less', { what: 'node-daemon', note: 'fsynced', ...of(({ first }) => first.ms) }, [
          { what: 'rsync daemon', note: 'no fsync', ...of(({ rsync }) => rsync?.first.ms) },
          { what: 'rsync daemon --fsync', ...of(({ rsync }) => rsync?.fsynced.ms) },
          { what: 'cp', note: 'no fsync', ...of(({ copyMs }) => copyMs) }
        ]),
        row(
          'node-daemon, CPU, repository',
          'ms',
          of(({ first }) => first.cpuSeconds.repository * 1000)
        ),
        row(
          'node-daemon, CPU, workspace',
          'ms',
          of(({ first }) => first.cpuSeconds.home * 1000)
        )
      ]
    },
    {
      title: `A look at all ${count} files where nothing has changed`,
      rows: compared('ms', 'less', { what: 'node-daemon', ...of(({ again }) => again.ms) }, [
        { what: 'rsync daemon', ...of(({ rsync }) => rsync?.again.ms) }
      ])
    }
  ]
}
