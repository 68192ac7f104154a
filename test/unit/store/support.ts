import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { onTestFinished } from 'vitest'
import { buildFile } from '../../../src/content/file.ts'
import { buildFolder } from '../../../src/content/folder.ts'
import { childrenOf } from '../../../src/content/nodes.ts'
import type { Block } from '../../../src/core/blocks.ts'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { type Signed, seal } from '../../../src/core/envelope.ts'
import { createIdentity } from '../../../src/core/identity.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import type { Random } from '../../../src/core/random.ts'
import { type Head, headRecord, type Seal, type SignedHead, sealRecord } from '../../../src/core/records.ts'
import type { Disk } from '../../../src/store/disk.ts'
import type { IndexPlace, RepositoryDeps } from '../../../src/store/open-repository.ts'
import type { MainRepository } from '../../../src/store/repository.ts'

export const METADATA = { mode: 0o644, mtime: { secs: 1_700_000_000n, nsecs: 0 } }
export const writer = await createIdentity()
export const workspace = (digit: string): WorkspaceId => digit.repeat(32) as WorkspaceId
export const accept = (): void => undefined

/** A folder of this test's own, gone when the test ends. */
export async function temporaryFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'node-daemon-store-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** The same numbers for the same seed. */
export function seeded(seed: number): Random {
  let state = seed + 0x9e3779b9
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { fraction, bytes: (length) => Uint8Array.from({ length }, () => Math.floor(fraction() * 256)) }
}

export interface Snapshot {
  readonly root: CID
  readonly blocks: readonly Block[]
}

/** A folder with these files, and the blocks that it is made of, children first. */
export async function snapshot(files: Readonly<Record<string, Uint8Array | string>>): Promise<Snapshot> {
  const blocks: Block[] = []
  const sink = (block: Block): void => {
    blocks.push(block)
  }
  const entries = []
  for (const [name, content] of Object.entries(files)) {
    const file = await buildFile(oneChunk(Buffer.from(content)), METADATA, sink)
    entries.push({ name, cid: file.cid, totalBytes: file.totalBytes })
  }
  const { cid } = await buildFolder(entries, METADATA, sink)
  return { root: cid, blocks: [...new Map(blocks.map((block) => [block.cid.toString(), block])).values()] }
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** The head after `previous`. */
export function headAfter(
  previous: SignedHead | null,
  root: CID,
  own: Partial<Head> & { readonly workspace: WorkspaceId }
): Promise<SignedHead> {
  const head: Head = {
    epoch: previous?.value.epoch ?? 1,
    sequence: (previous?.value.sequence ?? 0) + 1,
    root,
    previous: previous?.cid ?? null,
    createdAtMs: 1,
    files: 1,
    bytes: 1,
    unsettled: [],
    ...own
  }
  return seal(headRecord, head, writer)
}

export const sealOf =
  (workspace: WorkspaceId, epoch: number) =>
  (tip: { readonly cid: CID } | null): Promise<Signed<Seal>> =>
    seal(sealRecord, { workspace, epoch, head: tip?.cid ?? null, sealedAtMs: 1 }, writer)

export function depsOf(disk: Disk, index: IndexPlace, more: Partial<RepositoryDeps> = {}): RepositoryDeps {
  return { disk, index, log: silent, clock: systemClock(), random: seeded(1), ...more }
}

/** Every block below a CID, read through the repository; fails where one is not held. */
export async function readClosure(repository: MainRepository, id: WorkspaceId, cid: CID): Promise<number> {
  const bytes = await repository.read(id, cid)
  if (bytes === null) throw new Error(`${cid} is missing`)
  let count = 1
  for (const child of childrenOf({ cid, bytes })) count += await readClosure(repository, id, child)
  return count
}

/** A clock that stands still until it is told to go on. */
export function handClock(): Clock & { pass(ms: number): void } {
  let now = 0
  const pass = (ms: number): void => {
    now += ms
  }
  return { ...systemClock(), now: () => now, wall: () => 1_700_000_000_000 + now, pass }
}
