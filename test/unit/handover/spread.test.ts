import { expect, onTestFinished, test } from 'vitest'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { Spread } from '../../../src/handover/spread.ts'
import { eventually } from '../../tools/eventually.ts'
import { type Bench, bench, type Name, nameOf, peerOf, receiptFrom, settled } from './fleet.ts'

const ZONES: readonly (readonly [Name, string])[] = [
  ['a', 'hall'],
  ['b', 'hall'],
  ['c', 'cellar']
]

interface Spreading extends Bench {
  readonly spread: Spread
  readonly workspace: WorkspaceId
  standbys(): string[]
}

/** A workspace at home in the hall with a standby beside it, and c, in the cellar, which has just come. */
async function spreading(zones = ZONES): Promise<Spreading> {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'])
  for (const [name, zone] of zones) at.fleet.zones.set(name, zone)
  at.fleet.serving.add('c')
  const spread = new Spread({ ...at, instances: at.fleet, usedBytes: () => 1000, log: silent })
  onTestFinished(() => spread.close())
  const standbys = (): string[] => (at.table.get(workspace)?.signed.value.standbys ?? []).map(nameOf)
  return { ...at, spread, workspace, standbys }
}

test('a standby beside its home moves to another zone, once what it holds is there', async () => {
  const at = await spreading()
  at.fleet.fail('follow c')
  at.spread.look()
  await settled()
  expect(at.standbys()).toEqual(['b', 'c'])
  expect(at.fleet.effects).not.toContain('release b')
  const tip = await at.repository.tip(at.workspace)
  if (tip === null) throw new Error('no head')
  at.holdings.note(await receiptFrom('c', tip.head))
  await eventually(at.standbys).toEqual(['c'])
  await settled()
  expect(at.fleet.effects).toContain('release b')
  expect(at.exchanges.size).toBe(0)
})

test('the home knows the new standby before that is told: it asks there for what it lacks', async () => {
  const at = await spreading()
  at.spread.look()
  await eventually(at.standbys).toEqual(['c'])
  expect(at.fleet.effects.indexOf('assume a')).toBeGreaterThanOrEqual(0)
  expect(at.fleet.effects.indexOf('assume a')).toBeLessThan(at.fleet.effects.indexOf('follow c'))
})

test('other work on the workspace meanwhile drops neither of the two', async () => {
  const at = await spreading()
  at.fleet.fail('follow c')
  at.spread.look()
  await settled()
  await at.director.tend(at.workspace)
  expect(at.standbys()).toEqual(['b', 'c'])
})

test('a new standby that goes away leaves everything as it was', async () => {
  const at = await spreading()
  at.fleet.fail('follow c')
  at.spread.look()
  await settled()
  at.fleet.serving.delete('c')
  at.clock.advance(5000)
  await eventually(at.standbys).toEqual(['b'])
  await settled()
  expect(at.exchanges.size).toBe(0)
})

test.each<[string, readonly (readonly [Name, string])[]]>([
  ['all are in one zone', ZONES.map(([name]) => [name, 'hall'])],
  ['nothing is said of zones', []],
  ['the standby is elsewhere already', [...ZONES, ['b', 'attic']]]
])('nothing moves where %s', async (_, zones) => {
  const at = await spreading(zones)
  at.spread.look()
  await settled()
  expect(at.standbys()).toEqual(['b'])
  expect(at.fleet.effects).toEqual([])
})

test('a standby whose zone goes away is replaced, wherever there is room', async () => {
  const at = await spreading()
  at.spread.look()
  await eventually(at.standbys).toEqual(['c'])
  await settled()
  at.fleet.serving.delete('c')
  await at.director.tend(at.workspace)
  expect(at.standbys()).toEqual(['b'])
  at.spread.look()
  await settled()
  expect(at.standbys()).toEqual(['b'])
  expect(at.home(at.workspace)).toBe(nameOf(peerOf('a')))
})

test('a standby whose zone is not known because it is away for a moment stays', async () => {
  const at = await spreading([
    ['a', 'hall'],
    ['b', 'cellar'],
    ['c', 'attic']
  ])
  at.fleet.serving.delete('b')
  at.fleet.awaited.add('b')
  at.spread.look()
  await settled()
  expect(at.standbys()).toEqual(['b'])
})
