import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ServiceName } from '../../../src/core/ids.ts'
import { RESERVE_BYTES, roomOf } from '../../../src/placement/candidate.ts'
import {
  badlyPlaced,
  betterSpread,
  chooseHome,
  chooseStandbys,
  chooseSuccessor,
  eligible
} from '../../../src/placement/place.ts'
import { rank } from '../../../src/placement/rendezvous.ts'
import { FILES, instance, peer, workspace } from './support.ts'

const what = (number: number, bytes = 0) => ({ workspace: workspace(number), service: FILES, bytes })
const nobody = (): boolean => false
const KEYS = Array.from({ length: 4000 }, (_, index) => `key ${index}`)
const first = (key: string, nodes: readonly { id: string; weight: number }[]): string =>
  rank(
    key,
    nodes,
    ({ id }) => id,
    ({ weight }) => weight
  )[0]?.id ?? ''
const nodes = (count: number): { id: string; weight: number }[] =>
  Array.from({ length: count }, (_, index) => ({ id: `node ${index}`, weight: 1 }))

describe('ranking', () => {
  test('does not depend on the order in which nodes are told', () => {
    fc.assert(
      fc.property(fc.string(), fc.shuffledSubarray(nodes(8), { minLength: 8 }), (key, shuffled) => {
        expect(
          rank(
            key,
            shuffled,
            ({ id }) => id,
            () => 1
          )
        ).toEqual(
          rank(
            key,
            nodes(8),
            ({ id }) => id,
            () => 1
          )
        )
      })
    )
  })

  test('moves to a new node only what that node takes, and about its share', () => {
    const before = nodes(9)
    const after = nodes(10)
    const moved = KEYS.filter((key) => first(key, before) !== first(key, after))
    for (const key of moved) expect(first(key, after)).toBe('node 9')
    expect(moved.length / KEYS.length).toBeGreaterThan(0.08)
    expect(moved.length / KEYS.length).toBeLessThan(0.12)
  })

  test('moves, when a node leaves, only what that node had, to the one that was second', () => {
    const all = nodes(10)
    const left = all.slice(1)
    for (const key of KEYS) {
      const [best, second] = rank(
        key,
        all,
        ({ id }) => id,
        () => 1
      )
      expect(first(key, left)).toBe(best?.id === 'node 0' ? second?.id : best?.id)
    }
  })

  test('gives each node a share in proportion to its weight, and none without a weight', () => {
    const weighted = [
      { id: 'a', weight: 1 },
      { id: 'b', weight: 3 },
      { id: 'none', weight: 0 }
    ]
    const taken = KEYS.filter((key) => first(key, weighted) === 'b').length
    expect(taken / KEYS.length).toBeGreaterThan(0.72)
    expect(taken / KEYS.length).toBeLessThan(0.78)
    expect(KEYS.some((key) => first(key, weighted) === 'none')).toBe(false)
  })

  test('moves nothing away from a node that becomes heavier', () => {
    const before = nodes(5)
    const after = before.map((node) => (node.id === 'node 3' ? { ...node, weight: 2 } : node))
    for (const key of KEYS) {
      if (first(key, before) === 'node 3') expect(first(key, after)).toBe('node 3')
    }
  })
})

describe('room', () => {
  test('is what is lent and not used, or what the disk has left without the reserve: the smaller', () => {
    expect(roomOf(instance('a', 100))).toBe(100)
    expect(roomOf(instance('a', 100, { usedBytes: 60 }))).toBe(40)
    expect(roomOf(instance('a', 100, { freeBytes: RESERVE_BYTES + 7 }))).toBe(7)
    expect(roomOf(instance('a', 100, { freeBytes: RESERVE_BYTES - 7 }))).toBe(0)
    expect(roomOf(instance('a', 100, { usedBytes: 200 }))).toBe(0)
  })

  test('is needed for more than the workspace has now, and only with those that offer its service', () => {
    const other = instance('other', 1e9, { services: ['photos' as ServiceName] })
    expect(eligible(what(1, 100), [instance('full', 100), other])).toEqual([])
    expect(eligible(what(1, 100), [instance('a', 101), other]).map(({ name }) => name)).toEqual(['a'])
    expect(chooseHome(what(1, 0), [instance('full', 0)])).toBeNull()
  })
})

