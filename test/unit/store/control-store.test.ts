import { expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import { CONTROL_LIMITS, controlStore } from '../../../src/store/control-store.ts'

const text = (value: string): Uint8Array => Buffer.from(value)
const codeFrom = (work: Promise<unknown>): Promise<string> => work.then(() => 'none', codeOf)

test('a value is changed only by whoever knows its revision', async () => {
  const store = controlStore(memoryKeyValue())
  const first = await store.put('key', text('a'), { ifRevision: 0 })
  expect(await codeFrom(store.put('key', text('b'), { ifRevision: 0 }))).toBe('CONFLICT')
  const second = await store.put('key', text('b'), { ifRevision: first })
  expect(await codeFrom(store.put('key', text('c'), { ifRevision: first }))).toBe('CONFLICT')
  expect(second).toBeGreaterThan(first)
  expect(await store.get('key')).toMatchObject({ revision: second, value: new Uint8Array(text('b')) })
  expect(await store.get('other')).toBeNull()
})

test('a key that was removed and written again does not look unchanged', async () => {
  const store = controlStore(memoryKeyValue())
  const first = await store.put('key', text('a'), { ifRevision: 0 })
  expect(await codeFrom(store.remove('key', { ifRevision: first + 1 }))).toBe('CONFLICT')
  await store.remove('key', { ifRevision: first })
  await store.remove('key', { ifRevision: 'any' })
  await store.put('key', text('a'), { ifRevision: 0 })
  expect(await codeFrom(store.put('key', text('b'), { ifRevision: first }))).toBe('CONFLICT')
})

test('of many that change the same at once, one succeeds', async () => {
  const store = controlStore(memoryKeyValue())
  const codes = await Promise.all(
    Array.from({ length: 10 }, (_, index) => codeFrom(store.put('key', text(`${index}`), { ifRevision: 0 })))
  )
  expect(codes.filter((code) => code === 'none')).toHaveLength(1)
})

test('a transaction changes everything or nothing', async () => {
  const store = controlStore(memoryKeyValue())
  const revision = await store.put('a', text('1'), { ifRevision: 0 })
  const change = (expected: number): Promise<number> =>
    store.transact([
      { kind: 'put', key: 'b', value: text('2'), ifRevision: 0 },
      { kind: 'remove', key: 'a', ifRevision: expected }
    ])
  expect(await codeFrom(change(revision + 1))).toBe('CONFLICT')
  expect(await store.get('b')).toBeNull()
  await change(revision)
  expect(await store.get('a')).toBeNull()
  expect((await store.get('b'))?.value).toEqual(new Uint8Array(text('2')))
})

test('entries are listed by prefix, with revisions that a change accepts', async () => {
  const store = controlStore(memoryKeyValue())
  for (const key of ['w/2', 'w/1', 'x']) await store.put(key, text(key), { ifRevision: 0 })
  const found = []
  for await (const entry of store.list('w/')) found.push(entry)
  expect(found.map(({ key }) => key)).toEqual(['w/1', 'w/2'])
  await store.put('w/1', text('new'), { ifRevision: found[0]?.revision ?? -1 })
})

test('revisions go on where they were after a restart', async () => {
  const rows = memoryKeyValue()
  const revision = await controlStore(rows).put('a', text('1'), { ifRevision: 0 })
  expect(await controlStore(rows).put('b', text('1'), { ifRevision: 0 })).toBeGreaterThan(revision)
})

test('what is too large, or names a key twice, is refused', async () => {
  const store = controlStore(memoryKeyValue())
  const any = { ifRevision: 'any' } as const
  expect(await codeFrom(store.put('k'.repeat(CONTROL_LIMITS.keyBytes + 1), text(''), any))).toBe('TOO_LARGE')
  expect(await codeFrom(store.put('k', new Uint8Array(CONTROL_LIMITS.valueBytes + 1), any))).toBe('TOO_LARGE')
  const twice = [1, 2].map(() => ({ kind: 'put', key: 'k', value: text(''), ...any }) as const)
  expect(await codeFrom(store.transact(twice))).toBe('BAD_REQUEST')
})
