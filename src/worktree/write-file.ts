import { CHUNK } from '../content/chunker.ts'
import { leaves } from '../content/file.ts'
import { type Block, matches } from '../core/blocks.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { forEachParallel, prepared } from '../core/parallel.ts'
import type { OpenFile } from './file-system.ts'
import { completeFile, moveIn, type PlaceDeps } from './place.ts'
import type { PlannedFile } from './plan.ts'

/** A leaf and where in its file it stands. */
interface Piece {
  readonly cid: Block['cid']
  readonly offset: number
  readonly size: number
}

/** A bunch of small files with all their bytes. */
interface Group {
  readonly files: readonly { readonly file: PlannedFile; readonly pieces: readonly Piece[] }[]
  readonly bytes: ReadonlyMap<string, Uint8Array>
}

/** How much content is in memory for one step; another step is prepared meanwhile. */
const STEP_BYTES = 8 * 1024 * 1024
const STEP_FILES = 256
const STEP_PIECES = 256
const FILES_AT_ONCE = 8

/** Writes files: under other names until they are whole. `afterStep` is called with nothing half done but large files. */
export async function writeFiles(
  deps: PlaceDeps,
  files: readonly PlannedFile[],
  afterStep: () => Promise<void>
): Promise<void> {
  for await (const { files: group, bytes } of prepared(groups(deps, files))) {
    await forEachParallel(group, FILES_AT_ONCE, ({ file, pieces }) => writeSmall(deps, file, pieces, bytes))
    await afterStep()
  }
  for (const file of files) {
    if (file.small) continue
    await writeLarge(deps, file)
    await afterStep()
  }
}

async function* groups(deps: PlaceDeps, files: readonly PlannedFile[]): AsyncGenerator<Group> {
  let group: PlannedFile[] = []
  let bytes = 0
  for (const file of files) {
    if (!file.small) continue
    if (bytes + file.size > STEP_BYTES || group.length === STEP_FILES) {
      yield await filled(deps, group)
      group = []
      bytes = 0
    }
    group.push(file)
    bytes += file.size
  }
  if (group.length > 0) yield await filled(deps, group)
}

async function filled(deps: PlaceDeps, group: readonly PlannedFile[]): Promise<Group> {
  const files: { file: PlannedFile; pieces: readonly Piece[] }[] = []
  await forEachParallel(group, FILES_AT_ONCE, async (file) => {
    const pieces = await piecesOf(deps, file)
    deps.counter.note(file.cid, 1 + pieces.length)
    files.push({ file, pieces })
  })
  return { files, bytes: await deps.intake.leaves(files.flatMap(({ pieces }) => pieces)) }
}

async function piecesOf({ index }: PlaceDeps, { cid }: PlannedFile): Promise<Piece[]> {
  const pieces = []
  for await (const piece of leaves(cid, index.load)) pieces.push(piece)
  return pieces
}

async function writeSmall(
  deps: PlaceDeps,
  file: PlannedFile,
  pieces: readonly Piece[],
  bytes: ReadonlyMap<string, Uint8Array>
): Promise<void> {
  const staged = deps.staging.freshPath()
  const handle = await deps.staging.createFile(staged)
  try {
    await writePieces(handle, pieces, bytes)
    await completeFile(deps, staged, handle, file)
  } finally {
    await handle.close()
  }
  await moveFileIn(deps, staged, file)
  await keepPlaces(deps, file, pieces)
}

async function moveFileIn(deps: PlaceDeps, staged: string, file: PlannedFile): Promise<void> {
  const { size } = await moveIn(deps, staged, 'file', file)
  if (size !== file.size) throw new NodeDaemonError('NO_SPACE', `only ${size} of ${file.size} bytes could be written`)
}

/** Piece by piece; it goes on where an interruption left it. */
async function writeLarge(deps: PlaceDeps, file: PlannedFile): Promise<void> {
  await deps.intake.innerNodes(file.cid)
  const staged = deps.staging.partPath(file.cid)
  const handle = await deps.staging.openPart(staged)
  try {
    // Beyond what is there already, what is not written reads as zeros.
    const present = Number((await handle.stat()).size)
    for await (const { pieces, bytes } of prepared(steps(deps, file, handle))) {
      const solid = pieces.filter(({ cid, offset }) => offset < present || !isZero(bytes.get(cid.toString())))
      await writePieces(handle, solid, bytes)
    }
    await handle.truncate(file.size)
    await completeFile(deps, staged, handle, file)
  } finally {
    await handle.close()
  }
  await moveFileIn(deps, staged, file)
  for await (const piece of leaves(file.cid, deps.index.load)) await keepPlaces(deps, file, [piece])
}

/** What of a large file is not in its part yet, step by step. */
async function* steps(
  deps: PlaceDeps,
  file: PlannedFile,
  part: OpenFile
): AsyncGenerator<{ pieces: Piece[]; bytes: ReadonlyMap<string, Uint8Array> }> {
  const present = Number((await part.stat()).size)
  let pieces: Piece[] = []
  let bytes = 0
  for await (const piece of leaves(file.cid, deps.index.load)) {
    if (piece.offset + piece.size <= present && (await holds(part, piece))) continue
    if (bytes + piece.size > STEP_BYTES || pieces.length === STEP_PIECES) {
      yield { pieces, bytes: await deps.intake.leaves(pieces) }
      pieces = []
      bytes = 0
    }
    pieces.push(piece)
    bytes += piece.size
  }
  if (pieces.length > 0) yield { pieces, bytes: await deps.intake.leaves(pieces) }
}

async function holds(part: OpenFile, { cid, offset, size }: Piece): Promise<boolean> {
  const bytes = Buffer.allocUnsafeSlow(size)
  return (await part.read(bytes, offset)) === size && matches({ cid, bytes })
}

const ZEROS = Buffer.alloc(CHUNK.maxBytes)
const isZero = (leaf: Uint8Array | undefined): boolean =>
  leaf !== undefined && leaf.length <= ZEROS.length && ZEROS.compare(leaf, 0, leaf.length, 0, leaf.length) === 0

async function writePieces(
  handle: OpenFile,
  pieces: readonly Piece[],
  bytes: ReadonlyMap<string, Uint8Array>
): Promise<void> {
  for (const { cid, offset } of pieces) {
    const leaf = bytes.get(cid.toString())
    if (leaf === undefined) throw new Error(`the leaf ${cid} was not asked for`)
    for (let done = 0; done < leaf.length; ) {
      done += await handle.write(leaf.subarray(done), offset + done)
    }
  }
}

async function keepPlaces({ index }: PlaceDeps, { path }: PlannedFile, pieces: readonly Piece[]): Promise<void> {
  for (const { cid, offset, size } of pieces) await index.keepLeaf(cid, { path, offset, size })
}
