import { CarReader } from '@ipld/car'
import { describe, expect, test, vi } from 'vitest'
import type { RestoreView, Role } from '../../../src/console/views.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import type { SignedHead } from '../../../src/core/records.ts'
import { LiveRepositoryUpkeep } from '../../../src/daemon/repository-upkeep.ts'
import { LiveWorkspacePast } from '../../../src/daemon/workspace-past.ts'
import type { Decision } from '../../../src/membership/audit.ts'
import type { MainRepository } from '../../../src/store/repository.ts'
import { accept, headAfter, sealOf, snapshot, workspace } from '../store/support.ts'
import { memoryRepository } from '../sync/support.ts'

const ADA = workspace('a')
const BOB = workspace('b')
const CARL = workspace('c')
const EVE = { actor: 'eve', role: 'admin' as const }

interface Bench {
  readonly repository: MainRepository
  readonly past: LiveWorkspacePast
  readonly upkeep: LiveRepositoryUpkeep
  readonly audited: Decision[]
  readonly heads: readonly SignedHead[]
  readonly late: SignedHead
  readonly ofBob: SignedHead
}

/** Ada has three heads and a diverged one, Bob has one. */
async function bench(): Promise<Bench> {
  const repository = await memoryRepository()
  const audited: Decision[] = []
  const publish = async (previous: SignedHead | null, text: string, own: Parameters<typeof headAfter>[2]) => {
    const { root, blocks } = await snapshot({ 'note.txt': text, 'same.txt': 'the same' })
    const head = await headAfter(previous, root, own)
    await repository.publish(head, blocks, accept)
    return head
  }
  const heads: SignedHead[] = []
  for (const text of ['one', 'two', 'three']) {
    const createdAtMs = 1000 * (heads.length + 1)
    heads.push(await publish(heads.at(-1) ?? null, text, { workspace: ADA, createdAtMs }))
  }
  await repository.seal(ADA, 1, sealOf(ADA, 1))
  const lost = await snapshot({ 'note.txt': 'late' })
  const late = await headAfter(heads[2] ?? null, lost.root, { workspace: ADA, createdAtMs: 9000 })
  await repository.keepDiverged(late, lost.blocks)
  const ofBob = await publish(null, "Bob's", { workspace: BOB })
  const audit = async (decision: Decision): Promise<void> => void audited.push(decision)
  const clock = systemClock()
  const past = new LiveWorkspacePast({
    repository,
    director: {
      whileHeld: async () => {
        throw new NodeDaemonError('REFUSED_BY_POLICY', 'nobody serves it')
      }
    },
    instances: { nameOf: () => 'alpha', order: async () => new Uint8Array(0) },
    idle: async () => undefined,
    resolve: (text) => ({ b: BOB, c: CARL })[text] ?? ADA,
    audit,
    clock
  })
  const housekeeping = {
    gc: async () => ({ headsDropped: 0, blocksDropped: 0, freedBytes: 0, packsRewritten: 0 }),
    verify: async () => ({ blocks: 0, bytes: 0, damaged: [], repaired: 0, left: [] })
  }
  const upkeep = new LiveRepositoryUpkeep({ repository, housekeeping, audit, clock })
  return { repository, past, upkeep, audited, heads, late, ofBob }
}

async function carFrom(parts: AsyncIterable<Uint8Array>): Promise<{ roots: string[]; blocks: string[] }> {
  const all: Uint8Array[] = []
  for await (const part of parts) all.push(part)
  const reader = await CarReader.fromBytes(Buffer.concat(all))
  const blocks: string[] = []
  for await (const { cid } of reader.blocks()) blocks.push(cid.toString())
  return { roots: (await reader.getRoots()).map(String), blocks }
}

test('the history is newest first, with what diverged beside it', async () => {
  const { past } = await bench()
  const views = await past.history(EVE, 'a', 10)
  expect(views.map(({ sequence, diverged }) => [sequence, diverged])).toEqual([
    [4, true],
    [3, false],
    [2, false],
    [1, false]
  ])
  expect(await past.history(EVE, 'a', 1)).toHaveLength(2)
})

test('the history shows paths of users to admins alone', async () => {
  const { repository, past } = await bench()
  const { root, blocks } = await snapshot({ 'note.txt': 'four' })
  const previous = (await repository.tip(BOB))?.head ?? null
  const head = await headAfter(previous, root, { workspace: BOB, unsettled: ['secret/plan.odt', 'secret/list.odt'] })
  await repository.publish(head, blocks, accept)
  const paths = async (role: Role): Promise<unknown[]> => {
    const [newest] = await past.history({ actor: 'eve', role }, 'b', 1)
    return [newest?.unsettledCount, newest?.unsettled]
  }
  expect(await paths('admin')).toEqual([2, ['secret/plan.odt', 'secret/list.odt']])
  for (const role of ['operator', 'viewer'] as const) expect(await paths(role), role).toEqual([2, []])
})

