import { expect, test } from 'vitest'
import { type LevelOperation, LevelWrites } from '../../../src/store/level-writes.ts'

const MIB = 1024 * 1024

/** A database that does one thing at a time, when it is told to. */
class SlowTarget {
  readonly done: string[] = []
  #go = Promise.withResolvers<void>()

  async batch(operations: LevelOperation[], { sync }: { readonly sync: boolean }): Promise<void> {
    await this.#go.promise
    this.done.push(`${operations.map(({ key }) => key).join('')}${sync ? ' synced' : ''}`)
  }

  async flush(): Promise<void> {
    this.done.push('flush')
  }

  go(): void {
    this.#go.resolve()
  }

  fail(): void {
    this.#go.reject(new Error('the disk is gone'))
    this.#go = Promise.withResolvers<void>()
  }
}

const row = (key: string, bytes = 1): { put: [string, Uint8Array][] } => ({ put: [[key, new Uint8Array(bytes)]] })

test('writes that wait share one sync, in the order of the calls', async () => {
  const target = new SlowTarget()
  const writes = new LevelWrites(target)
  const all = ['a', 'b', 'c', 'd'].map((key) => writes.write(row(key), { durable: key !== 'b' }))
  target.go()
  await Promise.all(all)
  expect(target.done).toEqual(['a synced', 'bcd synced'])
})

test('nothing is synced where nobody asked for it', async () => {
  const target = new SlowTarget()
  target.go()
  await new LevelWrites(target).write(row('a'), { durable: false })
  expect(target.done).toEqual(['a'])
})

test('joined writes stay of bounded size', async () => {
  const target = new SlowTarget()
  const writes = new LevelWrites(target)
  const all = ['a', 'b', 'c', 'd'].map((key) => writes.write(row(key, 2 * MIB - 1024), { durable: false }))
  target.go()
  await Promise.all(all)
  expect(target.done).toEqual(['a', 'bc', 'd'])
})

test('a new log is begun before the database does so by itself, so that a sync covers all that came before', async () => {
  const target = new SlowTarget()
  target.go()
  const writes = new LevelWrites(target)
  for (const key of ['a', 'b', 'c', 'd', 'e']) await writes.write(row(key, 6 * MIB), { durable: false })
  await writes.write(row('f'), { durable: true })
  expect(target.done).toEqual(['a', 'b', 'c', 'flush', 'd', 'e', 'f synced'])
})

test('a durable write of nothing makes durable what was written before', async () => {
  const target = new SlowTarget()
  target.go()
  const writes = new LevelWrites(target)
  await writes.write(row('a'), { durable: false })
  await writes.write({}, { durable: true })
  expect(target.done).toEqual(['a', 'flush'])
})

test('a write that fails is told to all who were joined in it, and to nobody else', async () => {
  const target = new SlowTarget()
  const writes = new LevelWrites(target)
  const first = writes.write(row('a'), { durable: true })
  const second = writes.write(row('b'), { durable: true })
  target.fail()
  await expect(first).rejects.toThrow('the disk is gone')
  target.go()
  await expect(second).resolves.toBeUndefined()
  expect(target.done).toEqual(['b synced'])
})