describe('standbys', () => {
  const all = ['a', 'b', 'c', 'd'].map((name) => instance(name))

  test('are never the home, and no more than there are', () => {
    for (let number = 0; number < 50; number++) {
      const chosen = chooseStandbys(what(number), peer('a'), [], all, 2, nobody)
      expect(chosen).toHaveLength(2)
      expect(chosen).not.toContain('a')
      expect(new Set(chosen).size).toBe(2)
    }
    expect(chooseStandbys(what(1), peer('a'), [], [instance('a')], 2, nobody)).toEqual([])
  })

  test('stay where they are while they may, also on a disk that has become full', () => {
    const tight = [instance('a'), instance('b', 0), instance('c'), instance('d')]
    for (let number = 0; number < 20; number++) {
      expect(chooseStandbys(what(number, 10), peer('a'), [peer('b')], tight, 1, nobody)).toEqual(['b'])
    }
    expect(chooseStandbys(what(1), peer('a'), [peer('gone')], all, 1, nobody)).not.toContain('gone')
  })

  test('that are away for a moment keep their place, but not beside too many others', () => {
    const isAway = (one: string): boolean => one === 'away'
    expect(chooseStandbys(what(1), peer('a'), [peer('away'), peer('gone')], all, 1, isAway)).toEqual(['away'])
    expect(chooseStandbys(what(1), peer('a'), [peer('b'), peer('away')], all, 1, isAway)).toEqual(['b'])
    expect(chooseStandbys(what(1), peer('away'), [peer('away')], all, 1, isAway)).not.toContain('away')
    expect(chooseStandbys(what(1), peer('a'), [], all, 3, isAway)).not.toContain('away')
  })

  test('that are too many are dropped, the newest first', () => {
    expect(chooseStandbys(what(1), peer('a'), [peer('c'), peer('b')], all, 1, nobody)).toEqual(['c'])
    expect(chooseStandbys(what(1), peer('a'), [peer('c')], all, 0, nobody)).toEqual([])
  })

  test('no longer count once one of them is the home', () => {
    const chosen = chooseStandbys(what(1), peer('b'), [peer('b')], all, 1, nobody)
    expect(chosen).toHaveLength(1)
    expect(chosen).not.toContain('b')
  })
})

