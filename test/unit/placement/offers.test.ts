import { describe, expect, test } from 'vitest'
import type { ServiceName } from '../../../src/core/ids.ts'
import { areCompatible, type Declared, type Offering, runnable } from '../../../src/placement/offers.ts'

const WIKI = 'wiki' as ServiceName
const PHOTOS = 'photos' as ServiceName

describe('versions', () => {
  test.each([
    ['1', '1.9.3'],
    ['v2.4.1', '2'],
    ['2.0.0-rc1', '2.3'],
    ['0.4.1', '0.4.9'],
    ['010.1', '10'],
    ['2024-05-06', '2024-07-01'],
    ['nightly', 'nightly']
  ])('%s and %s go on with each other’s files', (one, other) => {
    expect([areCompatible(one, other), areCompatible(other, one)]).toEqual([true, true])
  })

  test.each([
    ['1.9', '2.0'],
    ['0.4.1', '0.5.0'],
    ['0', '1'],
    ['1', '10'],
    ['nightly', 'stable'],
    ['2024a', '2024b'],
    ['nightly', '1']
  ])('%s and %s do not', (one, other) => {
    expect([areCompatible(one, other), areCompatible(other, one)]).toEqual([false, false])
  })
})

describe('what an instance can run', () => {
  const declared = (changes: Partial<Declared> = {}): Declared => ({
    name: WIKI,
    version: '2.1',
    needs: {},
    scope: 'user',
    ...changes
  })
  const offering = (changes: Partial<Offering> = {}): Offering => ({
    services: [WIKI],
    versions: {},
    labels: {},
    knowsOwners: true,
    ...changes
  })
  const whyNot = (of: Partial<Declared>, by: Partial<Offering>): string | undefined => {
    const { services, unfit } = runnable(offering(by), (name) => (name === WIKI ? declared(of) : null))
    expect(services.includes(WIKI)).toBe(!unfit.has(WIKI))
    return unfit.get(WIKI)
  }

  test('is what it offers, in a compatible version or in one that it does not say', () => {
    expect(whyNot({}, {})).toBeUndefined()
    expect(whyNot({}, { versions: { wiki: '2.0' } })).toBeUndefined()
    expect(whyNot({}, { versions: { photos: '7' } })).toBeUndefined()
    expect(whyNot({}, { versions: { wiki: '1.9' } })).toBe('it has version 1.9, and 2.1 is declared')
  })

  test('is only what it has the labels for', () => {
    const needs = { gpu: 'yes', site: 'freiburg' }
    expect(whyNot({ needs }, { labels: { ...needs, other: 'x' } })).toBeUndefined()
    expect(whyNot({ needs }, { labels: { gpu: 'yes' } })).toBe('it has no label site=freiburg')
    expect(whyNot({ needs }, { labels: { gpu: 'no', site: 'freiburg' } })).toBe('it has no label gpu=yes')
    expect(whyNot({ needs: { constructor: 'x' } }, {})).toBe('it has no label constructor=x')
  })

  test('has no owners that an older instance could not read', () => {
    expect(whyNot({ scope: 'service' }, {})).toBeUndefined()
    expect(whyNot({ scope: 'service' }, { knowsOwners: false })).toMatch(/too old/)
    expect(whyNot({ scope: 'group' }, { knowsOwners: false })).toMatch(/too old/)
    expect(whyNot({ scope: 'user' }, { knowsOwners: false })).toBeUndefined()
  })

  test('is not judged where nothing is declared', () => {
    const { services, unfit } = runnable(offering({ services: [PHOTOS], versions: { photos: '9' } }), () => null)
    expect([services, unfit.size]).toEqual([[PHOTOS], 0])
  })
})