describe('a moment', () => {
  const at = async (wish: object): Promise<number | string> => {
    const { past } = await bench()
    return past.snapshot('a', { path: '', ...wish }).then(({ head }) => head.sequence, codeOf)
  }
  test('is the newest, or the one of a time or a sequence', async () => {
    expect(await at({})).toBe(3)
    expect(await at({ at: new Date(2500).toISOString() })).toBe(2)
    expect(await at({ sequence: 1 })).toBe(1)
    expect(await at({ sequence: 4 })).toBe('NOT_FOUND')
    expect(await at({ at: new Date(999).toISOString() })).toBe('NOT_FOUND')
    expect(await at({ sequence: 1, head: 'x' })).toBe('BAD_REQUEST')
  })

  test('may be a head by its name, also one that diverged, of this workspace alone', async () => {
    const { past, heads, late, ofBob } = await bench()
    const of = (head: unknown) =>
      past
        .snapshot('a', { path: '', head: String(head) })
        .then((view) => [view.head.sequence, view.head.diverged], codeOf)
    expect(await of(heads[0]?.cid)).toEqual([1, false])
    expect(await of(late.cid)).toEqual([4, true])
    expect(await of(ofBob.cid)).toBe('NOT_FOUND')
    expect(await of(heads[0]?.value.root)).toBe('NOT_FOUND')
    expect(await of('no cid')).toBe('NOT_FOUND')
    expect(await of(String(heads[0]?.cid).slice(0, 24))).toEqual([1, false])
    expect(await of(String(late.cid).slice(0, 24))).toEqual([4, true])
    expect(await of(String(ofBob.cid).slice(0, 24))).toBe('NOT_FOUND')
    expect(await of('b')).toBe('AMBIGUOUS')
  })

  test('that is not kept is named as it was understood, with the oldest that is', async () => {
    const { past } = await bench()
    await expect(past.snapshot('a', { path: '', at: '1970-01-01T01:00:00.999+01:00' })).rejects.toThrow(
      /has no head of 1970-01-01T00:00:00\.999Z or before; the oldest that is kept is 1, of 1970-01-01T00:00:01\.000Z/
    )
  })

  test('has what stood at a path in it', async () => {
    const { past } = await bench()
    expect(await past.snapshot('a', { sequence: 2, path: '/note.txt' })).toMatchObject({
      kind: 'file',
      path: 'note.txt'
    })
    expect(await past.snapshot('a', { path: '' })).toMatchObject({ kind: 'folder', path: '' })
    for (const path of ['no.txt', 'note.txt/below', '../b']) {
      expect(await past.snapshot('a', { path }).then(() => 'found', codeOf), path).toBe('NOT_FOUND')
    }
  })
})

test('a moment long ago is looked for page by page, and a sequence is looked up', async () => {
  const { repository, past } = await bench()
  const { root, blocks } = await snapshot({ 'note.txt': 'the same' })
  let last: SignedHead | null = null
  for (let turn = 1; turn <= 700; turn++) {
    last = await headAfter(last, root, { workspace: CARL, createdAtMs: 1000 * turn })
    await repository.publish(last, blocks, accept)
  }
  const asked = vi.spyOn(repository, 'history')
  const limits = (): number[] => asked.mock.calls.map(([, { limit }]) => limit)
  const at = (wish: object): Promise<number | string> =>
    past.snapshot('c', { path: '', ...wish }).then(({ head }) => head.sequence, codeOf)
  expect(await at({ at: new Date(1500).toISOString() })).toBe(1)
  expect(await at({ at: new Date(256_000).toISOString() })).toBe(256)
  expect(await at({ at: new Date(10).toISOString() })).toBe('NOT_FOUND')
  expect(Math.max(...limits())).toBeLessThanOrEqual(256)
  asked.mockClear()
  expect(await at({ sequence: 3 })).toBe(3)
  expect(await at({ sequence: 701 })).toBe('NOT_FOUND')
  expect(await at({ sequence: Number.MAX_SAFE_INTEGER })).toBe('NOT_FOUND')
  expect(limits()).toEqual([1, 1, 1])
})

test('an export has one root and all below it, and stands in the audit log', async () => {
  const { past, heads, audited } = await bench()
  const { roots, blocks } = await carFrom(past.export(EVE, 'a', { sequence: 1, path: '' }))
  expect(roots).toEqual([String(heads[0]?.value.root)])
  expect(blocks).toHaveLength(5)
  expect(blocks[0]).toBe(roots[0])
  const part = await carFrom(past.export(EVE, 'a', { sequence: 1, path: 'same.txt' }))
  expect(part.blocks).toHaveLength(2)
  expect(audited.map(({ actor, action, target, details }) => [actor, action, target, details.path])).toEqual([
    ['eve', 'workspace.export', ADA, ''],
    ['eve', 'workspace.export', ADA, 'same.txt']
  ])
})

test('an export of all has the tips and their signed heads, and what they share once', async () => {
  const { upkeep, heads, ofBob } = await bench()
  const { roots, blocks } = await carFrom(upkeep.export(EVE))
  expect(new Set(roots)).toEqual(new Set([String(heads[2]?.value.root), String(ofBob.value.root)]))
  expect(blocks).toEqual(expect.arrayContaining([String(heads[2]?.cid), String(ofBob.cid)]))
  expect(new Set(blocks).size).toBe(blocks.length)
})

test('what a home refuses is told as the last thing, and stands in the audit log as failed', async () => {
  const { past, audited, heads } = await bench()
  const views: RestoreView[] = []
  const going = async (): Promise<void> => {
    for await (const view of past.restore(EVE, 'a', { sequence: 1, path: '' })) views.push(view)
  }
  expect(await going().then(() => 'restored', codeOf)).toBe('REFUSED_BY_POLICY')
  expect(views).toEqual([{ state: 'working' }])
  const details = { from: String(heads[0]?.cid), path: '', error: 'REFUSED_BY_POLICY' }
  expect(audited).toEqual([{ actor: 'eve', action: 'workspace.restore.failed', target: ADA, details }])
})
