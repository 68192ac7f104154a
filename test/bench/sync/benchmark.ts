import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Benchmark,
  type BenchOptions,
  compared,
  type Measured,
  MIB,
  type Row,
  type Section
} from '../benchmark.ts'
import { Scratch } from '../scratch.ts'
import { NOT_INSTALLED, programPath } from '../system.ts'
import { copyFolder, type RsyncDaemon, type RsyncRun, startRsync } from './copies.ts'
import { insertByte, SMALL_BYTES, writeRandomFile, writeSmallFiles } from './files.ts'
import type { Synced } from './home.ts'
import { Pair } from './pair.ts'

interface Peers {
  readonly scratch: Scratch
  readonly rsync: RsyncDaemon | null
}

interface LargeRound {
  readonly rawMs: number
  readonly first: Synced
  readonly again: Synced
  readonly peak: { readonly repository: number; readonly home: number }
  readonly rsync: { readonly first: RsyncRun; readonly fsynced: RsyncRun; readonly again: RsyncRun } | null
  readonly copyMs: number
  readonly copyFsyncedMs: number
}

interface SmallRound {
  readonly first: Synced
  readonly scan: Synced
  readonly rsync: { readonly first: RsyncRun; readonly fsynced: RsyncRun; readonly scan: RsyncRun } | null
  readonly copyMs: number
}

async function largeRound({ scratch, rsync }: Peers, options: BenchOptions): Promise<LargeRound> {
  const { sizeBytes } = options
  await using rawPair = await Pair.start(scratch, 'raw', { ...options, profileFolder: null })
  const rawMs = await rawPair.rawStream(sizeBytes)
  await using pair = await Pair.start(scratch, 'large', options)
  const file = join(pair.files, 'random.bin')
  const copies = join(scratch.folder, 'copies')
  await writeRandomFile(file, sizeBytes)
  const first = await pair.sync()
  const rsyncFirst = await rsync?.copy(pair.files, 'first', { fsync: false })
  const rsyncFsynced = await rsync?.copy(pair.files, 'fsynced', { fsync: true })
  const copyMs = await copyFolder(pair.files, `${copies}-plain`, { fsync: false })
  const copyFsyncedMs = await copyFolder(pair.files, `${copies}-fsynced`, { fsync: true })
  await insertByte(file, sizeBytes)
  const again = await pair.sync()
  const rsyncAgain = await rsync?.copy(pair.files, 'first', { fsync: false })
  return {
    rawMs,
    first,
    again,
    peak: await pair.peakBytes(),
    rsync:
      rsyncFirst && rsyncFsynced && rsyncAgain ? { first: rsyncFirst, fsynced: rsyncFsynced, again: rsyncAgain } : null,
    copyMs,
    copyFsyncedMs
  }
}

async function smallRound({ scratch, rsync }: Peers, options: BenchOptions): Promise<SmallRound> {
  await using pair = await Pair.start(scratch, 'small', options)
  await writeSmallFiles(pair.files, options.files)
  const first = await pair.sync()
  const rsyncFirst = await rsync?.copy(pair.files, 'first', { fsync: false })
  const rsyncFsynced = await rsync?.copy(pair.files, 'fsynced', { fsync: true })
  const copyMs = await copyFolder(pair.files, join(scratch.folder, 'copies'), { fsync: false })
  const scan = await pair.sync()
  const rsyncScan = await rsync?.copy(pair.files, 'first', { fsync: false })
  return {
    first,
    scan,
    rsync:
      rsyncFirst && rsyncFsynced && rsyncScan ? { first: rsyncFirst, fsynced: rsyncFsynced, scan: rsyncScan } : null,
    copyMs
  }
}

/** Each round in a folder of its own, with fresh processes on both sides. */
async function round<T>(work: (peers: Peers) => Promise<T>): Promise<T> {
  await using scratch = await Scratch.create()
  const program = await programPath('rsync')
  const folder = join(scratch.folder, 'rsync')
  const rsync = program === null ? null : await startRsync(scratch, program, folder)
  const result = await work({ scratch, rsync })
  await rm(folder, { recursive: true, force: true })
  return result
}

/** A peer's figures of all rounds, where it was there. */
function peer<Round>(rounds: readonly Round[], of: (round: Round) => number | null): Measured {
  const values = rounds.map(of)
  return values.every((value) => value !== null) ? { values } : { missing: NOT_INSTALLED }
}

const row = (what: string, unit: string, values: readonly number[], note?: string): Row =>
  note === undefined ? { what, unit, values } : { what, unit, values, note }

