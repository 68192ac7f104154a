import { expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { type Bench, bench, type Name, peerOf, settled } from './fleet.ts'

const move = (at: Bench, workspace: WorkspaceId, to: Name): Promise<string> =>
  at.director
    .move(workspace, peerOf(to), {
      idle: async () => undefined,
      signal: new AbortController().signal,
      keepAsStandby: true
    })
    .then(() => 'moved', codeOf)

test('a failover does not wait until a target has copied everything: the move is given up when the home dies', async () => {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'])
  await at.publish(workspace)
  const moving = move(at, workspace, 'b')
  await settled()
  at.fleet.serving.delete('a')
  const taken = at.director.failover(workspace, peerOf('a'))
  at.clock.advance(1000)
  expect(await moving).toBe('OUT_OF_REACH')
  await taken
  expect([at.home(workspace), at.director.state(workspace).state]).toEqual(['b', 'serving'])
})

test('a home that stays connected but could not be thawed in time is told again', async () => {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'])
  at.fleet.fail('freeze a')
  at.fleet.fail('thaw a')
  expect(await move(at, workspace, 'b')).toBe('TIMED_OUT')
  expect(at.director.state(workspace).state).toBe('restoring')
  at.clock.advance(60_000)
  await expect.poll(() => at.director.state(workspace).state).toBe('serving')
  expect(at.home(workspace)).toBe('a')
})

test('a home that is there and is replaced is told to hand in what it had not published', async () => {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'])
  at.fleet.fail('assume a')
  await at.director.resume(workspace)
  await settled()
  expect(at.home(workspace)).toBe('b')
  expect(at.fleet.effects).toContain('release a')
})

test('an instance is told the rest where one of its workspaces fails', async () => {
  const at = await bench(['a'])
  const workspace = await at.workspaceAt('a')
  at.trouble.seal = true
  at.fleet.fail('assume a')
  await expect(at.director.welcome(peerOf('a'))).resolves.toBeUndefined()
  expect(at.director.state(workspace).state).toBe('restoring')
})
