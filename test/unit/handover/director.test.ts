import { describe, expect, test } from 'vitest'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import type { UserId, WorkspaceId } from '../../../src/core/ids.ts'
import type { Director } from '../../../src/handover/director.ts'
import { ADA, type Bench, bench, FILES, type Name, nameOf, peerOf, receiptFrom, settled } from './fleet.ts'

type MoveOptions = Parameters<Director['move']>[2]

const calmly = (changes: Partial<MoveOptions> = {}): MoveOptions => ({
  idle: async () => undefined,
  signal: new AbortController().signal,
  keepAsStandby: true,
  ...changes
})

const move = (at: Bench, workspace: WorkspaceId, to: Name | null, changes: Partial<MoveOptions> = {}) =>
  at.director.move(workspace, to === null ? null : peerOf(to), calmly(changes))

const standbysOf = (at: Bench, workspace: WorkspaceId): string[] =>
  (at.table.get(workspace)?.signed.value.standbys ?? []).map(nameOf)

describe('a new workspace', () => {
  test('is served by an instance with room, and gets a standby', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.director.create(FILES, ADA)
    await at.director.tend(workspace)
    expect(at.director.state(workspace)).toEqual({ state: 'serving' })
    expect([at.home(workspace), ...standbysOf(at, workspace)].sort()).toEqual(['a', 'b'])
    expect(await at.director.create(FILES, ADA)).toBe(workspace)
  })

  test('is the same for a user who asks twice at once', async () => {
    const at = await bench(['a'])
    const [first, second] = await Promise.all([at.director.create(FILES, ADA), at.director.create(FILES, ADA)])
    expect(second).toBe(first)
    expect(at.fleet.effects.filter((effect) => effect.startsWith('assume'))).toHaveLength(1)
  })

  test('is refused when no instance has room', async () => {
    const at = await bench([])
    expect(await at.director.create(FILES, 'user:bob' as UserId).then(() => 'created', codeOf)).toBe('BUSY')
    expect(at.table.size).toBe(0)
  })
})

describe('a move', () => {
  test('seals before it reads the base, swaps before anybody serves, and ends with a receipt for the base', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    const tip = await at.repository.tip(workspace)
    const moved = await move(at, workspace, 'b')
    expect(at.fleet.effects.slice(0, 4)).toEqual(['freeze a', 'seal 1', 'write ownership', 'assume b'])
    expect(moved).toMatchObject({ workspace, from: peerOf('a'), to: peerOf('b'), epoch: 2 })
    expect(moved.base?.cid.equals(tip?.tip.cid)).toBe(true)
    expect(moved.receipt?.value.head.equals(tip?.tip.cid)).toBe(true)
    expect(at.director.state(workspace)).toEqual({ state: 'serving' })
    expect(standbysOf(at, workspace)).toEqual(['a'])
  })

  test('brings a target that stands by for nothing up to date first, while the home serves on', async () => {
    const at = await bench(['a', 'b', 'c'])
    const workspace = await at.workspaceAt('a', ['b'])
    const seen: string[] = []
    at.fleet.instead.set('follow c', async () => void seen.push(at.director.state(workspace).state))
    await move(at, workspace, 'c')
    expect(seen).toEqual(['moving'])
    expect(at.fleet.effects.slice(0, 5)).toEqual(['write ownership', 'follow b', 'assume a', 'follow c', 'freeze a'])
    expect(at.home(workspace)).toBe('c')
  })

  test('waits for the receipt of the newest head before anything is held', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    const head = await at.publish(workspace)
    const moving = move(at, workspace, 'b')
    await settled()
    expect([at.director.state(workspace).state, at.fleet.effects]).toEqual(['moving', []])
    at.holdings.note(await receiptFrom('b', head))
    await moving
    expect(at.home(workspace)).toBe('b')
  })

  test('of a drain leaves the old home without a role; into the repository it leaves nobody', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    await move(at, workspace, 'b', { keepAsStandby: false })
    expect(at.fleet.effects).toContain('release a')
    at.fleet.serving.delete('a')
    const { to, receipt, base } = await move(at, workspace, null, { keepAsStandby: false })
    expect([to, receipt]).toEqual([null, null])
    expect(base).not.toBeNull()
    expect(at.director.state(workspace).state).toBe('orphaned')
    expect(at.table.get(workspace)?.signed.value).toMatchObject({ home: null, epoch: 3 })
  })

  test('to where it is already is refused', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    expect(await move(at, workspace, 'a').then(() => 'moved', codeOf)).toBe('ILLEGAL_TRANSITION')
    expect(at.director.state(workspace).state).toBe('serving')
  })

  test('the epoch begins at the sealed base, not at the head that the target happens to hold', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    let last = ''
    at.fleet.instead.set('freeze a', async () => {
      last = String((await at.publish(workspace)).cid)
    })
    const moved = await move(at, workspace, 'b')
    expect(String(moved.base?.cid)).toBe(last)
    expect(String(at.table.get(workspace)?.signed.value.base)).toBe(last)
  })
})

