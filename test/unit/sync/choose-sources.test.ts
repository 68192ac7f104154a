import { expect, test } from 'vitest'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { chooseSources, needsHolders, type SourceFacts } from '../../../src/sync/choose-sources.ts'

const peers = (names: string): PeerIdText[] => names.split('').map((name) => name as PeerIdText)
const near = (zones: Readonly<Record<string, string | null>>): SourceFacts['near'] =>
  new Map(Object.entries(zones).map(([name, zone]) => [name as PeerIdText, zone]))

/** The home h, the standbys s (this one), t and u, all within reach, all with the head. */
const facts = (changes: Partial<SourceFacts> = {}): SourceFacts => ({
  self: 's' as PeerIdText,
  zone: 'hall',
  home: 'h' as PeerIdText,
  standbys: peers('stu'),
  near: near({ h: null, t: null, u: null }),
  holders: peers('tu'),
  ...changes
})

test.each<[string, Partial<SourceFacts>, string]>([
  ['the home goes before standbys', {}, 'htu'],
  ['the same zone goes before the home', { near: near({ h: 'attic', t: 'cellar', u: 'hall' }) }, 'uht'],
  ['a home in the same zone goes first', { near: near({ h: 'hall', t: 'hall', u: null }) }, 'htu'],
  ['without a zone of its own, none is the same', { zone: null, near: near({ h: 'hall', u: null }) }, 'hu'],
  ['a standby that is not said to hold the head is not asked', { holders: peers('u') }, 'hu'],
  ['one out of reach is not asked', { near: near({ u: null }) }, 'u'],
  [
    'who may not have the workspace is not asked, whoever names it',
    { near: near({ x: 'hall' }), holders: peers('x') },
    ''
  ],
  ['it never asks itself', { near: near({ s: 'hall', h: null }), holders: peers('s') }, 'h'],
  ['nobody has it', { home: null, standbys: [] }, '']
])('%s', (_, changes, expected) => {
  expect(chooseSources(facts(changes)).join('')).toBe(expected)
})

test('who holds a head is asked only where another standby could be of use', () => {
  expect(needsHolders(facts())).toBe(true)
  expect(needsHolders(facts({ near: near({ h: 'hall' }) }))).toBe(false)
  expect(needsHolders(facts({ standbys: peers('s'), near: near({ h: null, s: null }) }))).toBe(false)
})
