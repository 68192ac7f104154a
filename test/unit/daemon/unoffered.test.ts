import { expect, test } from 'vitest'
import { silent } from '../../../src/core/log.ts'
import { moveUnoffered } from '../../../src/daemon/unoffered.ts'
import { type Bench, bench, FILES, peerOf } from '../handover/fleet.ts'

const comesBack = (at: Bench, offered: (typeof FILES)[]): Promise<void> =>
  moveUnoffered(
    { ...at, instances: at.fleet, usedBytes: () => 1000, idle: async () => undefined, log: silent },
    peerOf('a'),
    offered
  )

test('what an instance is home of goes elsewhere when it comes back without the service', async () => {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a')
  await comesBack(at, [FILES])
  expect(at.home(workspace)).toBe('a')
  await comesBack(at, [])
  expect([at.home(workspace), at.director.state(workspace).state]).toEqual(['b', 'serving'])
})

test('and stays where nobody else offers it', async () => {
  const at = await bench(['a'])
  const workspace = await at.workspaceAt('a')
  await comesBack(at, [])
  expect([at.home(workspace), at.director.state(workspace).state]).toEqual(['a', 'serving'])
})
