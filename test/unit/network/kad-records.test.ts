import { expect, test } from 'vitest'
import { KadRecords } from '../../../src/network/kad-records.ts'
import { KAD_LIMITS } from '../../../src/wire/kad.ts'

const key = (content: string, provider: string) => ({ toString: () => `/dht/provider/${content}/${provider}` })
const content = (number: number): string => number.toString(2).replaceAll('0', 'a').replaceAll('1', 'b')
const put = (records: KadRecords, name: string, provider: string): void => {
  records.put(key(name, provider) as Parameters<KadRecords['put']>[0], Uint8Array.of(1))
}
const held = (records: KadRecords, name: string): string[] =>
  [...records.query({ prefix: `/dht/provider/${name}` })].map((one) => one.key.toString().split('/').at(-1) ?? '')

test('the providers of one content are found, and of no other whose name begins alike', () => {
  const records = new KadRecords()
  put(records, 'ab', 'Ada')
  put(records, 'ab', 'Two')
  put(records, 'abc', 'Three')
  put(records, 'ab', 'Ada')
  expect(held(records, 'ab').sort()).toEqual(['Ada', 'Two'])
  expect(records.size).toBe(3)
  expect([...records.query({ prefix: '/dht/provider' })]).toHaveLength(3)
  records.delete(key('ab', 'Ada') as Parameters<KadRecords['delete']>[0])
  expect(held(records, 'ab')).toEqual(['Two'])
})

test('one that provides too much loses its own oldest, and takes nothing from others', () => {
  const records = new KadRecords()
  put(records, 'z', 'Honest')
  for (let number = 1; number <= KAD_LIMITS.recordsOfOneMax + 10; number++) put(records, content(number), 'Greedy')
  expect(records.size).toBe(KAD_LIMITS.recordsOfOneMax + 1)
  expect(held(records, 'z')).toEqual(['Honest'])
  expect(held(records, content(10))).toEqual([])
  expect(held(records, content(11))).toEqual(['Greedy'])
})

test('all together stay within the bound, at the cost of those that have most', () => {
  const records = new KadRecords()
  put(records, 'z', 'Honest')
  for (let provider = 0; provider <= KAD_LIMITS.recordsMax / KAD_LIMITS.recordsOfOneMax; provider++) {
    for (let number = 1; number <= KAD_LIMITS.recordsOfOneMax; number++) {
      put(records, content(number), 'p'.repeat(provider + 1))
    }
  }
  expect(records.size).toBe(KAD_LIMITS.recordsMax)
  expect(held(records, 'z')).toEqual(['Honest'])
})

test('nothing but provider records is kept', () => {
  const other = { toString: () => '/dht/record/abc' } as Parameters<KadRecords['put']>[0]
  expect(() => new KadRecords().put(other, Uint8Array.of(1))).toThrow()
})
