import { expect, test } from 'vitest'
import { nameOf, settled } from '../handover/fleet.ts'
import { CoordinatorOf } from './coordinator-of.ts'

test('what an instance can no longer run goes to those that can, as home and as standby', async () => {
  using coordinator = await CoordinatorOf.serving(['a', 'b', 'c'])
  const { at } = coordinator
  const workspace = await at.workspaceAt('a', ['b'])
  const standbys = (): string[] => (at.table.get(workspace)?.signed.value.standbys ?? []).map(nameOf)
  coordinator.redeclared()
  await settled()
  expect([coordinator.homes(workspace), standbys()]).toEqual([['a'], ['b']])

  at.fleet.unfit.set('b', 'it has version 1, and 2 is declared')
  coordinator.redeclared()
  await expect.poll(standbys).toEqual(['c'])
  expect(coordinator.homes(workspace)).toEqual(['a'])

  at.fleet.unfit.set('a', 'it has version 1, and 2 is declared')
  coordinator.redeclared()
  await expect.poll(() => coordinator.homes(workspace)).toEqual(['c'])
  await expect.poll(standbys).toEqual([])
})

test('and stays where nobody can run it', async () => {
  using coordinator = await CoordinatorOf.serving(['a', 'b'])
  const workspace = await coordinator.at.workspaceAt('a', ['b'])
  for (const name of ['a', 'b'] as const) coordinator.at.fleet.unfit.set(name, 'it has no label gpu=yes')
  coordinator.redeclared()
  await settled()
  expect([coordinator.homes(workspace), coordinator.at.director.state(workspace).state]).toEqual([['a'], 'serving'])
})
