import { constants } from 'node:fs'
import { type FileHandle, open, readlink } from 'node:fs/promises'
import { type BlockSink, type BuiltFile, buildFile } from '../content/file.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { isGone, look } from './disk.ts'
import { type Fingerprint, fingerprintOf, isRacy, metadataOf, sameFingerprint } from './fingerprint.ts'

/** A file as it was read. `steady`: it did not change meanwhile. `settled`: nor can it have changed since without a trace. */
export interface ReadFile {
  readonly fingerprint: Fingerprint
  readonly built: BuiltFile
  readonly steady: boolean
  readonly settled: boolean
}

export interface ReadDeps {
  /** The workspace's folder, without links in its path: a file that lies elsewhere is not read. */
  readonly folder: string
  /** A time of the file system, by its own stamps, before anything was read. */
  readonly begunNs: bigint
  readonly clock: Clock
  readonly signal: AbortSignal | undefined
}

const ATTEMPTS = 3
const PAUSE_MS = 20
const SLICE_BYTES = 1024 * 1024
/** Never through a link at the end of the path, and never waiting for the other end of a pipe. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Reads a file into blocks; after a moment again, up to three times, where it changes meanwhile, and then as it is. Bytes
 * that are added while it is read are left for the next time. Null where there is no regular file.
 *
 * @param sinkOfAttempt called before each attempt: where its blocks go
 */
export async function readSteadyFile(
  deps: ReadDeps,
  path: string,
  sinkOfAttempt: () => BlockSink
): Promise<ReadFile | null> {
  for (let attempt = 1; ; attempt++) {
    const read = await readOnce(deps, path, sinkOfAttempt())
    if (read === null || read.steady || attempt === ATTEMPTS) return read
    await sleep(deps.clock, PAUSE_MS, deps.signal)
  }
}

async function readOnce({ folder, begunNs }: ReadDeps, path: string, sink: BlockSink): Promise<ReadFile | null> {
  const handle = await openInside(folder, path)
  if (handle === null) return null
  try {
    const before = await handle.stat({ bigint: true })
    if (!before.isFile()) return null
    const fingerprint = fingerprintOf(before)
    const built = await buildFile(slices(handle, fingerprint.size), metadataOf(fingerprint), sink)
    const after = fingerprintOf(await handle.stat({ bigint: true }))
    const there = await look(path)
    const steady = built.size === fingerprint.size && sameFingerprint(fingerprint, after) && there?.ino === before.ino
    return { fingerprint, built, steady, settled: steady && !isRacy(fingerprint, begunNs) }
  } finally {
    await handle.close()
  }
}

/** Opens a file for reading. Null where it is gone, or where a folder on the way was replaced by a link that leads out. */
async function openInside(folder: string, path: string): Promise<FileHandle | null> {
  const handle = await open(path, READ).catch((error: unknown) => {
    if (isGone(error)) return null
    throw error
  })
  if (handle === null || (await liesIn(folder, handle))) return handle
  await handle.close()
  return null
}

/** Does the open file lie below the folder? Where the system cannot tell, yes. */
async function liesIn(folder: string, handle: FileHandle): Promise<boolean> {
  try {
    return (await readlink(`/proc/self/fd/${handle.fd}`)).startsWith(`${folder}/`)
  } catch (error) {
    if (isGone(error)) return true
    throw error
  }
}

async function* slices(handle: FileHandle, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; ) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(SLICE_BYTES, size - at))
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}
