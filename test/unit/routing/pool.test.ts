import { type Duplex, duplexPair } from 'node:stream'
import { expect, test } from 'vitest'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { type PooledStream, Pools } from '../../../src/routing/pool.ts'
import { ManualClock, until } from './federation.ts'

const HOME = '12D3KooWhome' as PeerIdText
const LIMITS = { streams: 2, queue: 2, connectMs: 1_000, idleMs: 10_000 }

function setUp() {
  const clock = new ManualClock()
  const far: Duplex[] = []
  const pools = new Pools(
    {
      clock,
      tunnel: {
        connect: async () => {
          const [near, other] = duplexPair() as [Duplex, Duplex]
          far.push(other)
          return near
        }
      }
    },
    LIMITS
  )
  return { clock, far, pools }
}

const now = (stream: PooledStream | Promise<PooledStream>): PooledStream => {
  if (stream instanceof Promise) throw new Error('not at once')
  return stream
}

test('the stream used last is used next, at once', async () => {
  const { pools } = setUp()
  const first = await pools.acquire(HOME)
  const second = await pools.acquire(HOME)
  pools.release(HOME, first.stream)
  pools.release(HOME, second.stream)
  expect(now(pools.acquire(HOME))).toEqual({ stream: second.stream, reused: true })
  expect(now(pools.acquire(HOME)).stream).toBe(first.stream)
  expect(first.reused).toBe(false)
})

test('beyond the limit requests queue, are served in order, and beyond the queue refused', async () => {
  const { pools, far } = setUp()
  const [first, second] = await Promise.all([pools.acquire(HOME), pools.acquire(HOME)])
  const third = pools.acquire(HOME)
  const fourth = pools.acquire(HOME)
  await expect(pools.acquire(HOME)).rejects.toThrow(/too many/)
  pools.release(HOME, second.stream)
  expect((await third).stream).toBe(second.stream)
  first.stream.destroy()
  expect((await fourth).reused).toBe(false)
  expect(far).toHaveLength(3)
})

test('an idle stream that ends, or says something unasked, is not used again', async () => {
  const { pools, far } = setUp()
  const [first, second] = await Promise.all([pools.acquire(HOME), pools.acquire(HOME)])
  pools.release(HOME, first.stream)
  pools.release(HOME, second.stream)
  far[0]?.end()
  far[1]?.write('HTTP/1.1 200 OK\r\n\r\n')
  await until(() => first.stream.destroyed && second.stream.destroyed)
  expect((await pools.acquire(HOME)).reused).toBe(false)
})

test('an idle stream is closed after a while, one in use is not', async () => {
  const { pools, clock } = setUp()
  const [idle, used] = await Promise.all([pools.acquire(HOME), pools.acquire(HOME)])
  pools.release(HOME, idle.stream)
  clock.pass(10_000)
  expect(idle.stream.destroyed).toBe(false)
  clock.pass(10_000)
  expect(idle.stream.destroyed).toBe(true)
  expect(used.stream.destroyed).toBe(false)
})

test('a home that does not take a stream in time is out of reach, also for those who queue', async () => {
  const clock = new ManualClock()
  const late = Promise.withResolvers<Duplex>()
  const pools = new Pools({ clock, tunnel: { connect: () => late.promise } }, { ...LIMITS, streams: 1 })
  const outcomes = Promise.allSettled([pools.acquire(HOME), pools.acquire(HOME)])
  clock.pass(1_000)
  for (const outcome of await outcomes) expect(outcome).toMatchObject({ reason: { code: 'OUT_OF_REACH' } })
  const [near] = duplexPair() as [Duplex, Duplex]
  late.resolve(near)
  await until(() => near.destroyed)
})

test('dropping a home breaks its streams and those who queue, and a later request starts anew', async () => {
  const { pools } = setUp()
  const [first, second] = await Promise.all([pools.acquire(HOME), pools.acquire(HOME)])
  const queued = Promise.allSettled([pools.acquire(HOME)])
  pools.drop(HOME)
  expect(first.stream.destroyed && second.stream.destroyed).toBe(true)
  expect((await queued)[0]).toMatchObject({ reason: { code: 'OUT_OF_REACH' } })
  expect((await pools.acquire(HOME)).stream.destroyed).toBe(false)
  pools.close()
  await expect(pools.acquire(HOME)).rejects.toThrow(/closed/)
})
