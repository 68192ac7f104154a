import { describe, expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { verifyCertificate } from '../../../src/handover/certificate.ts'
import { DrainLedger } from '../../../src/handover/drain-ledger.ts'
import { controlStore } from '../../../src/store/control-store.ts'
import { type Drained, draining, WISH } from './drain-bench.ts'
import { type Bench, bench, FILES, type Name, peerOf, receiptFrom, settled } from './fleet.ts'

const id = (number: number): WorkspaceId => number.toString(16).padStart(32, '0') as WorkspaceId

/** Workspaces at an instance, each with a head. Those stand by that are named. */
async function workspacesAt(at: Bench, home: Name, numbers: readonly number[], standbys: readonly Name[] = []) {
  for (const number of numbers) {
    const user = `user:${number}` as UserId
    await at.table.create(id(number), { service: FILES, owner: user, home: peerOf(home), createdAtMs: 1 })
    await at.table.setStandbys(id(number), 1, standbys.map(peerOf))
    const head = await at.publish(id(number))
    for (const name of standbys) at.holdings.note(await receiptFrom(name, head))
    await at.director.resume(id(number))
  }
  await settled()
  return numbers.map(id)
}

const isOver = ({ state }: { state: string }): boolean => ['drained', 'expired', 'failed', 'cancelled'].includes(state)
const whole = async ({ driver }: Drained): Promise<number> => {
  const verified = await verifyCertificate(driver.report().certificate)
  expect(verified.problems).toEqual([])
  return verified.heads
}

describe('users at work', () => {
  test('are waited for while others are moved, until the deadline leaves just enough time', async () => {
    const at = await bench(['a', 'b'], 1)
    const [first, second] = await workspacesAt(at, 'a', [1, 2], ['b'])
    if (first === undefined || second === undefined) throw new Error('no workspaces')
    const drained = draining(at, 'a', { now: { occupied: new Set([first]) } })
    void drained.driver.run(WISH)
    const waiting = await drained.until(({ waiting }) => waiting.length > 0)
    expect(waiting).toMatchObject({ state: 'draining', waiting: [first], workspaces: { done: 1, total: 2 } })
    expect(waiting.reason).toContain('users are at work')
    expect(waiting.plan).toMatchObject([{ workspace: first, busy: true }])
    expect([at.home(first), at.home(second)]).toEqual(['a', 'b'])
    await drained.until(isOver)
    expect(drained.states).toEqual(['preparing', 'draining', 'drained'])
    // Before the deadline, and not long before.
    expect(at.clock.now()).toBeGreaterThan(40_000)
    expect(at.clock.now()).toBeLessThan(60_000)
    expect(await whole(drained)).toBe(2)
  })

  test('who leave early let the drain end early', async () => {
    const at = await bench(['a', 'b'], 1)
    const [workspace] = await workspacesAt(at, 'a', [1], ['b'])
    if (workspace === undefined) throw new Error('no workspace')
    const drained = draining(at, 'a', { now: { occupied: new Set([workspace]) } })
    void drained.driver.run(WISH)
    await drained.until(({ waiting }) => waiting.length > 0)
    drained.now.occupied.clear()
    await drained.until(isOver)
    expect([drained.driver.state, at.clock.now() < 10_000]).toEqual(['drained', true])
  })
})

describe('what arrives at the target is progress', () => {
  test('a long copy is no stall while bytes arrive, and one where nothing arrives says so', async () => {
    const at = await bench(['a', 'b', 'c'], 1)
    const [workspace] = await workspacesAt(at, 'a', [1])
    if (workspace === undefined) throw new Error('no workspace')
    const drained = draining(at, 'a')
    const { to = null, toName = '' } = drained.driver.preview(WISH).plan[0] ?? {}
    if (to === null) throw new Error('no target')
    // It stands by, and has nothing yet.
    at.holdings.forget(workspace, to)
    void drained.driver.run(WISH)
    for (let turn = 0; turn < 15; turn++) {
      await settled()
      at.clock.advance(1000)
      drained.driver.arrived(to, workspace, 50)
    }
    expect(drained.driver.report()).toMatchObject({ state: 'draining', bytes: { done: 700, total: 1000 } })
    const stalled = await drained.until(({ state }) => state === 'stalled')
    expect(stalled.reason).toMatch(/^nothing arrives at [bc]$/)
    drained.driver.arrived(to, workspace, 50)
    await drained.until(({ state }) => state === 'draining')
    const tip = await at.repository.tip(workspace)
    if (tip !== null) at.holdings.note(await receiptFrom(toName as Name, tip.head))
    await drained.until(isOver)
    expect(drained.driver.state).toBe('drained')
    expect(drained.states).toEqual(['preparing', 'draining', 'stalled', 'draining', 'drained'])
  })
})

describe('a drain goes on', () => {
  test('after the coordinator was started anew, and proves also what was handed over before', async () => {
    const at = await bench(['a', 'b'], 1)
    const [first, second, third] = await workspacesAt(at, 'a', [1, 2, 3], ['b'])
    if (first === undefined || second === undefined || third === undefined) throw new Error('no workspaces')
    const store = controlStore(memoryKeyValue())
    const before = draining(at, 'a', { store, now: { occupied: new Set([second, third]) } })
    void before.driver.run(WISH)
    await before.until(({ workspaces }) => workspaces.done === 1)
    // Swapped, and gone before that was proven.
    await at.director.move(third, peerOf('b'), {
      idle: async () => undefined,
      signal: AbortSignal.timeout(10_000),
      keepAsStandby: false
    })
    const ledger = (await DrainLedger.load(store)).get(peerOf('a'))
    if (ledger === undefined) throw new Error('nothing was kept')
    const after = draining(at, 'a', { ledger })
    void after.driver.run({ ...WISH, deadlineMs: 30_000 }, { resumed: true })
    await after.until(isOver)
    expect(after.driver.report().state).toBe('drained')
    expect(await whole(after)).toBe(3)
  })

  test('once its instance is back, and waits to be told where all was done meanwhile', async () => {
    const at = await bench(['a', 'b'], 1)
    const [workspace] = await workspacesAt(at, 'a', [1], ['b'])
    if (workspace === undefined) throw new Error('no workspace')
    const drained = draining(at, 'a', { now: { inFlight: true } })
    void drained.driver.run(WISH)
    await settled()
    at.fleet.serving.delete('a')
    const stalled = await drained.until(({ state }) => state === 'stalled')
    expect(stalled.reason).not.toBe('')
    await at.director.failover(workspace, peerOf('a'))
    const done = await drained.until(({ reason }) => reason.includes('waited for to be told'))
    expect(done.state).toBe('draining')
    at.fleet.serving.add('a')
    await drained.until(isOver)
    expect(drained.driver.state).toBe('drained')
    expect(await whole(drained)).toBe(1)
  })

  test('ends without it at the deadline: nothing is unproven', async () => {
    const at = await bench(['a', 'b'], 1)
    const [workspace] = await workspacesAt(at, 'a', [1], ['b'])
    if (workspace === undefined) throw new Error('no workspace')
    const drained = draining(at, 'a', { now: { inFlight: true } })
    void drained.driver.run(WISH)
    await settled()
    at.fleet.serving.delete('a')
    await at.director.failover(workspace, peerOf('a'))
    await drained.until(isOver)
    expect([drained.driver.state, await whole(drained)]).toEqual(['drained', 1])
    expect(at.clock.now()).toBeGreaterThan(55_000)
  })

  test('with another target where the first one goes away', async () => {
    const at = await bench(['a', 'b', 'c'], 1)
    const [workspace] = await workspacesAt(at, 'a', [1], ['b'])
    if (workspace === undefined) throw new Error('no workspace')
    at.fleet.instead.set('freeze a', async () => {
      at.fleet.serving.delete('b')
      at.fleet.instead.delete('freeze a')
    })
    const drained = draining(at, 'a')
    void drained.driver.run(WISH)
    await drained.until(isOver)
    expect([drained.driver.state, at.home(workspace)]).toEqual(['drained', 'c'])
  })
})

describe('a drain does not take a moment for the end', () => {
  test('others that are away for a moment are waited for before anything goes into the repository', async () => {
    const at = await bench(['a', 'b'], 1)
    const [workspace] = await workspacesAt(at, 'a', [1], ['b'])
    if (workspace === undefined) throw new Error('no workspace')
    at.fleet.serving.delete('b')
    const drained = draining(at, 'a', { now: { othersAway: true } })
    void drained.driver.run(WISH)
    await drained.until(() => at.clock.now() >= 5000)
    expect(drained.driver.state).toBe('preparing')
    at.fleet.serving.add('b')
    drained.now.othersAway = false
    await drained.until(isOver)
    expect([drained.driver.state, at.home(workspace)]).toEqual(['drained', 'b'])
  })

  test('those that stay away are not waited for for ever', async () => {
    const at = await bench(['a'], 0)
    const [workspace] = await workspacesAt(at, 'a', [1])
    if (workspace === undefined) throw new Error('no workspace')
    const drained = draining(at, 'a', { now: { othersAway: true } })
    void drained.driver.run(WISH)
    await drained.until(isOver)
    expect([drained.driver.state, at.home(workspace)]).toEqual(['drained', 'null'])
    expect(at.clock.now()).toBeGreaterThanOrEqual(15_000)
  })
})

describe('several at once', () => {
  test.each<[string, readonly Name[], readonly Name[]]>([
    ['half of them', ['a', 'b'], ['c', 'd']],
    ['all but one', ['a', 'b', 'c'], ['d']]
  ])('%s: each is proven, and none hands to another that drains', async (_, leaving, staying) => {
    const at = await bench(['a', 'b', 'c', 'd'], 1)
    const all: WorkspaceId[] = []
    for (const [index, name] of leaving.entries()) {
      const next = leaving[(index + 1) % leaving.length] ?? 'd'
      all.push(...(await workspacesAt(at, name, [10 * index + 1, 10 * index + 2], [next])))
    }
    const drained = leaving.map((name) => draining(at, name))
    for (const { driver } of drained) void driver.run(WISH)
    for (const one of drained) await one.until(isOver)
    expect(drained.map(({ driver }) => driver.state)).toEqual(leaving.map(() => 'drained'))
    for (const one of drained) expect(await whole(one)).toBe(2)
    for (const workspace of all) expect(staying).toContain(at.home(workspace))
  })

  test('a target that begins to drain while it catches up is left alone', async () => {
    const at = await bench(['a', 'b', 'c'], 0)
    const [workspace] = await workspacesAt(at, 'a', [1])
    if (workspace === undefined) throw new Error('no workspace')
    const drained = draining(at, 'a')
    const to = drained.driver.preview(WISH).plan[0]?.toName ?? ''
    at.fleet.instead.set(`follow ${to}`, async () => {
      at.fleet.draining.add(to as Name)
    })
    void drained.driver.run(WISH)
    await drained.until(isOver)
    expect(drained.driver.state).toBe('drained')
    expect(at.home(workspace)).toBe(to === 'b' ? 'c' : 'b')
  })
})

describe('who joins a drain', () => {
  test('hastens it, and the list of what is unproven is exact, with what came late', async () => {
    const at = await bench(['a', 'b'], 1)
    const [workspace] = await workspacesAt(at, 'a', [1], ['b'])
    const drained = draining(at, 'a', { now: { inFlight: true } })
    const running = drained.driver.run({ ...WISH, exits: false })
    await settled()
    const [late] = await workspacesAt(at, 'a', [2], ['b'])
    drained.driver.join({ ...WISH, deadlineMs: 20_000 })
    expect(drained.driver.wish).toMatchObject({ exits: true, deadlineMs: 20_000 })
    await drained.until(({ workspaces }) => workspaces.total === 2)
    await drained.until(isOver)
    expect(await running).toMatchObject({ state: 'expired', exits: true })
    expect([...drained.driver.report().unproven].sort()).toEqual([workspace, late])
    expect(at.clock.now()).toBeLessThan(25_000)
  })
})

test('what is proven must be durable: a proof that cannot be kept is tried again', async () => {
  const at = await bench(['a', 'b'], 1)
  await workspacesAt(at, 'a', [1], ['b'])
  const store = controlStore(memoryKeyValue())
  let failures = 0
  const failing = {
    ...store,
    async transact(changes: Parameters<typeof store.transact>[0]) {
      const isProof = changes.some((change) => change.kind === 'put' && change.value.length > 0)
      if (isProof && failures++ < 2) throw new NodeDaemonError('NO_SPACE', 'the disk is full')
      return await store.transact(changes)
    }
  }
  const drained = draining(at, 'a', { ledger: new DrainLedger(failing, peerOf('a')) })
  void drained.driver.run(WISH)
  await drained.until(isOver)
  expect([drained.driver.state, failures > 2]).toEqual(['drained', true])
  expect((await DrainLedger.load(store)).get(peerOf('a'))?.proofs()).toHaveLength(1)
})
