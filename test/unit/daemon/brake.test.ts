import { describe, expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import type { UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { grantorUntil } from '../../../src/membership/lease.ts'
import { FILES, type Name, nameOf, peerOf, settled } from '../handover/fleet.ts'
import { CoordinatorOf, FAILOVER_AFTER_MS, LEASE_MS, RESTART_GRACE_MS, START_GRACE_MS } from './coordinator-of.ts'

const ALL = ['a', 'b', 'c', 'd'] as const
const USERS = new Map<Name, UserId>(ALL.map((name) => [name, `user:of-${name}` as UserId]))

/** A workspace at each of these, with a standby at `d`. */
async function workspacesAt({ at }: CoordinatorOf, ...homes: readonly Name[]): Promise<WorkspaceId[]> {
  const made: WorkspaceId[] = []
  for (const home of homes) made.push(await at.workspaceAt(home, ['d'], USERS.get(home)))
  return made
}

const epochs = ({ at }: CoordinatorOf, workspaces: readonly WorkspaceId[]): number[] =>
  workspaces.map((workspace) => at.table.get(workspace)?.signed.value.epoch ?? 0)

describe('three of four instances vanish at once', () => {
  test('nothing is promoted, however long it lasts, until an admin confirms', async () => {
    using coordinator = await CoordinatorOf.serving(ALL)
    const workspaces = await workspacesAt(coordinator, 'a', 'b', 'c')
    coordinator.vanish('a', 'b', 'c')
    await coordinator.pass(10 * 60_000)
    expect(coordinator.homes(...workspaces)).toEqual(['a', 'b', 'c'])
    expect(epochs(coordinator, workspaces)).toEqual([1, 1, 1])
    expect(coordinator.at.hold.reason).toContain('3 of 4 instances vanished at once')

    expect(coordinator.at.hold.confirm()).toEqual(['mass-loss'])
    await coordinator.pass(250)
    expect(coordinator.homes(...workspaces)).toEqual(['d', 'd', 'd'])
    expect(coordinator.at.hold.reason).toBeNull()
    expect(await coordinator.told()).toEqual(['brake.engaged federation', 'peer.dead a', 'peer.dead b', 'peer.dead c'])
  })

  test('what needs nobody’s death goes on; moves are refused and say why', async () => {
    using coordinator = await CoordinatorOf.serving(ALL)
    const [workspace] = await workspacesAt(coordinator, 'd')
    coordinator.vanish('a', 'b', 'c')
    await coordinator.pass(FAILOVER_AFTER_MS)
    expect(coordinator.at.hold.holds('mass-loss')).toBe(true)
    const created = await coordinator.at.director.create(FILES, 'user:new' as UserId)
    expect(coordinator.homes(created)).toEqual(['d'])
    const { signal } = new AbortController()
    const moving = coordinator.at.director.move(workspace as WorkspaceId, null, {
      idle: async () => undefined,
      signal,
      keepAsStandby: true
    })
    expect(await moving.then(() => 'moved', codeOf)).toBe('BUSY')
    expect(coordinator.at.director.state(workspace as WorkspaceId)).toEqual({ state: 'serving' })
  })

  test('one that comes back serves in the epoch of before; with two back the last one is given up', async () => {
    using coordinator = await CoordinatorOf.serving(ALL)
    const workspaces = await workspacesAt(coordinator, 'a', 'b', 'c')
    coordinator.vanish('a', 'b', 'c')
    await coordinator.pass(20_000)
    coordinator.connect('a')
    await coordinator.pass(250)
    expect(coordinator.at.director.state(workspaces[0] as WorkspaceId)).toEqual({ state: 'serving' })
    await coordinator.pass(9000)
    expect(coordinator.homes(...workspaces)).toEqual(['a', 'b', 'c'])
    expect(coordinator.at.hold.reason).toContain('2 of 4')

    coordinator.connect('b')
    await coordinator.pass(11_000)
    expect(coordinator.at.hold.reason).toBeNull()
    expect(coordinator.homes(...workspaces)).toEqual(['a', 'b', 'd'])
    expect(epochs(coordinator, workspaces)).toEqual([1, 1, 2])
    expect(await coordinator.told()).toContain('brake.released federation')
  })

  test('a blip that is shorter than the failover promotes nothing and is no mass loss', async () => {
    using coordinator = await CoordinatorOf.serving(ALL)
    const workspaces = await workspacesAt(coordinator, 'a', 'b', 'c')
    coordinator.vanish('a', 'b', 'c')
    await coordinator.pass(FAILOVER_AFTER_MS - 250)
    for (const name of ['a', 'b', 'c'] as const) coordinator.connect(name)
    await coordinator.pass(60_000)
    expect(epochs(coordinator, workspaces)).toEqual([1, 1, 1])
    expect(await coordinator.told()).toEqual([])
  })
})

test('two of four are half of them: both are given up', async () => {
  using coordinator = await CoordinatorOf.serving(ALL)
  const workspaces = await workspacesAt(coordinator, 'a', 'b')
  coordinator.vanish('a', 'b')
  await coordinator.pass(FAILOVER_AFTER_MS + 250)
  expect(coordinator.homes(...workspaces)).toEqual(['d', 'd'])
  expect(coordinator.at.hold.reason).toBeNull()
})

test('one after the other, more slowly than the window: each is given up', async () => {
  using coordinator = await CoordinatorOf.serving(ALL)
  const workspaces = await workspacesAt(coordinator, 'a', 'b', 'c')
  for (const name of ['a', 'b', 'c'] as const) {
    coordinator.vanish(name)
    await coordinator.pass(31_000)
  }
  expect(coordinator.homes(...workspaces)).toEqual(['d', 'd', 'd'])
  expect(await coordinator.told()).toEqual(['peer.dead a', 'peer.dead b', 'peer.dead c'])
})

test('when the first falls silent for good, those that are about to be found silent count too', async () => {
  using coordinator = await CoordinatorOf.serving(ALL)
  const workspaces = await workspacesAt(coordinator, 'a', 'b', 'c')
  // The line to three of them broke; the first of them is found silent.
  await coordinator.pass(1750, ['a', 'b', 'c'])
  coordinator.vanish('a')
  await coordinator.pass(250, ['b', 'c'])
  await coordinator.pass(FAILOVER_AFTER_MS, ['b', 'c'])
  expect(coordinator.homes(...workspaces)).toEqual(['a', 'b', 'c'])
  expect(coordinator.at.hold.reason).toContain('3 of 4')
})

test('those that are drained or said that they stop do not count', async () => {
  using coordinator = await CoordinatorOf.serving(ALL)
  const workspaces = await workspacesAt(coordinator, 'a')
  coordinator.drained('b')
  coordinator.say('c', 'restart')
  coordinator.vanish('a', 'b', 'c')
  await coordinator.pass(FAILOVER_AFTER_MS + 250)
  expect(coordinator.homes(...workspaces)).toEqual(['d'])
  expect(await coordinator.told()).toEqual(['peer.stopping.restart c', 'peer.dead a'])
})

describe('a coordinator that starts', () => {
  /** Four served; then the coordinator went away, and another begins from what it left. */
  async function begun(before: (coordinator: CoordinatorOf) => Promise<void> | void) {
    const state = memoryKeyValue()
    using first = await CoordinatorOf.serving(ALL, state)
    await before(first)
    await first.lastWords.settled()
    const second = await CoordinatorOf.start(ALL, state)
    const workspaces = await workspacesAt(second, 'a', 'b', 'c')
    second.at.fleet.serving.clear()
    second.begin()
    return { second, workspaces }
  }

  test('and finds most of those missing that served at last promotes nothing', async () => {
    const { second, workspaces } = await begun(() => undefined)
    using coordinator = second
    coordinator.connect('d')
    await coordinator.pass(START_GRACE_MS + 60_000)
    expect(coordinator.homes(...workspaces)).toEqual(['a', 'b', 'c'])
    expect(coordinator.at.hold.reason).toContain('3 of 4')
  })

  test('and has no last words, as after an update from a version that kept none, takes homes for serving', async () => {
    using coordinator = await CoordinatorOf.start(ALL)
    const workspaces = await workspacesAt(coordinator, 'a', 'b', 'c')
    coordinator.at.fleet.serving.clear()
    coordinator.begin()
    coordinator.connect('d')
    await coordinator.pass(START_GRACE_MS + 60_000)
    expect(coordinator.homes(...workspaces)).toEqual(['a', 'b', 'c'])
    expect(coordinator.at.hold.reason).toContain('3 of 4')
  })

  test('leaves standbys where they are until it knows that they do not come back', async () => {
    using coordinator = await CoordinatorOf.start(ALL)
    const [workspace] = await workspacesAt(coordinator, 'a')
    const standbys = (): string[] =>
      coordinator.at.table.get(workspace as WorkspaceId)?.signed.value.standbys.map(nameOf) ?? []
    coordinator.at.fleet.serving.clear()
    coordinator.begin()
    for (const name of ['a', 'b', 'c'] as const) coordinator.connect(name)
    await coordinator.pass(START_GRACE_MS - 1000)
    expect([standbys(), coordinator.at.fleet.effects.filter((one) => one.startsWith('release'))]).toEqual([['d'], []])
    await coordinator.pass(2000)
    expect(['b', 'c']).toContain(standbys().join())
  })

  test('gives up one that is missing alone', async () => {
    const { second, workspaces } = await begun(() => undefined)
    using coordinator = second
    for (const name of ['b', 'c', 'd'] as const) coordinator.connect(name)
    await coordinator.pass(START_GRACE_MS + 250)
    expect(coordinator.homes(...workspaces)).toEqual(['d', 'b', 'c'])
    expect(await coordinator.told()).toEqual(['peer.dead a'])
  })

  test('does not ask for those who had been given up before', async () => {
    const { second, workspaces } = await begun(async (first) => {
      for (const name of ['a', 'b', 'c'] as const) {
        first.vanish(name)
        await first.pass(40_000)
      }
    })
    using coordinator = second
    coordinator.connect('d')
    await coordinator.pass(START_GRACE_MS + 250)
    expect(coordinator.homes(...workspaces)).toEqual(['d', 'd', 'd'])
  })

  test('waits for one that was about to come back as long as it would have', async () => {
    const { second, workspaces } = await begun((first) => {
      first.say('a', 'restart')
      first.vanish('a')
    })
    using coordinator = second
    for (const name of ['b', 'c', 'd'] as const) coordinator.connect(name)
    await coordinator.pass(RESTART_GRACE_MS - 1000)
    expect(coordinator.homes(...workspaces)).toEqual(['a', 'b', 'c'])
    await coordinator.pass(2000)
    expect(coordinator.homes(...workspaces)).toEqual(['d', 'b', 'c'])
    expect((await coordinator.told()).at(-1)).toBe('peer.restart-overdue a')
  })
})

describe('told apart to the last line of the audit log', () => {
  test('a restart within its grace costs no epoch', async () => {
    using coordinator = await CoordinatorOf.serving(ALL)
    const workspaces = await workspacesAt(coordinator, 'a')
    coordinator.say('a', 'restart')
    coordinator.vanish('a')
    await coordinator.pass(RESTART_GRACE_MS - 1000)
    coordinator.connect('a')
    await coordinator.pass(RESTART_GRACE_MS)
    expect([coordinator.homes(...workspaces), epochs(coordinator, workspaces)]).toEqual([['a'], [1]])
    expect(await coordinator.told()).toEqual(['peer.stopping.restart a', 'peer.back a'])
    const [back] = await coordinator.audit.list({ limit: 1 })
    expect(back?.details).toEqual({ after: 'restart', awayMs: RESTART_GRACE_MS - 1000 })
  })

  test('one that does not come back in time is replaced, and welcome when it does at last', async () => {
    using coordinator = await CoordinatorOf.serving(ALL)
    const workspaces = await workspacesAt(coordinator, 'a')
    coordinator.say('a', 'restart')
    coordinator.vanish('a')
    await coordinator.pass(RESTART_GRACE_MS + 250)
    expect(coordinator.homes(...workspaces)).toEqual(['d'])
    coordinator.connect('a')
    await coordinator.pass(250)
    expect(await coordinator.told()).toEqual(['peer.stopping.restart a', 'peer.restart-overdue a', 'peer.back a'])
  })

  test('one that crashes after it came back has no grace left of the restart before', async () => {
    using coordinator = await CoordinatorOf.serving(ALL)
    const workspaces = await workspacesAt(coordinator, 'a')
    coordinator.say('a', 'restart')
    coordinator.vanish('a')
    await coordinator.pass(1000)
    coordinator.connect('a')
    await coordinator.pass(250)
    coordinator.vanish('a')
    await coordinator.pass(FAILOVER_AFTER_MS + 250)
    expect(coordinator.homes(...workspaces)).toEqual(['d'])
    expect((await coordinator.told()).at(-1)).toBe('peer.dead a')
  })

  test('one that stops for good, and one that is revoked, are replaced at once and called dead by nobody', async () => {
    using coordinator = await CoordinatorOf.serving(ALL)
    const workspaces = await workspacesAt(coordinator, 'a', 'b')
    coordinator.say('a', 'flush')
    coordinator.vanish('a')
    coordinator.revoke('b')
    coordinator.vanish('b')
    await coordinator.pass(250)
    expect(coordinator.homes(...workspaces)).toEqual(['d', 'd'])
    expect(await coordinator.told()).toEqual(['peer.stopping.flush a', 'peer.taken-over a', 'peer.taken-over b'])
  })

  test('one that went without a word and without a workspace is told of once, not again at each start', async () => {
    using coordinator = await CoordinatorOf.serving(ALL)
    coordinator.vanish('a')
    await coordinator.pass(FAILOVER_AFTER_MS + 250)
    expect(await coordinator.told()).toEqual(['peer.dead a'])
    expect(coordinator.lastWords.of(peerOf('a'))).toBeNull()
    coordinator.begin()
    await coordinator.pass(START_GRACE_MS + 250)
    expect((await coordinator.told()).filter((line) => line === 'peer.dead a')).toHaveLength(1)
  })
})

test('a standby that starts anew keeps its place, also while it has not ended yet', async () => {
  using coordinator = await CoordinatorOf.serving(ALL)
  const [workspace] = await workspacesAt(coordinator, 'a')
  const standbys = (): string[] =>
    coordinator.at.table.get(workspace as WorkspaceId)?.signed.value.standbys.map(nameOf) ?? []
  const tended = async (): Promise<string[]> => {
    await coordinator.at.director.tend(workspace as WorkspaceId)
    return standbys()
  }
  coordinator.say('d', 'restart')
  coordinator.at.fleet.draining.add('d')
  expect(await tended()).toEqual(['d'])
  coordinator.vanish('d')
  expect(await tended()).toEqual(['d'])
  await coordinator.pass(RESTART_GRACE_MS + 250)
  expect(standbys()).not.toContain('d')
})

test('a home that acknowledges by itself lets go before another takes its place', async () => {
  using coordinator = await CoordinatorOf.serving(['a', 'b', 'c', 'd'])
  const { at } = coordinator
  const [workspace] = await workspacesAt(coordinator, 'a')
  at.local.acknowledge = true
  at.fleet.fail('assume a')
  at.fleet.fail('release a')
  await at.director.resume(workspace as WorkspaceId).catch(() => undefined)
  expect(coordinator.homes(workspace as WorkspaceId)).toEqual(['a'])
  expect(at.fleet.effects.filter((effect) => effect.startsWith('seal'))).toEqual([])

  at.fleet.instead.delete('release a')
  await coordinator.pass(6000)
  expect(at.fleet.effects.indexOf('release a')).toBeLessThan(at.fleet.effects.indexOf('seal 1'))
  expect(nameOf(at.table.get(workspace as WorkspaceId)?.signed.value.home)).toBe('d')
  await settled()
})

test('what has to wait for the end of a lease is taken over then', async () => {
  using coordinator = await CoordinatorOf.serving(ALL)
  const { at } = coordinator
  const workspaces = await workspacesAt(coordinator, 'a')
  at.fleet.leased.add('a')
  coordinator.vanish('a')
  await coordinator.pass(FAILOVER_AFTER_MS + 250)
  expect(coordinator.homes(...workspaces)).toEqual(['a'])
  at.fleet.leased.clear()
  await coordinator.pass(grantorUntil(0, LEASE_MS))
  expect(coordinator.homes(...workspaces)).toEqual(['d'])
})
