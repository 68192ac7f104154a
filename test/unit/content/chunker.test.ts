import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CHUNK, chunks } from '../../../src/content/chunker.ts'
import { collected, noise, sliced, whole } from './support.ts'

const MIB = 1024 * 1024
const input = noise(8 * MIB, 'chunker')

const lengthsOf = async (source: AsyncIterable<Uint8Array>): Promise<number[]> =>
  (await collected(chunks(source))).map((chunk) => chunk.length)

const expected = await lengthsOf(whole(input))

test('chunks put together are the source, and only the last may be short', async () => {
  const all = await collected(chunks(sliced(input, [100_000, 1, 333_333])))
  expect(Buffer.concat(all).equals(input)).toBe(true)
  for (const chunk of all.slice(0, -1)) expect(chunk.length).toBeGreaterThanOrEqual(CHUNK.minBytes)
  for (const chunk of all) expect(chunk.length).toBeLessThanOrEqual(CHUNK.maxBytes)
})

test('chunks are on average about as long as they should be', () => {
  expect(expected.length).toBeGreaterThan((8 * MIB) / CHUNK.averageBytes / 1.4)
  expect(expected.length).toBeLessThan(((8 * MIB) / CHUNK.averageBytes) * 1.4)
})

test('boundaries do not depend on how the source is sliced', async () => {
  const length = fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 60_000, max: 2 * MIB }))
  await fc.assert(
    fc.asyncProperty(fc.array(length, { minLength: 1, maxLength: 12 }), async (lengths) => {
      expect(await lengthsOf(sliced(input, lengths))).toEqual(expected)
    }),
    { numRuns: 30 }
  )
})

test.each([CHUNK.minBytes, CHUNK.averageBytes, CHUNK.maxBytes, CHUNK.minBytes - 1])(
  'slices of %d bytes, where one part of a chunk turns into the next, make the same boundaries',
  async (length) => expect(await lengthsOf(sliced(input, [length]))).toEqual(expected)
)

test('bytes without any boundary are cut at the greatest length', async () => {
  expect(await lengthsOf(sliced(new Uint8Array(CHUNK.maxBytes * 2 + 5), [70_000]))).toEqual([
    CHUNK.maxBytes,
    CHUNK.maxBytes,
    5
  ])
})

test('each chunk begins with a hash of zero, whatever came before', async () => {
  // The table has 24 leading zero bits for 23, so that this byte alone, right after the shortest length, is a boundary.
  const chunk = [...new Uint8Array(CHUNK.minBytes), 23]
  const bytes = Uint8Array.from([...new Uint8Array(CHUNK.maxBytes), ...chunk, ...chunk])
  expect(await lengthsOf(whole(bytes))).toEqual([CHUNK.maxBytes, CHUNK.minBytes + 1, CHUNK.minBytes + 1])
})

test('no bytes make no chunk, also in empty slices', async () => {
  async function* empty(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(0)
    yield new Uint8Array(0)
  }
  expect(await lengthsOf(empty())).toEqual([])
})

test('a chunk within one slice is not copied', async () => {
  const small = noise(5000)
  expect(await collected(chunks(whole(small)))).toEqual([small])
  const [chunk] = await collected(chunks(whole(small)))
  expect(chunk?.buffer).toBe(small.buffer)
  const [first] = await collected(chunks(whole(input)))
  expect(first?.buffer).toBe(input.buffer)
})
