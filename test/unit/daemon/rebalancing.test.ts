import { expect, onTestFinished, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import type { UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { Changes } from '../../../src/daemon/changes.ts'
import { LiveHandovers } from '../../../src/daemon/handovers.ts'
import { openRebalancer } from '../../../src/daemon/rebalancing.ts'
import type { Decision } from '../../../src/membership/audit.ts'
import { bench, type Name, nameOf, peerOf, settled } from '../handover/fleet.ts'

const CALLER = { actor: 'root', role: 'admin' } as const

/** Four workspaces at `a`, each with a standby at `b`; `c` is new and empty. */
async function crowded(names: readonly Name[] = ['a', 'b', 'c']) {
  const at = await bench(names)
  const workspaces: WorkspaceId[] = []
  for (const user of ['one', 'two', 'three', 'four']) {
    workspaces.push(await at.workspaceAt('a', ['b'], `user:${user}` as UserId))
  }
  const world = { draining: false, waiting: false, inUse: new Set<WorkspaceId>() }
  const told: Decision[] = []
  const audit = async (decision: Decision): Promise<void> => void told.push(decision)
  const rebalancer = openRebalancer({
    registry: { members: () => names.map((name) => ({ peerId: peerOf(name) })) } as never,
    table: at.table,
    director: at.director,
    holdings: at.holdings,
    fleet: Object.assign(at.fleet, { usedBytes: () => 1000, isDraining: () => world.draining }) as never,
    detector: {
      get isWaiting() {
        return world.waiting
      }
    } as never,
    hold: at.hold,
    doors: { quietMs: () => 60_000, idle: async () => undefined } as never,
    sights: { isBusy: (workspace) => world.inUse.has(workspace) },
    changes: new Changes(),
    audit,
    clock: at.clock,
    log: silent
  })
  onTestFinished(() => rebalancer.close())
  const handovers = new LiveHandovers({ hold: at.hold, rebalancer, fleet: at.fleet, audit })
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 1000) {
      for (let turn = 0; turn < 5; turn++) await settled()
      at.clock.advance(1000)
    }
    for (let turn = 0; turn < 5; turn++) await settled()
  }
  const homes = (): string[] => workspaces.map((workspace) => at.home(workspace)).sort()
  return { at, world, told, rebalancer, handovers, workspaces, pass, homes }
}

test('workspaces pass to those that have fewer, and each keeps a standby', async () => {
  const { at, told, handovers, workspaces, pass, homes } = await crowded()
  const { plan } = handovers.rebalance(CALLER, { plan: true })
  expect(plan.every(({ fromName }) => fromName === 'a')).toBe(true)
  expect(homes()).toEqual(['a', 'a', 'a', 'a'])
  expect(handovers.rebalance(CALLER, {})).toMatchObject({ state: 'moving', plan: [] })
  await pass(60_000)
  expect(homes().filter((home) => home === 'a').length).toBeLessThanOrEqual(2)
  expect(handovers.rebalancing()).toMatchObject({ state: 'idle', moved: plan.length, failed: 0 })
  expect(told.map(({ actor, action }) => `${action} ${actor}`)).toEqual(['rebalance.begin root', 'rebalance.end root'])
  for (const workspace of workspaces) {
    expect(at.director.state(workspace)).toEqual({ state: 'serving' })
    const standbys = (at.table.get(workspace)?.signed.value.standbys ?? []).map(nameOf)
    expect([standbys.length, standbys.includes(at.home(workspace))]).toEqual([1, false])
  }
})

test('nothing moves beside a drain, while an instance is missing, while promotions are held, or of what is in use', async () => {
  const { at, world, handovers, workspaces, pass, homes } = await crowded()
  const reasons: (string | null)[] = []
  const look = async (): Promise<void> => {
    await pass(6000)
    reasons.push(handovers.rebalancing().reason)
  }
  world.draining = true
  handovers.rebalance(CALLER, {})
  await look()
  world.draining = false
  world.waiting = true
  await look()
  world.waiting = false
  at.hold.hold('mass-loss', '3 of 4 vanished')
  await look()
  at.hold.release('mass-loss')
  world.inUse = new Set(workspaces)
  await look()
  expect(reasons).toEqual([
    'a drain is under way',
    expect.stringContaining('may come back'),
    expect.stringContaining('3 of 4 vanished'),
    expect.stringContaining('in use')
  ])
  expect(homes()).toEqual(['a', 'a', 'a', 'a'])
  expect(handovers.stopRebalance(CALLER).state).toBe('waiting')
  await pass(1000)
  expect(handovers.rebalancing()).toMatchObject({ state: 'idle', reason: 'stopped by an admin' })
})

test('an admin confirms what holds promotions, and is told where nothing does', async () => {
  const { at, told, handovers } = await crowded()
  expect(await handovers.confirmFailover(CALLER).then(() => 'confirmed', codeOf)).toBe('REFUSED_BY_POLICY')
  at.hold.hold('mass-loss', '3 of 4 vanished')
  expect(await handovers.confirmFailover(CALLER)).toEqual({ causes: ['mass-loss'] })
  expect(at.hold.reason).toBeNull()
  expect(told).toMatchObject([{ actor: 'root', action: 'failover.confirm', details: { causes: '3 of 4 vanished' } }])
})

test('a standby lets go once another holds the newest head, and not where none does', async () => {
  const { at, workspaces } = await crowded()
  const [workspace] = workspaces as [WorkspaceId]
  const standbys = (): string[] => (at.table.get(workspace)?.signed.value.standbys ?? []).map(nameOf)
  const { signal } = new AbortController()
  at.fleet.fail('follow c')
  const failed = at.director.replaceStandby(workspace, peerOf('b'), peerOf('c'), signal)
  expect(await failed.then(() => 'replaced', codeOf)).toBe('TIMED_OUT')
  expect(standbys()).toContain('b')
  expect(at.fleet.effects).not.toContain('release b')
  await at.director.tend(workspace)

  at.fleet.instead.clear()
  at.fleet.effects.length = 0
  await at.director.replaceStandby(workspace, peerOf('b'), peerOf('c'), signal)
  expect(standbys()).toEqual(['c'])
  expect(at.fleet.effects.indexOf('follow c')).toBeLessThan(at.fleet.effects.indexOf('release b'))
  expect(at.fleet.effects).toContain('release b')
})