describe('a move that fails before the swap leaves the old home serving', () => {
  test.each<[string, (at: Bench) => unknown, Partial<MoveOptions>?]>([
    ['the target does not follow', (at) => at.fleet.fail('follow c')],
    ['the freeze fails', (at) => at.fleet.fail('freeze a')],
    [
      'requests do not end',
      () => undefined,
      {
        idle: async () => {
          throw new NodeDaemonError('TIMED_OUT', 'requests in flight')
        }
      }
    ],
    [
      'the seal fails',
      (at) => {
        at.trouble.seal = true
      }
    ]
  ])('%s', async (_, trouble, changes = {}) => {
    const at = await bench(['a', 'b', 'c'])
    const workspace = await at.workspaceAt('a', ['b'])
    trouble(at)
    expect(await move(at, workspace, 'c', changes).then(() => 'moved', codeOf)).not.toBe('moved')
    await settled()
    expect(at.home(workspace)).toBe('a')
    expect(at.director.state(workspace)).toEqual({ state: 'serving' })
    if (at.fleet.effects.includes('freeze a')) {
      expect(at.fleet.effects.some((effect) => effect === 'thaw a' || effect === 'assume a')).toBe(true)
    }
  })

  test('and one whose swap fails, once the epoch is sealed, serves again in a new epoch', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    at.trouble.swap = true
    expect(await move(at, workspace, 'b').then(() => 'moved', codeOf)).toBe('NO_SPACE')
    await settled()
    expect(at.director.state(workspace)).toEqual({ state: 'serving' })
    expect(at.table.get(workspace)?.signed.value.epoch).toBe(2)
  })

  test('a target that goes away while it catches up is given up', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    await at.publish(workspace)
    const moving = move(at, workspace, 'b').then(() => 'moved', codeOf)
    await settled()
    at.fleet.serving.delete('b')
    at.clock.advance(1000)
    expect(await moving).toBe('OUT_OF_REACH')
    expect(at.director.state(workspace)).toEqual({ state: 'serving' })
  })

  test('a home that cannot be thawed waits until it connects again', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    at.fleet.fail('freeze a')
    at.fleet.fail('thaw a')
    expect(await move(at, workspace, 'b').then(() => 'moved', codeOf)).toBe('TIMED_OUT')
    expect(at.director.state(workspace)).toEqual({ state: 'restoring' })
    at.fleet.instead.clear()
    await at.director.welcome(peerOf('a'))
    expect(at.director.state(workspace)).toEqual({ state: 'serving' })
  })
})

describe('a move that fails after the swap goes on', () => {
  test('with another target where the planned one does not serve, on the same base', async () => {
    const at = await bench(['a', 'b', 'c'])
    const workspace = await at.workspaceAt('a', ['b'])
    const base = (await at.repository.tip(workspace))?.tip.cid
    at.fleet.fail('assume b')
    const moved = await move(at, workspace, 'b')
    expect(moved.to).toBe(at.table.get(workspace)?.signed.value.home)
    expect(at.home(workspace)).not.toBe('b')
    expect(moved.epoch).toBe(3)
    expect(moved.base?.cid.equals(base)).toBe(true)
    expect(at.director.state(workspace)).toEqual({ state: 'serving' })
  })
})

