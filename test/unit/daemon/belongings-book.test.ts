import { expect, test } from 'vitest'
import type { ServiceName, UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { LiveBelongings } from '../../../src/daemon/belongings-book.ts'
import { Holdings } from '../../../src/handover/holdings.ts'
import { manualClock } from '../../tools/clock.ts'
import { accept, headAfter, seeded, snapshot, workspace } from '../store/support.ts'
import { ALPHA, BETA, memoryRepository } from '../sync/support.ts'

const ADA = 'user:ada' as UserId
const BOB = 'user:bob' as UserId
const FILES = 'files' as ServiceName
const A = workspace('a')

async function world() {
  const repository = await memoryRepository()
  const { root, blocks } = await snapshot({ 'a.bin': seeded(1).bytes(700_000), 'b.txt': 'b' })
  const head = await headAfter(null, root, { workspace: A, files: 2, bytes: 700_001 })
  await repository.publish(head, blocks, accept)
  const audited: string[] = []
  const removed: WorkspaceId[] = []
  const used: WorkspaceId[] = []
  const state: { owner: UserId; before?: () => Promise<void> } = { owner: ADA }
  const clock = manualClock()
  const core = {
    table: {
      find: (_: ServiceName, user: UserId) => (user === ADA ? A : null),
      get: () => ({ signed: { value: { owner: state.owner, home: ALPHA.peerId, standbys: [BETA.peerId] } } })
    },
    services: { list: () => [{ name: FILES }] },
    repository,
    holdings: new Holdings(),
    fleet: { unsynced: () => ({ bytes: 0, ageMs: 0 }) },
    quotas: { of: () => 1000 },
    expiry: { expiresAtMs: () => null, used: (id: WorkspaceId) => void used.push(id) },
    removals: {
      async remove(id: WorkspaceId, by: string, _why: string, check: () => void) {
        await state.before?.()
        check()
        removed.push(`${id} ${by}` as WorkspaceId)
      }
    },
    audit: {
      append: async ({ action, actor }: { action: string; actor: string }) => void audited.push(`${action} ${actor}`)
    }
  } as unknown as ConstructorParameters<typeof LiveBelongings>[0]
  return { book: new LiveBelongings(core, clock), clock, audited, removed, used, state }
}

async function taken(pieces: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0
  for await (const piece of pieces) bytes += piece.length
  return bytes
}

test('a user has what the repository has, at the home and there; others have nothing', async () => {
  const { book } = await world()
  expect(await book.of(ADA)).toMatchObject([{ service: FILES, workspace: A, files: 2, usedBytes: 700_001, copies: 2 }])
  expect(await book.of(BOB)).toEqual([])
})

test('exports are a few at once; one that is given up makes room', async () => {
  const { book } = await world()
  expect(await taken(await book.export(ADA, FILES, 'tar'))).toBeGreaterThan(700_001)
  expect(await taken(await book.export(ADA, FILES, 'car'))).toBeGreaterThan(700_001)
  const first = await book.export(ADA, FILES, 'tar')
  const second = await book.export(ADA, FILES, 'tar')
  await expect(book.export(ADA, FILES, 'tar')).rejects.toMatchObject({ code: 'BUSY' })
  const neverBegun = first[Symbol.asyncIterator]()
  await neverBegun.return?.()
  const begun = second[Symbol.asyncIterator]()
  await begun.next()
  await begun.return?.()
  expect(await taken(await book.export(ADA, FILES, 'tar'))).toBeGreaterThan(700_001)
})

test('exports of a workspace are in the audit log, once an hour at most', async () => {
  const { book, audited, clock } = await world()
  const LINE = 'workspace.export user:ada'
  for (let count = 0; count < 3; count++) await taken(await book.export(ADA, FILES, 'tar'))
  expect(audited).toEqual([LINE])
  clock.advance(3_600_000)
  await taken(await book.export(ADA, FILES, 'car'))
  expect(audited).toEqual([LINE, LINE])
})

test('nobody exports or removes what they do not have', async () => {
  const { book, removed } = await world()
  await expect(book.export(BOB, FILES, 'tar')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(book.remove(BOB, FILES)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await book.remove(ADA, FILES)
  expect(removed).toEqual([`${A} ${ADA}`])
})

test('what has another owner by the time of its removal stays', async () => {
  const { book, removed, state } = await world()
  state.before = async () => {
    state.owner = BOB
  }
  await expect(book.remove(ADA, FILES)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(removed).toEqual([])
})

test('who looks at what they have, or takes it with them, uses it', async () => {
  const { book, used } = await world()
  await book.of(ADA)
  expect(used).toEqual([A])
  await taken(await book.export(ADA, FILES, 'tar'))
  expect(used).toEqual([A, A])
})