function largeSections(rounds: readonly LargeRound[], sizeBytes: number): Section[] {
  const rate = (ms: number): number => sizeBytes / MIB / (ms / 1000)
  const size = `${sizeBytes / MIB} MiB`
  return [
    {
      title: `First sync of one file of ${size} of random bytes, until the signed receipt`,
      rows: compared(
        'MiB/s',
        'more',
        { what: 'node-daemon', values: rounds.map(({ first }) => rate(first.ms)), note: 'hashed twice, fsynced' },
        [
          { what: 'raw libp2p stream', values: rounds.map(({ rawMs }) => rate(rawMs)), note: 'no disk, no hash' },
          { what: 'rsync daemon', ...peer(rounds, ({ rsync }) => rsync && rate(rsync.first.ms)), note: 'no fsync' },
          { what: 'rsync daemon --fsync', ...peer(rounds, ({ rsync }) => rsync && rate(rsync.fsynced.ms)) },
          { what: 'cp', values: rounds.map(({ copyMs }) => rate(copyMs)), note: 'no fsync' },
          { what: 'cp, sync', values: rounds.map(({ copyFsyncedMs }) => rate(copyFsyncedMs)) }
        ]
      )
    },
    {
      title: `One byte inserted in the middle of those ${size}`,
      rows: [
        ...compared('ms', 'less', { what: 'node-daemon', values: rounds.map(({ again }) => again.ms) }, [
          { what: 'rsync daemon', ...peer(rounds, ({ rsync }) => rsync && rsync.again.ms), note: 'no fsync' }
        ]),
        row(
          'node-daemon, on the wire',
          'KiB',
          rounds.map(({ again }) => again.wireBytes / 1024)
        ),
        {
          what: 'rsync daemon, on the wire',
          unit: 'KiB',
          ...valuesOrNote(peer(rounds, ({ rsync }) => rsync && rsync.again.wireBytes / 1024))
        },
        row(
          'node-daemon, chunks',
          'chunks',
          rounds.map(({ again }) => again.chunks)
        ),
        row(
          'node-daemon, tree nodes',
          'nodes',
          rounds.map(({ again }) => again.nodes)
        )
      ]
    },
    {
      title: `Peak resident memory after both`,
      rows: [
        row(
          'the process with the repository',
          'MiB',
          rounds.map(({ peak }) => peak.repository / MIB)
        ),
        row(
          'the process with the workspace',
          'MiB',
          rounds.map(({ peak }) => peak.home / MIB)
        )
      ]
    }
  ]
}

const valuesOrNote = (measured: Measured): { values: readonly number[]; note?: string } =>
  'missing' in measured ? { values: [], note: measured.missing } : { values: measured.values }

function smallSections(rounds: readonly SmallRound[], files: number): Section[] {
  const count = files.toLocaleString('en')
  return [
    {
      title: `First sync of ${count} files of ${SMALL_BYTES / 1024} KiB, until the signed receipt`,
      rows: compared(
        'ms',
        'less',
        { what: 'node-daemon', values: rounds.map(({ first }) => first.ms), note: 'fsynced' },
        [
          { what: 'rsync daemon', ...peer(rounds, ({ rsync }) => rsync && rsync.first.ms), note: 'no fsync' },
          { what: 'rsync daemon --fsync', ...peer(rounds, ({ rsync }) => rsync && rsync.fsynced.ms) },
          { what: 'cp', values: rounds.map(({ copyMs }) => copyMs), note: 'no fsync' }
        ]
      )
    },
    {
      title: `A look at all ${count} files where nothing has changed`,
      rows: compared('ms', 'less', { what: 'node-daemon', values: rounds.map(({ scan }) => scan.ms) }, [
        { what: 'rsync daemon', ...peer(rounds, ({ rsync }) => rsync && rsync.scan.ms) }
      ])
    }
  ]
}

export const syncBenchmark: Benchmark = {
  name: 'sync',
  about: 'a workspace into the main repository: a large file, one byte inserted, many small files; beside rsync and cp',
  async run(options) {
    const large: LargeRound[] = []
    const small: SmallRound[] = []
    for (let number = 1; number <= options.rounds; number++) {
      options.say(`round ${number} of ${options.rounds}`)
      large.push(await round((peers) => largeRound(peers, options)))
      small.push(await round((peers) => smallRound(peers, options)))
    }
    return [...largeSections(large, options.sizeBytes), ...smallSections(small, options.files)]
  }
}
