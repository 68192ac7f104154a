import { join } from 'node:path'
import { MemoryLevel } from 'memory-level'
import { describe, expect, onTestFinished, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import { type KeyValue, memoryKeyValue } from '../../../src/core/key-value.ts'
import { levelOver, openLevel, openMemoryLevel } from '../../../src/store/level.ts'
import { temporaryFolder } from './support.ts'

const text = (value: string): Uint8Array => Buffer.from(value)

async function openedLevel(path: string): ReturnType<typeof openLevel> {
  const level = await openLevel(path)
  onTestFinished(() => level.close())
  return level
}

const kinds: readonly [string, () => Promise<KeyValue>][] = [
  ['memory', async () => memoryKeyValue()],
  ['memory-level', async () => openMemoryLevel()],
  ['classic-level', async () => openedLevel(join(await temporaryFolder(), 'level'))]
]

async function keysOf(store: KeyValue, range: Parameters<KeyValue['entries']>[0]): Promise<string[]> {
  const keys: string[] = []
  for await (const [key] of store.entries(range)) keys.push(key)
  return keys
}

describe.each(kinds)('a key-value store: %s', (_, make) => {
  test.each([true, false])('what was written is read back (durable: %s)', async (durable) => {
    const store = await make()
    await store.write(
      {
        put: [
          ['a', text('1')],
          ['empty', text('')]
        ]
      },
      { durable }
    )
    expect(Buffer.from((await store.get('a')) ?? []).toString()).toBe('1')
    expect((await store.get('empty'))?.length).toBe(0)
    expect(await store.get('b')).toBeNull()
    await store.write({ put: [['a', text('2')]], remove: ['empty', 'never there'] }, { durable })
    expect(Buffer.from((await store.get('a')) ?? []).toString()).toBe('2')
    expect(await store.get('empty')).toBeNull()
  })

  test('entries come by UTF-8 bytes, of one prefix, after a key, up to a limit', async () => {
    const store = await make()
    const keys = ['a', 'p', 'p/a', 'p/b', 'p/é', 'p/\u{fffd}', 'p/\u{1f600}', 'q']
    await store.write({ put: keys.toReversed().map((key) => [key, text(key)] as const) }, { durable: false })
    expect(await keysOf(store, { prefix: '' })).toEqual(keys)
    expect(await keysOf(store, { prefix: 'p/' })).toEqual(keys.slice(2, 7))
    expect(await keysOf(store, { prefix: 'p/', after: 'p/b', limit: 2 })).toEqual(['p/é', 'p/\u{fffd}'])
    expect(await keysOf(store, { prefix: 'p/', after: 'a' })).toEqual(keys.slice(2, 7))
  })
})

test('a Level store outlives its closing, and is open once at a time', async () => {
  const path = join(await temporaryFolder(), 'level')
  const first = await openedLevel(path)
  await first.write({ put: [['a', text('1')]] }, { durable: false })
  await first.write({ put: [['b', text('2')]] }, { durable: true })
  expect(await openLevel(path).then(() => 'none', codeOf)).toBe('DATA_FOLDER_IN_USE')
  await first.close()
  expect(await first.get('a').then(() => 'none', codeOf)).toBe('CLOSED')
  const second = await openedLevel(path)
  const values = await second.getMany(['b', 'none', 'a'])
  expect(values.map((value) => (value === null ? null : Buffer.from(value).toString()))).toEqual(['2', null, '1'])
})

test('a value that was changed on disk is told, not returned', async () => {
  const raw = new MemoryLevel<string, Uint8Array>({ keyEncoding: 'utf8', valueEncoding: 'view' })
  const store = levelOver(raw)
  await store.write(
    {
      put: [
        ['a', text('value')],
        ['b', text('other')]
      ]
    },
    { durable: true }
  )
  const bytes = Buffer.from((await raw.get('a')) ?? [])
  for (let index = 0; index < bytes.length; index++) {
    const flipped = Buffer.from(bytes)
    flipped.writeUInt8(flipped.readUInt8(index) ^ 1, index)
    await raw.put('a', flipped)
    expect(await store.get('a').then(() => 'none', codeOf), `byte ${index}`).toBe('INTEGRITY')
    expect(await store.getMany(['b', 'a']).then(() => 'none', codeOf)).toBe('INTEGRITY')
    expect(await keysOf(store, { prefix: '' }).then(() => 'none', codeOf)).toBe('INTEGRITY')
  }
})
