import type { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { type Block, blockOf, RAW_CODEC } from '../../../src/core/blocks.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { codeOf } from '../../../src/core/errors.ts'
import { silent } from '../../../src/core/log.ts'
import { batches } from '../../../src/sync/block-exchange.ts'
import { BlockSender } from '../../../src/sync/block-sender.ts'
import { RateLimit } from '../../../src/sync/rate-limit.ts'
import type { RemoteRepository } from '../../../src/sync/repository-client.ts'
import { BLOCKS_LIMITS } from '../../../src/wire/blocks.ts'
import { manualClock } from '../../tools/clock.ts'
import { WORKSPACE } from './support.ts'

const block = (number: number, bytes: number): Block => {
  const content = Buffer.alloc(bytes, number)
  content.writeUInt32BE(number)
  return blockOf(RAW_CODEC, content)
}

interface Wire {
  readonly remote: RemoteRepository
  readonly asked: string[][]
  readonly sent: string[]
  readonly steps: string[]
}

/** A repository that holds some blocks, and notes what is asked of it. */
function wire(holds: readonly Block[] = []): Wire {
  const held = new Set(holds.map(({ cid }) => cid.toString()))
  const asked: string[][] = []
  const sent: string[] = []
  const steps: string[] = []
  const exchange = {
    async missing(cids: readonly CID[]) {
      asked.push(cids.map(String))
      return cids.filter((cid) => !held.has(cid.toString()))
    },
    async put(blocks: readonly Block[]) {
      steps.push('put')
      sent.push(...blocks.map(({ cid }) => cid.toString()))
    },
    want: async () => [],
    close: async () => void steps.push('close')
  }
  const refuse = (): never => {
    throw new Error('not to be called')
  }
  const remote: RemoteRepository = {
    publish: refuse,
    publishDiverged: refuse,
    tip: refuse,
    follow: refuse,
    unfollow: refuse,
    holding: refuse,
    async blocks() {
      steps.push('open')
      return exchange
    }
  }
  return { remote, asked, sent, steps }
}

const names = (blocks: readonly Block[]): string[] => blocks.map(({ cid }) => cid.toString())

async function offerAll(to: Wire, blocks: readonly Block[]): Promise<readonly Block[]> {
  const sender = new BlockSender({
    remote: async () => to.remote,
    workspace: WORKSPACE,
    isWaitedFor: () => true,
    clock: systemClock(),
    log: silent,
    signal: new AbortController().signal
  })
  for (const one of blocks) await sender.offer(one)
  const inline = await sender.finish()
  await sender.close()
  return inline
}

describe('blocks of a snapshot', () => {
  test('that are few and small travel with the head, and nothing is asked', async () => {
    const to = wire()
    const blocks = [block(1, 40_000), block(2, 20_000)]
    expect(names(await offerAll(to, blocks))).toEqual(names(blocks))
    expect(to.steps).toEqual([])
  })

  test('that are more are asked for first, and only what is missing is sent, before the head', async () => {
    const blocks = [block(1, 40_000), block(2, 40_000), block(3, 10)]
    const to = wire(blocks.slice(0, 1))
    expect(await offerAll(to, blocks)).toEqual([])
    expect(to.asked).toEqual([names(blocks)])
    expect(to.sent).toEqual(names(blocks.slice(1)))
    expect(to.steps).toEqual(['open', 'put', 'close'])
  })

  test('that are many go in windows, on one stream, and never come back as inline ones', async () => {
    const to = wire()
    const blocks = Array.from({ length: 9 }, (_, number) => block(number, 1_000_000))
    expect(await offerAll(to, [...blocks, block(99, 10)])).toEqual([])
    expect(to.asked.map(({ length }) => length)).toEqual([3, 3, 3, 1])
    expect(to.sent).toHaveLength(10)
    expect(to.steps.filter((step) => step === 'open')).toHaveLength(1)
  })

  test('are sent once, however often they are in a snapshot', async () => {
    const to = wire()
    const twice = block(1, 50_000)
    await offerAll(to, [twice, twice, block(2, 10)])
    expect(to.sent).toEqual(names([twice, block(2, 10)]))
  })

  test('are cut into messages of bounded size, a large one alone', () => {
    const blocks = [block(1, 600_000), block(2, 600_000), block(3, 1024 * 1024), block(4, 10), block(5, 10)]
    const cut = [...batches(blocks, BLOCKS_LIMITS.batchBytes)]
    expect(cut.map((batch) => batch.length)).toEqual([1, 1, 1, 2])
    expect(names(cut.flat())).toEqual(names(blocks))
    const many = Array.from({ length: BLOCKS_LIMITS.cidsMax + 1 }, () => block(7, 4))
    expect([...batches(many, BLOCKS_LIMITS.batchBytes)].map((batch) => batch.length)).toEqual([
      BLOCKS_LIMITS.cidsMax,
      1
    ])
    expect([...batches([], BLOCKS_LIMITS.batchBytes)]).toEqual([])
  })
})

describe('a rate limit', () => {
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  async function passed(clock: ReturnType<typeof manualClock>, taking: Promise<void>): Promise<number> {
    let done = false
    const from = clock.now()
    taking.then(
      () => {
        done = true
      },
      () => undefined
    )
    for (await settled(); !done; await settled()) clock.advance(10)
    return clock.now() - from
  }

  test('lets everything pass where there is none', async () => {
    const clock = manualClock()
    await new RateLimit(clock).take(1e12)
    expect(clock.waiting).toBe(0)
  })

  test('holds back as long as the rate says, with no more than a quarter of a second saved up', async () => {
    const clock = manualClock()
    const limit = new RateLimit(clock, { limit: 1000, hours: [] })
    clock.advance(60_000)
    expect(await passed(clock, limit.take(250))).toBe(0)
    expect(await passed(clock, limit.take(1000))).toBe(0)
    expect(await passed(clock, limit.take(1))).toBe(1000)
    expect(await passed(clock, limit.take(500))).toBeGreaterThan(0)
  })

  test('shares the rate among all that take at once', async () => {
    const clock = manualClock()
    const limit = new RateLimit(clock, { limit: 1000, hours: [] })
    const all = Array.from({ length: 10 }, () => limit.take(1000))
    const took = await passed(
      clock,
      Promise.all(all).then(() => undefined)
    )
    expect(took).toBeGreaterThanOrEqual(9000)
    expect(took).toBeLessThanOrEqual(10_000)
  })

  test('is paid at the rate of the hour: a large piece under a low limit does not bind the hours after', async () => {
    const clock = manualClock()
    const limit = new RateLimit(clock, { limit: 1000, hours: [] })
    limit.spend(1_000_000)
    expect(limit.delayMs()).toBe(60_000)
    const at = new Date(clock.wall())
    const minute = at.getHours() * 60 + at.getMinutes()
    const next = (minute + 1) % 1440
    const schedule = { limit: 1000, hours: [{ fromMinute: next, toMinute: minute, limit: 1_000_000 }] }
    const hourly = new RateLimit(clock, schedule)
    hourly.spend(1_000_000)
    clock.advance(60_000)
    expect(hourly.delayMs()).toBe(0)
  })

  test('can be changed while it runs, and waiting ends by the signal', async () => {
    const clock = manualClock()
    const limit = new RateLimit(clock, { limit: 1000, hours: [] })
    await limit.take(10_000)
    const controller = new AbortController()
    const waiting = limit.take(1, controller.signal)
    controller.abort()
    expect(await waiting.then(() => 'passed', codeOf)).toBe('ABORTED')
    limit.schedule = { limit: 1_000_000, hours: [] }
    expect(limit.bytesPerSecond).toBe(1_000_000)
    expect(await passed(clock, limit.take(1000))).toBe(0)
  })
})
