import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PeerIdText, ServiceName } from '../../../src/core/ids.ts'
import { type Candidate, isShortOfRoom, RESERVE_BYTES } from '../../../src/placement/candidate.ts'
import { planRebalance, type RebalanceMove, type RebalanceWorkspace } from '../../../src/placement/plan-rebalance.ts'
import { FILES, instance, peer, workspace } from './support.ts'

const GB = 1e9
const ROUNDS_MAX = 500

const host = (name: string, changes: Partial<Candidate> = {}): Candidate => ({
  ...instance(name, 100 * GB),
  diskTotalBytes: 200 * GB,
  loadPermille: 100,
  ...changes
})

const owned = (number: number, home: string, changes: Partial<RebalanceWorkspace> = {}): RebalanceWorkspace => ({
  workspace: workspace(number),
  service: FILES,
  bytes: 1000,
  home: peer(home),
  standbys: [],
  idle: true,
  ...changes
})

/** So many workspaces at each. */
const spread = (counts: Readonly<Record<string, number>>, changes: Partial<RebalanceWorkspace> = {}) => {
  let number = 0
  return Object.entries(counts).flatMap(([home, count]) =>
    Array.from({ length: count }, () => owned(++number, home, changes))
  )
}

const counted = (workspaces: readonly RebalanceWorkspace[]): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { home } of workspaces) counts[home] = (counts[home] ?? 0) + 1
  return counts
}

/** What is so after the moves. Who was the home stands by. */
function after(
  instances: readonly Candidate[],
  workspaces: readonly RebalanceWorkspace[],
  moves: readonly RebalanceMove[]
): { instances: Candidate[]; workspaces: RebalanceWorkspace[] } {
  const byId = new Map(moves.map((move) => [move.workspace, move]))
  const used = new Map<PeerIdText, number>()
  const use = (whose: PeerIdText, bytes: number): void => void used.set(whose, (used.get(whose) ?? 0) + bytes)
  const changed = workspaces.map((one) => {
    const move = byId.get(one.workspace)
    if (move === undefined) return one
    const holds = one.standbys.some(({ peer: whose }) => whose === move.to)
    if (!holds) use(move.to, one.bytes)
    const others = one.standbys.filter(({ peer: whose }) => whose !== move.to && whose !== move.from)
    if (move.role === 'home')
      return { ...one, home: move.to, standbys: [...others, { peer: move.from, current: true }] }
    use(move.from, -one.bytes)
    return { ...one, standbys: [...others, { peer: move.to, current: true }] }
  })
  return {
    workspaces: changed,
    instances: instances.map((one) => {
      const bytes = used.get(one.peer) ?? 0
      return { ...one, usedBytes: one.usedBytes + bytes, freeBytes: one.freeBytes - bytes }
    })
  }
}

/** Plans and carries out, `max` at a time, until nothing is left to do. */
function settle(instances: readonly Candidate[], workspaces: readonly RebalanceWorkspace[], max = 5) {
  let now = { instances: [...instances], workspaces: [...workspaces] }
  let moved = 0
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const moves = planRebalance(now.instances, now.workspaces, { max })
    if (moves.length === 0) return { ...now, moved }
    moved += moves.length
    now = after(now.instances, now.workspaces, moves)
  }
  throw new Error(`still planning after ${ROUNDS_MAX} rounds`)
}

const plan = (instances: readonly Candidate[], workspaces: readonly RebalanceWorkspace[], max = 1000) =>
  planRebalance(instances, workspaces, { max })

