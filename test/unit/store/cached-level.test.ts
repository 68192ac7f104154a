import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { KeyValue } from '../../../src/core/key-value.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { cachedLevel } from '../../../src/store/cached-level.ts'
import type { LevelStore } from '../../../src/store/level.ts'

const bytes = (number: number): Uint8Array => Uint8Array.of(number)

/** A store whose every call takes as many turns as the test says. */
function slowStore(turns: () => number): { level: LevelStore; rows: KeyValue; reads: () => number; fail: () => void } {
  const rows = memoryKeyValue()
  let reads = 0
  let failing = false
  const pause = async (): Promise<void> => {
    for (let left = turns(); left > 0; left--) await Promise.resolve()
  }
  const get = async (key: string): Promise<Uint8Array | null> => {
    reads++
    await pause()
    const found = await rows.get(key)
    await pause()
    return found
  }
  let last: Promise<unknown> = Promise.resolve()
  const level: LevelStore = {
    get,
    getMany: async (keys) => Promise.all(keys.map(get)),
    write(changes, options) {
      const result = last.then(async () => {
        await pause()
        if (failing) throw new Error('no room')
        await rows.write(changes, options)
        await pause()
      })
      last = result.catch(() => undefined)
      return result
    },
    entries: (range) => rows.entries(range),
    close: async () => undefined
  }
  return {
    level,
    rows,
    reads: () => reads,
    fail: () => {
      failing = true
    }
  }
}

test('what was written or read is not asked for again, up to a number', async () => {
  const { level, reads } = slowStore(() => 0)
  const cached = cachedLevel(level, 2)
  await cached.write({ put: [['a', bytes(1)]] }, { durable: false })
  expect(await cached.get('a')).toEqual(bytes(1))
  expect(await cached.getMany(['a', 'b'])).toEqual([bytes(1), null])
  expect(reads()).toBe(1)
  await cached.write(
    {
      put: [
        ['b', bytes(2)],
        ['c', bytes(3)]
      ]
    },
    { durable: false }
  )
  expect(await cached.getMany(['c', 'a', 'b'])).toEqual([bytes(3), bytes(1), bytes(2)])
  expect(reads()).toBe(2)
  await cached.write({ remove: ['b'] }, { durable: false })
  expect(await cached.get('b')).toBeNull()
})

test('large rows are not remembered, and of the others no more than 16 MiB', async () => {
  const { level, reads } = slowStore(() => 0)
  const cached = cachedLevel(level, 100_000)
  await cached.write({ put: [['large', new Uint8Array(5000)]] }, { durable: false })
  expect([(await cached.get('large'))?.length, (await cached.getMany(['large']))[0]?.length]).toEqual([5000, 5000])
  expect(reads()).toBe(2)
  const names = Array.from({ length: 10_000 }, (_, index) => `row ${index}`)
  await cached.write({ put: names.map((name) => [name, new Uint8Array(4000)] as const) }, { durable: false })
  const before = reads()
  const found = await cached.getMany(names)
  expect(found.every((row) => row?.length === 4000)).toBe(true)
  const remembered = names.length - (reads() - before)
  expect(remembered * 4000).toBeLessThanOrEqual(16 * 1024 * 1024)
  expect(remembered * 4000).toBeGreaterThan(15 * 1024 * 1024)
})

test('a row that grew too large to be remembered is told as it is now', async () => {
  const { level } = slowStore(() => 0)
  const cached = cachedLevel(level, 10)
  await cached.write({ put: [['a', bytes(1)]] }, { durable: false })
  await cached.write({ put: [['a', new Uint8Array(5000)]] }, { durable: false })
  expect((await cached.get('a'))?.length).toBe(5000)
})

test('after a write that failed, nothing of it is told', async () => {
  const { level, fail } = slowStore(() => 1)
  const cached = cachedLevel(level, 10)
  await cached.write({ put: [['a', bytes(1)]] }, { durable: true })
  fail()
  await expect(cached.write({ put: [['a', bytes(2)]] }, { durable: true })).rejects.toThrow('no room')
  expect(await cached.get('a')).toEqual(bytes(1))
})

test('whatever overlaps, it tells in the end what the store has, and never what was written over before', async () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b'),
    write: fc.boolean(),
    removes: fc.boolean(),
    wait: fc.nat(3)
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 30 }),
      fc.array(fc.nat(4), { minLength: 1 }),
      async (steps, pauses) => {
        let next = 0
        const { level, rows } = slowStore(() => pauses[next++ % pauses.length] ?? 0)
        const cached = cachedLevel(level, 4)
        /** The number of the newest write of a key that is acknowledged. */
        const acknowledged = new Map<string, number>()
        const under: Promise<unknown>[] = []
        for (const [number, { key, write, removes, wait }] of steps.entries()) {
          if (write) {
            const change = removes ? { remove: [key] } : { put: [[key, bytes(number)] as const] }
            under.push(cached.write(change, { durable: false }).then(() => acknowledged.set(key, number)))
          } else {
            const least = acknowledged.get(key) ?? -1
            under.push(
              cached.get(key).then((row) => {
                if (row !== null) expect(row[0]).toBeGreaterThanOrEqual(least)
              })
            )
          }
          for (let left = wait; left > 0; left--) await Promise.resolve()
        }
        await Promise.all(under)
        for (const key of ['a', 'b']) expect(await cached.get(key)).toEqual(await rows.get(key))
      }
    )
  )
})