describe('a failover', () => {
  test('promotes the standby that holds most, without asking the dead home', async () => {
    const at = await bench(['a', 'b', 'c'], 2)
    const workspace = await at.workspaceAt('a', ['b', 'c'])
    at.holdings.note(await receiptFrom('c', await at.publish(workspace)))
    at.fleet.serving.delete('a')
    await at.director.failover(workspace, peerOf('a'))
    expect(at.fleet.effects.slice(0, 3)).toEqual(['seal 1', 'write ownership', 'assume c'])
    expect(at.home(workspace)).toBe('c')
    expect(standbysOf(at, workspace)).not.toContain('a')
  })

  test('that is asked for twice happens once', async () => {
    const at = await bench(['a', 'b', 'c'])
    const workspace = await at.workspaceAt('a', ['b'])
    at.fleet.serving.delete('a')
    await Promise.all([at.director.failover(workspace, peerOf('a')), at.director.failover(workspace, peerOf('a'))])
    expect(at.table.get(workspace)?.signed.value.epoch).toBe(2)
    expect(at.fleet.effects.filter((effect) => effect.startsWith('seal'))).toEqual(['seal 1'])
  })

  test('tries another instance when the first one does not serve', async () => {
    const at = await bench(['a', 'b', 'c'])
    const workspace = await at.workspaceAt('a', ['b'])
    at.fleet.serving.delete('a')
    at.fleet.fail('assume b')
    await at.director.failover(workspace, peerOf('a'))
    expect(at.home(workspace)).toBe('c')
    expect(at.director.state(workspace)).toEqual({ state: 'serving' })
    expect(at.table.get(workspace)?.signed.value.epoch).toBe(3)
  })

  test('without anybody keeps the epoch open for the home that comes back', async () => {
    const at = await bench(['a'])
    const workspace = await at.workspaceAt('a')
    at.fleet.serving.delete('a')
    await at.director.failover(workspace, peerOf('a'))
    at.fleet.serving.add('a')
    await at.director.welcome(peerOf('a'))
    expect(at.director.state(workspace).state).toBe('serving')
    expect(at.table.get(workspace)?.signed.value).toMatchObject({ home: peerOf('a'), epoch: 1 })
  })

  test('without anybody leaves an orphan, whom the next instance that comes takes', async () => {
    const at = await bench(['a'])
    const workspace = await at.workspaceAt('a')
    at.fleet.serving.delete('a')
    await at.director.failover(workspace, peerOf('a'))
    expect(at.director.state(workspace).state).toBe('orphaned')
    at.fleet.serving.add('d')
    await at.director.welcome(peerOf('d'))
    expect([at.home(workspace), at.director.state(workspace).state]).toEqual(['d', 'serving'])
  })

  test('that must wait for the end of a lease leaves all as it is, also when others come, and happens then', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    at.fleet.serving.delete('a')
    at.fleet.leased.add('a')
    await at.director.failover(workspace, peerOf('a'))
    at.fleet.serving.add('c')
    await at.director.welcome(peerOf('c'))
    expect(at.fleet.effects.filter((effect) => !effect.startsWith('follow'))).toEqual([])
    at.fleet.leased.clear()
    await at.director.failover(workspace, peerOf('a'))
    expect([at.home(workspace), at.table.get(workspace)?.signed.value.epoch]).toEqual(['b', 2])
  })

  test('that failed at the seal is tried again by itself', async () => {
    const at = await bench(['a', 'b'])
    const workspace = await at.workspaceAt('a', ['b'])
    at.fleet.serving.delete('a')
    at.trouble.seal = true
    expect(await at.director.failover(workspace, peerOf('a')).then(() => 'done', codeOf)).toBe('NO_SPACE')
    expect(at.home(workspace)).toBe('a')
    at.clock.advance(5000)
    await expect.poll(() => at.home(workspace)).toBe('b')
  })

  test('that fails for one workspace keeps no other from its new home', async () => {
    const at = await bench(['a', 'b'], 0)
    const orphans: WorkspaceId[] = []
    for (let number = 0; number < 80; number++) {
      const user = `user:of-${number}` as UserId
      const id = number.toString(16).padStart(32, '0') as WorkspaceId
      await at.table.create(id, { service: FILES, owner: user, home: peerOf('a'), createdAtMs: 1 })
      orphans.push(id)
    }
    at.fleet.serving.delete('a')
    at.trouble.seal = true
    await at.director.adoptOrphans()
    expect(orphans.filter((workspace) => at.home(workspace) === 'b')).toHaveLength(79)
  })

  test('takes the place of a home that comes back: it is told to let go', async () => {
    const at = await bench(['a', 'b', 'c'])
    const workspace = await at.workspaceAt('a', ['b'])
    at.fleet.serving.delete('a')
    await at.director.failover(workspace, peerOf('a'))
    await at.director.tend(workspace)
    at.fleet.serving.add('a')
    at.fleet.effects.length = 0
    await at.director.dismiss(peerOf('a'), workspace)
    expect(at.fleet.effects).toEqual(['release a'])
    await at.director.dismiss(peerOf('b'), workspace)
    expect(at.fleet.effects).toEqual(['release a'])
  })
})

test('who waits for a change of a workspace is woken by it, or ended by the signal', async () => {
  const at = await bench(['a', 'b'])
  const workspace = await at.workspaceAt('a', ['b'])
  const controller = new AbortController()
  const waiting = at.director.changed(workspace, controller.signal)
  await move(at, workspace, 'b')
  await waiting
  const ended = at.director.changed('d'.repeat(32) as WorkspaceId, controller.signal).then(
    () => 'woken',
    () => 'ended'
  )
  controller.abort()
  expect(await ended).toBe('ended')
})