describe('the load', () => {
  test('that is even is left alone, also where it is a little off', () => {
    expect(plan([host('a'), host('b')], spread({ a: 10, b: 10 }))).toEqual([])
    expect(plan([host('a'), host('b')], spread({ a: 105, b: 96 }))).toEqual([])
    expect(plan([host('a'), host('b'), host('c')], spread({ a: 2, b: 1, c: 1 }))).toEqual([])
    expect(plan([host('a')], spread({ a: 50 }))).toEqual([])
    expect(plan([], [])).toEqual([])
  })

  test('passes to an instance that joined: about its share, and no workspace moves between the others', () => {
    const instances = ['a', 'b', 'c', 'new'].map((name) => host(name))
    const { workspaces, moved } = settle(instances, spread({ a: 100, b: 100, c: 100 }))
    const counts = counted(workspaces)
    expect(counts.new).toBeGreaterThanOrEqual(60)
    expect(counts.new).toBeLessThanOrEqual(80)
    expect(moved).toBe(counts.new)
  })

  test('is shared by what each lends', () => {
    const instances = [
      host('a', { capacityBytes: 100 * GB }),
      host('b', { capacityBytes: 300 * GB, freeBytes: 400 * GB })
    ]
    const counts = counted(settle(instances, spread({ a: 80, b: 0 })).workspaces)
    expect(counts.b).toBeGreaterThanOrEqual(54)
    expect(counts.b).toBeLessThanOrEqual(62)
  })

  test('goes to a current standby first, which copies nothing', () => {
    const near = owned(1, 'a', { standbys: [{ peer: peer('b'), current: true }] })
    const far = Array.from({ length: 6 }, (_, index) => owned(index + 2, 'a'))
    const [first] = plan([host('a'), host('b')], [...far, near])
    expect(first).toEqual({
      role: 'home',
      workspace: near.workspace,
      from: 'a',
      to: 'b',
      bytes: 0,
      reason: 'load'
    })
    const behind = owned(1, 'a', { standbys: [{ peer: peer('b'), current: false }] })
    expect(plan([host('a'), host('b')], [behind, ...far])[0]?.bytes).toBe(1000)
  })

  test('is that of each service alone, among those that offer it', () => {
    const photos = 'photos' as ServiceName
    const both = [host('a', { services: [FILES, photos] }), host('b', { services: [FILES] })]
    expect(plan(both, spread({ a: 9 }, { service: photos }))).toEqual([])
    expect(plan(both, spread({ a: 9 }))).not.toEqual([])
  })

  test('never moves a workspace that is in use, nor one whose home is away', () => {
    const instances = [host('a'), host('b')]
    expect(plan(instances, spread({ a: 20 }, { idle: false }))).toEqual([])
    expect(plan(instances, spread({ gone: 20 }))).toEqual([])
  })

  test('never goes to a busy machine, nor to one that takes no newcomers', () => {
    expect(plan([host('a'), host('b', { loadPermille: 5000 })], spread({ a: 20 }))).toEqual([])
    expect(plan([host('a'), host('b', { newcomers: false })], spread({ a: 20 }))).toEqual([])
  })
})

describe('a disk', () => {
  const full = (name: string): Candidate => host(name, { freeBytes: RESERVE_BYTES })
  const standby = (name: string) => [{ peer: peer(name), current: true }]

  test('has passed its mark with less than a tenth of what is lent, or 5 GiB', () => {
    expect(isShortOfRoom(host('a', { capacityBytes: 20 * GB, usedBytes: 18.1 * GB }))).toBe(true)
    expect(isShortOfRoom(host('a', { capacityBytes: 20 * GB, usedBytes: 17.9 * GB }))).toBe(false)
    expect(isShortOfRoom(host('a', { freeBytes: 5 * GB }))).toBe(true)
    expect(isShortOfRoom(host('a', { freeBytes: 6 * GB }))).toBe(false)
  })

  test('that is nearly full gives away what it stands by for first, and only as much as it takes', () => {
    const stood = Array.from({ length: 5 }, (_, index) =>
      owned(index + 1, 'b', { bytes: 3 * GB, standbys: standby('a') })
    )
    const homes = Array.from({ length: 5 }, (_, index) => owned(index + 11, 'a', { bytes: 3 * GB }))
    const moves = plan([full('a'), host('b'), host('c')], [...homes, ...stood])
    const forDisk = moves.filter(({ reason }) => reason === 'disk')
    expect(forDisk.map(({ role, from, to }) => [role, from, to])).toEqual([
      ['standby', 'a', 'c'],
      ['standby', 'a', 'c']
    ])
  })

  test('that is nearly full then gives away what it is home of, if that is idle', () => {
    const homes = [1, 2].map((number) => owned(number, 'a', { bytes: 3 * GB }))
    const instances = [full('a'), host('b')]
    expect(plan(instances, homes).map(({ role, to, reason }) => [role, to, reason])).toEqual([
      ['home', 'b', 'disk'],
      ['home', 'b', 'disk']
    ])
    expect(
      plan(
        instances,
        homes.map((one) => ({ ...one, idle: false }))
      )
    ).toEqual([])
  })

  test('gains nothing where only it can stand by afterwards, and is left alone', () => {
    const homes = [1, 2].map((number) => owned(number, 'a', { bytes: 3 * GB, standbys: standby('b') }))
    expect(plan([full('a'), host('b')], homes).filter(({ reason }) => reason === 'disk')).toEqual([])
    expect(plan([full('a'), host('b'), host('c')], homes).map(({ to, bytes }) => [to, bytes])).toEqual([
      ['b', 0],
      ['b', 0]
    ])
  })

  test('is never filled beyond its mark', () => {
    const tight = host('b', { capacityBytes: 20 * GB, usedBytes: 15 * GB })
    const big = owned(1, 'a', { bytes: 4 * GB })
    expect(plan([full('a'), tight], [big])).toEqual([])
    expect(plan([full('a'), tight, host('c')], [big]).map(({ to }) => to)).toEqual(['c'])
  })
})

