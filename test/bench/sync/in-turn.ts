import { basename, join } from 'node:path'
import type { BenchOptions } from '../benchmark.ts'
import { Scratch } from '../scratch.ts'
import { output, programPath } from '../system.ts'
import { type RsyncDaemon, type RsyncRun, startRsync } from './copies.ts'
import { Restic, type ResticRun } from './restic.ts'
import { SyncthingPair, type SyncthingRun } from './syncthing.ts'

/** The peers that take a folder and later what changed in it; null where one is not installed. */
export interface Peers {
  readonly rsync: RsyncDaemon | null
  readonly syncthing: SyncthingPair | null
  readonly restic: Restic | null
}

export interface FirstRuns {
  readonly rsync: { readonly plain: RsyncRun; readonly fsynced: RsyncRun } | null
  readonly syncthing: SyncthingRun | null
  readonly restic: ResticRun | null
}

export interface AgainRuns {
  readonly rsync: RsyncRun | null
  readonly syncthing: SyncthingRun | null
  readonly restic: ResticRun | null
}

export interface Stage {
  readonly scratch: Scratch
  readonly options: BenchOptions
  readonly peers: Peers
}

/** In a folder of its own, with fresh processes on both sides. */
export async function staged<T>(options: BenchOptions, work: (stage: Stage) => Promise<T>): Promise<T> {
  await using scratch = await Scratch.create()
  return await work({ scratch, options, peers: await startPeers(scratch) })
}

async function startPeers(scratch: Scratch): Promise<Peers> {
  const started = async <T>(name: string, start: (program: string) => Promise<T>): Promise<T | null> => {
    const program = await programPath(name)
    return program === null ? null : await start(program)
  }
  return {
    rsync: await started('rsync', (program) => startRsync(scratch, program, join(scratch.folder, 'rsync'))),
    syncthing: await started('syncthing', (program) => SyncthingPair.start(scratch, program)),
    restic: await started('restic', (program) => Restic.create(scratch, program))
  }
}

/** Waits until the disk has what those before have written, so that nobody pays for others. */
export async function settled<T>(scratch: Scratch, work: () => Promise<T>): Promise<T> {
  await output('sync', ['--file-system', scratch.folder])
  return await work()
}

/** Each peer takes this folder for the first time. */
export async function firstByPeers({ scratch, peers }: Stage, files: string): Promise<FirstRuns> {
  const { rsync, syncthing, restic } = peers
  const next = <T>(work: () => Promise<T>): Promise<T> => settled(scratch, work)
  await syncthing?.give(files, basename(files))
  return {
    rsync:
      rsync === null
        ? null
        : {
            plain: await next(() => rsync.copy(files, 'first', { fsync: false })),
            fsynced: await next(() => rsync.copy(files, 'fsynced', { fsync: true }))
          },
    syncthing: syncthing === null ? null : await next(() => syncthing.sync()),
    restic: restic === null ? null : await next(() => restic.backup(files))
  }
}

/** @param changed the one file below the folder that is another one now; null where nothing has changed */
export async function againByPeers(
  { scratch, peers }: Stage,
  files: string,
  changed: string | null
): Promise<AgainRuns> {
  const { rsync, syncthing, restic } = peers
  const next = <T>(work: () => Promise<T>): Promise<T> => settled(scratch, work)
  if (changed !== null) await syncthing?.give(join(files, changed), join(basename(files), changed))
  return {
    rsync: rsync === null ? null : await next(() => rsync.copy(files, 'first', { fsync: false })),
    syncthing: syncthing === null ? null : await next(() => syncthing.sync()),
    restic: restic === null ? null : await next(() => restic.backup(files))
  }
}