describe('zones', () => {
  const inZone = (name: string, zone: string | null) => instance(name, 1e9, { zone })
  const HALL = [inZone('a', 'hall'), inZone('b', 'hall'), inZone('c', 'hall')]

  test('a new standby is in another zone than the home, where there is one with room', () => {
    const full = instance('full', 5, { zone: 'attic' })
    for (let number = 0; number < 50; number++) {
      const all = [...HALL, inZone('d', 'cellar'), inZone('e', null), full]
      expect(chooseStandbys(what(number, 10), peer('a'), [], all, 1, nobody)).toEqual(['d'])
    }
  })

  test('several are in zones of their own as far as there are any, and the rank decides within', () => {
    const chosen = new Set<string>()
    for (let number = 0; number < 50; number++) {
      const all = [...HALL, inZone('d', 'cellar'), inZone('e', 'cellar'), inZone('f', 'attic')]
      const [one = '', two = '', three = ''] = chooseStandbys(what(number), peer('a'), [], all, 3, nobody)
      expect([one, two]).toContain('f')
      expect('def').toContain(one)
      expect(['b', 'c', 'd', 'e']).toContain(three)
      chosen.add(one === 'f' ? two : one)
    }
    expect([...chosen].sort()).toEqual(['d', 'e'])
  })

  test('nothing is said of zones: the rank alone decides', () => {
    const bare = ['a', 'b', 'c', 'd'].map((name) => instance(name))
    const some = bare.map((one) => (one.name === 'd' ? { ...one, zone: 'cellar' } : one))
    for (let number = 0; number < 20; number++) {
      expect(chooseStandbys(what(number), peer('a'), [], some, 1, nobody)).toEqual(
        chooseStandbys(what(number), peer('a'), [], bare, 1, nobody)
      )
    }
  })

  test('a standby in the zone of the home is replaced by one of another zone', () => {
    const all = [...HALL, inZone('d', 'cellar')]
    expect(betterSpread(what(1), peer('a'), [peer('b')], all)).toEqual({ add: 'd', drop: 'b' })
    expect(betterSpread(what(1), peer('a'), [peer('d'), peer('b')], all)).toBeNull()
    const attic = [...all, inZone('f', 'attic')]
    expect(betterSpread(what(1), peer('a'), [peer('d'), peer('b')], attic)).toEqual({ add: 'f', drop: 'b' })
  })

  test('nothing is replaced where that is no gain', () => {
    expect(betterSpread(what(1), peer('a'), [peer('b')], HALL)).toBeNull()
    expect(
      betterSpread(what(1), peer('a'), [peer('d')], [...HALL, inZone('d', 'cellar'), inZone('f', 'attic')])
    ).toBeNull()
    expect(
      betterSpread(what(1, 10), peer('a'), [peer('b')], [...HALL, instance('d', 5, { zone: 'cellar' })])
    ).toBeNull()
    expect(betterSpread(what(1), null, [peer('b')], [...HALL, inZone('d', 'cellar')])).toBeNull()
    const unknown = [inZone('a', null), inZone('b', null), inZone('d', 'cellar')]
    expect(betterSpread(what(1), peer('a'), [peer('b')], unknown)).toBeNull()
  })

  test('what was replaced is well placed then: nothing goes back and forth', () => {
    const names = fc.constantFrom('hall', 'cellar', 'attic', null)
    fc.assert(
      fc.property(fc.array(names, { minLength: 2, maxLength: 6 }), fc.integer({ min: 1, max: 3 }), (zones, count) => {
        const all = zones.map((zone, index) => inZone('abcdef'.charAt(index), zone))
        let standbys: readonly string[] = all.slice(1, 1 + count).map(({ peer: one }) => one)
        for (let turn = 0; turn <= count; turn++) {
          const better = betterSpread(what(1), peer('a'), standbys.map(peer), all)
          if (better === null) return
          standbys = [...standbys.filter((one) => one !== better.drop), better.add]
          expect(turn).toBeLessThan(count)
        }
      })
    )
  })

  test('the last standby that adds no zone is found', () => {
    const zones: Record<string, string> = { a: 'hall', b: 'hall', c: 'cellar', d: 'cellar' }
    const zone = (one: string): string | null => zones[one] ?? null
    expect(badlyPlaced(peer('a'), [peer('b'), peer('c')], zone)).toBe('b')
    expect(badlyPlaced(peer('a'), [peer('c'), peer('d')], zone)).toBe('d')
    expect(badlyPlaced(peer('a'), [peer('c'), peer('e')], zone)).toBe('e')
    expect(badlyPlaced(peer('a'), [peer('c')], zone)).toBeUndefined()
  })
})

describe('a successor', () => {
  const held = (peers: Record<string, number>) => (name: string) => peers[name] ?? 0
  const all = ['a', 'b', 'c'].map((name) => instance(name))

  test('is no standby that does not offer the service any more', () => {
    const former = instance('former', 1e9, { services: [] })
    const other = instance('other')
    expect(chooseSuccessor(what(1), [former.peer], () => 1, [former, other])).toBe(other.peer)
    expect(chooseSuccessor(what(1), [former.peer], () => 1, [former])).toBeNull()
  })

  test('is the standby that holds most', () => {
    expect(chooseSuccessor(what(1), [peer('a'), peer('b')], held({ a: 3, b: 5 }), all)).toBe('b')
    expect(chooseSuccessor(what(1), [peer('a'), peer('b')], held({}), all)).toBe('a')
  })

  test('is a standby even where its disk is full, since it has the data already', () => {
    const full = [instance('a', 0), instance('b'), instance('c')]
    expect(chooseSuccessor(what(1, 10), [peer('a')], held({}), full)).toBe('a')
  })

  test('is any other instance with room where no standby is there, and nobody where there is none', () => {
    expect(chooseSuccessor(what(1), [peer('gone')], held({ gone: 9 }), [instance('c')])).toBe('c')
    expect(chooseSuccessor(what(1, 10), [], held({}), [instance('full', 10)])).toBeNull()
    expect(chooseSuccessor(what(1), [peer('gone')], held({}), [])).toBeNull()
  })
})