describe('whatever there is', () => {
  const NAMES = ['a', 'b', 'c', 'd', 'e'] as const
  const hosts = fc.subarray([...NAMES], { minLength: 1 }).chain((names) =>
    fc.tuple(
      ...names.map((name) =>
        fc
          .record({ lent: fc.integer({ min: 1, max: 200 }), used: fc.integer({ min: 0, max: 100 }) })
          .map(({ lent, used }) =>
            host(name, {
              capacityBytes: lent * GB,
              usedBytes: Math.min(used, lent) * GB,
              freeBytes: 300 * GB,
              diskTotalBytes: 500 * GB
            })
          )
      )
    )
  )
  const many = fc.array(
    fc.record({
      home: fc.constantFrom(...NAMES),
      standby: fc.constantFrom(...NAMES),
      bytes: fc.integer({ min: 0, max: 2 * GB }),
      idle: fc.boolean()
    }),
    { maxLength: 60 }
  )
  const made = (all: readonly { home: string; standby: string; bytes: number; idle: boolean }[]) =>
    all.map(({ home, standby, bytes, idle }, index) =>
      owned(index + 1, home, {
        bytes,
        idle,
        standbys: standby === home ? [] : [{ peer: peer(standby), current: true }]
      })
    )

  test('a plan keeps its bound, names each workspace once, and moves nothing that is in use', () => {
    fc.assert(
      fc.property(hosts, many, fc.integer({ min: 0, max: 10 }), (instances, all, max) => {
        const workspaces = made(all)
        const moves = planRebalance(instances, workspaces, { max })
        expect(moves.length).toBeLessThanOrEqual(max)
        expect(new Set(moves.map((move) => move.workspace)).size).toBe(moves.length)
        for (const { workspace: id, role, from, to } of moves) {
          const one = workspaces.find((other) => other.workspace === id)
          const taker = instances.find((other) => other.peer === to)
          expect(from === to).toBe(false)
          if (role === 'home') expect([one?.home, one?.idle]).toEqual([from, true])
          else expect([one?.standbys[0]?.peer, one?.home === to]).toEqual([from, false])
          expect(taker !== undefined && isShortOfRoom(taker)).toBe(false)
        }
      })
    )
  })

  test('planning again and again comes to an end, and nobody is pushed over its mark', () => {
    fc.assert(
      fc.property(hosts, many, (instances, all) => {
        const short = instances.filter(isShortOfRoom).map(({ peer: whose }) => whose)
        const settled = settle(instances, made(all))
        const newly = settled.instances.filter((one) => isShortOfRoom(one) && !short.includes(one.peer))
        expect(newly).toEqual([])
      })
    )
  })

  test('the same plan comes of the same workspaces, in whatever order the instances are told', () => {
    fc.assert(
      fc.property(hosts, many, (instances, all) => {
        expect(plan([...instances].reverse(), made(all))).toEqual(plan(instances, made(all)))
      })
    )
  })
})

test('a plan for a thousand instances and a hundred thousand workspaces is made while users wait for nothing', () => {
  const instances = Array.from({ length: 1000 }, (_, index) => host(`i${index}`))
  const workspaces = Array.from({ length: 100_000 }, (_, index) => owned(index, `i${index % 500}`))
  const begun = performance.now()
  expect(planRebalance(instances, workspaces, { max: 100 })).toHaveLength(100)
  expect(performance.now() - begun).toBeLessThan(2000)
})
