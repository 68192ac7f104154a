import { expect, test } from 'vitest'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { groupedReads } from '../../../src/store/grouped-reads.ts'
import type { LevelStore } from '../../../src/store/level.ts'

const bytes = (number: number): Uint8Array => Uint8Array.of(number)

async function noting(): Promise<{ level: LevelStore; asked: string[][]; spoil: (key: string) => void }> {
  const rows = memoryKeyValue()
  await rows.write(
    { put: Array.from({ length: 10 }, (_, index) => [`${index}`, bytes(index)] as const) },
    { durable: true }
  )
  const asked: string[][] = []
  let spoilt = ''
  const level: LevelStore = {
    get: (key) => rows.get(key),
    async getMany(keys) {
      asked.push([...keys])
      await new Promise((resolve) => setImmediate(resolve))
      if (keys.includes(spoilt)) throw new Error('damaged')
      return Promise.all(keys.map((key) => rows.get(key)))
    },
    write: (changes, options) => rows.write(changes, options),
    entries: (range) => rows.entries(range),
    close: async () => undefined
  }
  return {
    level,
    asked,
    spoil: (key) => {
      spoilt = key
    }
  }
}

test('what is asked for meanwhile goes together, and each gets its own', async () => {
  const { level, asked } = await noting()
  const grouped = groupedReads(level)
  const answers = await Promise.all([
    grouped.get('1'),
    grouped.getMany(['2', 'x', '3']),
    grouped.getMany([]),
    grouped.get('4')
  ])
  expect(answers).toEqual([bytes(1), [bytes(2), null, bytes(3)], [], bytes(4)])
  expect(asked).toEqual([['1'], ['2', 'x', '3', '4']])
})

test('a failure is told to whoever asked for what cannot be read, and to nobody else', async () => {
  const { level, spoil } = await noting()
  spoil('3')
  const grouped = groupedReads(level)
  const outcome = (key: string): Promise<unknown> => grouped.get(key).catch(() => 'failed')
  expect(await Promise.all(['1', '2', '3', '4'].map(outcome))).toEqual([bytes(1), bytes(2), 'failed', bytes(4)])
})
