import { expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import type { ServiceName, UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { makeOver } from '../../../src/handover/make-over.ts'
import { type Bench, bench } from './fleet.ts'

const FILES = 'files' as ServiceName
const GUEST = `guest:${'c'.repeat(32)}` as UserId
const ADA = 'user:ada' as UserId
const options = { idle: async () => undefined, signal: new AbortController().signal }

const give = ({ director, table, fleet: instances, hold }: Bench, workspace: WorkspaceId, how = options) =>
  makeOver({ director, table, instances, hold, log: silent }, workspace, ADA, how).then(() => 'given', codeOf)

test("a guest's workspace becomes a named user's where it is: home and standbys are told, nothing is frozen", async () => {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'], GUEST)
  const before = at.table.get(workspace)?.signed.value
  expect(await give(at, workspace)).toBe('given')
  const after = at.table.get(workspace)?.signed.value
  expect(after).toMatchObject({ owner: ADA, epoch: before?.epoch, home: before?.home, standbys: before?.standbys })
  expect(at.table.find(FILES, GUEST)).toBeNull()
  expect(at.fleet.effects).toEqual(['write ownership', 'assume a', 'follow b'])
  expect(at.director.state(workspace).state).toBe('serving')
})

test('no request is under way meanwhile, and all pass again afterwards', async () => {
  const at = await bench(['a'])
  const workspace = await at.workspaceAt('a', [], GUEST)
  const seen: unknown[] = []
  const idle = async (): Promise<undefined> => {
    seen.push(at.director.state(workspace).state, at.table.find(FILES, GUEST))
  }
  expect(await give(at, workspace, { ...options, idle })).toBe('given')
  expect(seen).toEqual(['frozen', workspace])
  expect(at.director.state(workspace).state).toBe('serving')
})

test('one who has a workspace already gets no second one, and the guest keeps theirs', async () => {
  const at = await bench(['a'])
  const own = await at.workspaceAt('a', [], ADA)
  const workspace = await at.workspaceAt('a', [], GUEST)
  expect(await give(at, workspace)).toBe('CONFLICT')
  expect([at.table.find(FILES, ADA), at.table.find(FILES, GUEST)]).toEqual([own, workspace])
  expect(at.director.state(workspace).state).toBe('serving')
})

test('a home that does not hear of it now hears later: the new owner stands', async () => {
  const at = await bench(['a'])
  const workspace = await at.workspaceAt('a', [], GUEST)
  at.fleet.fail('assume a')
  expect(await give(at, workspace)).toBe('given')
  expect(at.table.find(FILES, ADA)).toBe(workspace)
})

test('nothing changes hands while nobody serves it, or while the coordinator does not know what it had signed', async () => {
  const at = await bench(['a'])
  const workspace = await at.workspaceAt('a', [], GUEST)
  at.hold.hold('old-backup', 'members are awaited')
  expect(await give(at, workspace)).toBe('BUSY')
  at.hold.release('old-backup')
  at.fleet.serving.clear()
  expect(await give(at, workspace)).toBe('REFUSED_BY_POLICY')
  expect(at.table.find(FILES, GUEST)).toBe(workspace)
})
