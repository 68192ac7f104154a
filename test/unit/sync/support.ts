import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { expect, onTestFinished } from 'vitest'
import { judgeHead, type OwnershipView } from '../../../src/content/heads.ts'
import type { Block } from '../../../src/core/blocks.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { type Signed, seal } from '../../../src/core/envelope.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { type Receipt, receiptRecord, type SignedHead, sealRecord } from '../../../src/core/records.ts'
import { openRepository } from '../../../src/store/main-repository.ts'
import { memoryDisk } from '../../../src/store/memory-disk.ts'
import { memoryIndex } from '../../../src/store/memory-index.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import { receiptOf } from '../../../src/sync/receipt.ts'
import type { RemoteRepository } from '../../../src/sync/repository-client.ts'
import { inlineReader } from '../../../src/worktree/inline-reader.ts'
import { nodeFileSystem } from '../../../src/worktree/node-file-system.ts'
import { Worktree } from '../../../src/worktree/worktree.ts'

export const WORKSPACE = '0123456789abcdef0123456789abcdef' as WorkspaceId
export const OTHER = 'fedcba9876543210fedcba9876543210' as WorkspaceId
export const COORDINATOR = await createIdentity()
export const ALPHA = await createIdentity()
export const BETA = await createIdentity()

export async function memoryRepository(): Promise<MainRepository> {
  const repository = await openRepository({
    disk: memoryDisk(),
    index: memoryIndex(),
    log: silent,
    clock: systemClock(),
    random: systemRandom()
  })
  onTestFinished(() => repository.close())
  return repository
}

export type Ownership = Omit<OwnershipView, 'sealedEpoch'>
export const homeOf = (identity: Identity, epoch = 1, base: CID | null = null): Ownership => ({
  epoch,
  home: identity.peerId,
  base
})

/** The main repository without a network between; what happens before and after each publish is the test's. */
export interface NearRepository extends RemoteRepository {
  readonly repository: MainRepository
  /** What was published, in order, also what was refused. */
  readonly published: { readonly head: SignedHead; readonly inline: readonly Block[] }[]
  readonly held: Signed<Receipt>[]
  /** The streams for blocks that were opened. */
  exchanges: number
  ownership: Ownership
  before: (head: SignedHead) => Promise<void>
  after: (head: SignedHead) => Promise<void>
  beforeWant: () => Promise<void>
  onHolding: (receipt: Signed<Receipt>) => Promise<void>
}

export function nearRepository(repository: MainRepository, ownership: Ownership): NearRepository {
  const receipt = (head: SignedHead, counts: { blocks: number; bytes: number }): Promise<Signed<Receipt>> =>
    seal(receiptRecord, receiptOf(head, counts, 'repository', COORDINATOR.peerId, 1), COORDINATOR)
  const near: NearRepository = {
    repository,
    ownership,
    published: [],
    held: [],
    exchanges: 0,
    before: async () => undefined,
    after: async () => undefined,
    beforeWant: async () => undefined,
    onHolding: async () => undefined,
    async publish(head, inline) {
      near.published.push({ head, inline })
      await near.before(head)
      const counts = await repository.publish(head, inline, ({ tip, sealedEpoch }) => {
        const verdict = judgeHead(head, tip, { ...near.ownership, sealedEpoch })
        if (verdict.kind === 'refuse') throw new NodeDaemonError(verdict.code, verdict.reason)
      })
      await near.after(head)
      return receipt(head, counts)
    },
    publishDiverged: async (head, inline) => receipt(head, await repository.keepDiverged(head, inline)),
    tip: async (workspace) => (await repository.tip(workspace))?.head ?? null,
    follow: async (workspace) => (await repository.tip(workspace))?.head ?? null,
    unfollow: async () => undefined,
    async holding(signed) {
      near.held.push(signed)
      await near.onHolding(signed)
    },
    async blocks(workspace) {
      near.exchanges++
      return {
        missing: (cids) => repository.missing(workspace, cids),
        put: (blocks) => repository.keep(workspace, blocks),
        async want(cids) {
          await near.beforeWant()
          const found = await Promise.all(
            cids.map(async (cid) => ({ cid, bytes: await repository.read(workspace, cid) }))
          )
          return found.flatMap(({ cid, bytes }) => (bytes === null ? [] : [{ cid, bytes }]))
        },
        close: async () => undefined
      }
    }
  }
  return near
}

/** The repository seals an epoch, and another one begins on its base. */
export async function nextEpoch(near: NearRepository, home: Identity): Promise<void> {
  const { epoch } = near.ownership
  const { base } = await near.repository.seal(WORKSPACE, epoch, (tip) =>
    seal(sealRecord, { workspace: WORKSPACE, epoch, head: tip?.cid ?? null, sealedAtMs: 1 }, COORDINATOR)
  )
  near.ownership = homeOf(home, epoch + 1, base?.cid ?? null)
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'node-daemon-sync-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A workspace's directory, empty, made. */
export async function emptyTree(reader = inlineReader()): Promise<{ folder: string; worktree: Worktree }> {
  const base = await temporaryFolder()
  const folder = join(base, 'files')
  await mkdir(folder)
  const worktree = new Worktree({
    files: nodeFileSystem,
    folder,
    staging: join(base, 'staging'),
    index: memoryKeyValue(),
    clock: systemClock(),
    random: systemRandom(),
    log: silent,
    reader
  })
  return { folder, worktree }
}

export async function write(folder: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
}

/** Waits for what happens outside the test's hands. */
export const until = (condition: () => boolean | Promise<boolean>): Promise<void> =>
  expect.poll(condition, { interval: 5, timeout: 10_000 }).toBe(true)
