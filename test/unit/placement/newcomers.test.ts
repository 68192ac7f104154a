import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { OwnerId, ServiceName } from '../../../src/core/ids.ts'
import type { Candidate } from '../../../src/placement/candidate.ts'
import { homeOfNewcomer, readerOfNothing, whyNoHome, whyNoNewcomers } from '../../../src/placement/newcomers.ts'
import { FILES, instance } from './support.ts'

const GB = 1e9
const OTHER = 'wiki' as ServiceName
const owner = (number: number): OwnerId => `user:u${number}` as OwnerId
const host = (name: string, changes: Partial<Candidate> = {}): Candidate => instance(name, 100 * GB, changes)

/** The names of the homes of so many newcomers. */
const homes = (candidates: readonly Candidate[], count: number): string[] =>
  Array.from({ length: count }, (_, number) => homeOfNewcomer(FILES, owner(number), candidates)?.name ?? 'nobody')

const shareOf = (name: string, found: readonly string[]): number =>
  found.filter((one) => one === name).length / found.length

describe('newcomers', () => {
  test('stay where they are when instances come and go, but for those of whom came or went', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 7 }), fc.nat(), (count, gone, salt) => {
        const all = Array.from({ length: count + 1 }, (_, index) => host(`h${salt}-${index}`))
        const fewer = all.filter((_, index) => index !== gone % all.length)
        const lost = all.find((one) => !fewer.includes(one))?.name
        const [before, after] = [homes(all, 300), homes(fewer, 300)]
        for (const [index, home] of before.entries()) if (home !== lost) expect(after[index]).toBe(home)
        // Adding one of n moves about one in n.
        const moved = before.filter((home, index) => home !== after[index]).length
        expect(Math.abs(moved / 300 - 1 / all.length)).toBeLessThan(0.13)
      }),
      { numRuns: 40 }
    )
  })

  test('go to instances by what they have left', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.nat(), (times, salt) => {
        const found = homes([host(`a${salt}`), instance(`b${salt}`, times * 100 * GB)], 2000)
        expect(Math.abs(shareOf(`b${salt}`, found) - times / (times + 1))).toBeLessThan(0.06)
      }),
      { numRuns: 20 }
    )
  })

  test('go less to those that are busy, and not at all to those that have more work than they can do', () => {
    const at = (loadPermille: number): number => shareOf('a', homes([host('a', { loadPermille }), host('b')], 2000))
    expect(at(900)).toBeCloseTo(0.5, 1)
    expect(at(1500)).toBeCloseTo(1 / 3, 1)
    expect(at(2000)).toBeCloseTo(0.2, 1)
    expect(at(2001)).toBe(0)
    const busy = [host('a', { loadPermille: 9000 }), host('b', { loadPermille: 8000 })]
    expect(homes(busy, 50)).not.toContain('nobody')
  })

  test('do not come to a disk that has passed its mark, nor where an admin wants none', () => {
    const full = host('full', { usedBytes: 96 * GB })
    expect(homes([full, host('b')], 50).every((name) => name === 'b')).toBe(true)
    expect(homes([full], 1)).toEqual(['nobody'])
    expect(homes([host('a', { newcomers: false }), host('b')], 50)).not.toContain('a')
    expect(
      [full, host('a', { newcomers: false }), host('b', { loadPermille: 2500 }), host('c')].map(whyNoNewcomers)
    ).toEqual(['little is left of what it lends', 'its label newcomers=no', 'its load: 2.5 per processor', null])
  })

  test('do not nearly all come to one zone while there is another', () => {
    const big = Array.from({ length: 19 }, (_, index) => host(`big${index}`, { zone: 'one' }))
    const found = homes([...big, host('small', { zone: 'two' })], 2000)
    expect(shareOf('small', found)).toBeCloseTo(0.25, 1)
    expect(shareOf('big0', homes(big, 1000))).toBeCloseTo(1 / 19, 1)
  })

  test('read from where their workspace will be, and from any that offers the service where none takes them', () => {
    const candidates = ['a', 'b', 'c', 'd'].map((name) => host(name))
    for (let number = 0; number < 50; number++) {
      const read = readerOfNothing(FILES, owner(number), candidates)
      expect(read?.name).toBe(homeOfNewcomer(FILES, owner(number), candidates)?.name)
    }
    const full = host('full', { usedBytes: 99 * GB })
    expect(readerOfNothing(FILES, owner(1), [full])?.name).toBe('full')
    expect(readerOfNothing(OTHER, owner(1), candidates)).toBeNull()
  })

  test('are told why nobody takes them', () => {
    const old = host('old', { services: [FILES], unfit: new Map([[OTHER, 'it has version 1, and 2 is declared']]) })
    expect(whyNoHome(OTHER, [old, host('b')])).toBe(
      'no instance takes a new workspace of wiki now (old: it has version 1, and 2 is declared)'
    )
    expect(whyNoHome(FILES, [host('full', { usedBytes: 99 * GB })])).toMatch(/\(full: little is left/)
    expect(whyNoHome(OTHER, [])).toBe('no instance takes a new workspace of wiki now')
  })
})
