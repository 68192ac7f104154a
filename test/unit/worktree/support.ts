import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { onTestFinished } from 'vitest'
import { type Block, sha256 } from '../../../src/core/blocks.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { type KeyValue, memoryKeyValue } from '../../../src/core/key-value.ts'
import { type Logger, silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { inlineReader } from '../../../src/worktree/inline-reader.ts'
import { nodeFileSystem } from '../../../src/worktree/node-file-system.ts'
import type { FileReader } from '../../../src/worktree/reader.ts'
import { type Snapshot, type SnapshotOptions, Worktree } from '../../../src/worktree/worktree.ts'

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'worktree-test-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A workspace in a folder of its own, and the blocks that its snapshots offered. */
export interface Place {
  readonly folder: string
  readonly staging: string
  readonly index: KeyValue
  readonly tree: Worktree
  readonly blocks: Map<string, Block>
  /** What was warned of. */
  readonly warnings: string[]
  /** The same folder and index, as after a new start of the process. */
  reopened(): Worktree
}

/** The folder is not made yet. */
export async function place(reader: FileReader = inlineReader()): Promise<Place> {
  const base = await temporaryFolder()
  const folder = join(base, 'files')
  const staging = join(base, 'staging')
  const index = memoryKeyValue()
  const warnings: string[] = []
  const log: Logger = { ...silent, warn: (_fields, text) => warnings.push(text) }
  const open = (): Worktree =>
    new Worktree({
      files: nodeFileSystem,
      reader,
      folder,
      staging,
      index,
      clock: systemClock(),
      random: systemRandom(),
      log
    })
  return { folder, staging, index, tree: open(), blocks: new Map(), warnings, reopened: open }
}

/** A place with a folder and files in it. */
export async function workspace(files: Files = {}, reader?: FileReader): Promise<Place> {
  const at = await place(reader)
  await mkdir(at.folder)
  await fill(at, files)
  return at
}

export type Files = Readonly<Record<string, string | Uint8Array>>

export async function fill(at: { readonly folder: string }, files: Files): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(at.folder, path)), { recursive: true })
    await writeFile(join(at.folder, path), content)
  }
}

export interface Taken extends Snapshot {
  readonly offered: readonly Block[]
}

export async function take(
  at: Place,
  what: readonly string[] | 'all' = 'all',
  options: SnapshotOptions = {}
): Promise<Taken> {
  const offered: Block[] = []
  const snapshot = await at.tree.snapshot(
    what === 'all' ? 'all' : { paths: new Set(what) },
    (block) => {
      offered.push(block)
      at.blocks.set(block.cid.toString(), block)
    },
    options
  )
  return { ...snapshot, offered }
}

export async function takeAndCommit(at: Place, what: readonly string[] | 'all' = 'all'): Promise<Taken> {
  const taken = await take(at, what)
  await taken.commit()
  return taken
}

/** Gives the blocks that a place's snapshots offered, and counts. */
export function supplier(from: Place): { fetch: (cids: readonly CID[]) => Promise<Block[]>; asked: string[] } {
  const asked: string[] = []
  const fetch = async (cids: readonly CID[]): Promise<Block[]> =>
    cids.flatMap((cid) => {
      asked.push(cid.toString())
      const block = from.blocks.get(cid.toString())
      return block === undefined ? [] : [block]
    })
  return { fetch, asked }
}

/** Everything below a folder that a snapshot keeps, as comparable text. */
export async function contents(folder: string, below = ''): Promise<Record<string, string>> {
  const all: Record<string, string> = {}
  for (const name of (await readdir(join(folder, below))).sort()) {
    const path = join(below, name)
    const stats = await lstat(join(folder, path), { bigint: true })
    const mode = (stats.mode & 0o7777n).toString(8)
    const time = (stats.mtimeNs - (((stats.mtimeNs % 1000n) + 1000n) % 1000n)) / 1000n
    if (stats.isSymbolicLink()) all[path] = `link ${time} ${await readlink(join(folder, path))}`
    else if (stats.isDirectory()) Object.assign(all, { [path]: `folder ${mode} ${time}` }, await contents(folder, path))
    else all[path] = `file ${mode} ${time} ${sha256(await readFile(join(folder, path))).toString('hex')}`
  }
  return all
}
