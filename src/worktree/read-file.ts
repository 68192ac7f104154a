import { type BlockSink, type BuiltFile, FileTree } from '../content/file.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { type Fingerprint, isRacy, metadataOf } from './fingerprint.ts'
import type { FileReader, ReaderOptions, ReadRequest } from './reader.ts'

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
  readonly reader: FileReader
  readonly clock: Clock
  readonly signal: AbortSignal | undefined
}

const ATTEMPTS = 3
const PAUSE_MS = 20

/**
 * Reads a file into blocks; after a moment again, up to three times, where it changes meanwhile, and then as it is. Bytes
 * that are added while it is read are left for the next time. Null where there is no regular file.
 *
 * @param sizeHint about how large it is
 * @param sinkOfAttempt called before each attempt: where its blocks go
 */
export async function readSteadyFile(
  deps: ReadDeps,
  path: string,
  sizeHint: number,
  options: ReaderOptions,
  sinkOfAttempt: () => BlockSink
): Promise<ReadFile | null> {
  for (let attempt = 1; ; attempt++) {
    const read = await readOnce(deps, { folder: deps.folder, path, sizeHint }, options, sinkOfAttempt())
    if (read === null || read.steady || attempt === ATTEMPTS) return read
    await sleep(deps.clock, PAUSE_MS, deps.signal)
  }
}

async function readOnce(
  { begunNs, reader }: ReadDeps,
  request: ReadRequest,
  options: ReaderOptions,
  sink: BlockSink
): Promise<ReadFile | null> {
  const tree = new FileTree(sink)
  const read = await reader.read(
    request,
    async (leaves) => {
      for (const leaf of leaves) {
        await sink(leaf)
        const size = leaf.bytes.length
        await tree.add({ cid: leaf.cid, size, totalBytes: size })
      }
    },
    options
  )
  if (read === null) return null
  const { fingerprint, steady } = read
  const built = await tree.finish(metadataOf(fingerprint))
  return { fingerprint, built, steady, settled: steady && !isRacy(fingerprint, begunNs) }
}
