import { describe, expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import { FairQueue, type Urgency } from '../../../src/sync/fair-queue.ts'
import { limitAt } from '../../../src/sync/limit-schedule.ts'
import { Uplink } from '../../../src/sync/uplink.ts'
import { manualClock } from '../../tools/clock.ts'
import { OTHER, WORKSPACE } from './support.ts'

const MIB = 1024 * 1024
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('who goes next', () => {
  const taken = (queue: FairQueue<string>): string[] => {
    const order: string[] = []
    for (let next = queue.next(() => true); next !== null; next = queue.next(() => true)) order.push(next)
    return order
  }

  test('writes that are waited for, then small changes, then bulk', () => {
    const queue = new FairQueue<string>()
    for (const urgency of ['bulk', 'small', 'acknowledged'] as const) queue.push(urgency, WORKSPACE, urgency)
    expect(taken(queue)).toEqual(['acknowledged', 'small', 'bulk'])
    expect(queue.isEmpty).toBe(true)
  })

  test('the workspaces in turn, however much one of them has', () => {
    const queue = new FairQueue<string>()
    for (const item of ['a1', 'a2', 'a3']) queue.push('bulk', WORKSPACE, item)
    for (const item of ['b1', 'b2']) queue.push('bulk', OTHER, item)
    expect(taken(queue)).toEqual(['a1', 'b1', 'a2', 'b2', 'a3'])
  })

  test('bulk is never held back for ever by what is more urgent', () => {
    const queue = new FairQueue<string>()
    queue.push('bulk', OTHER, 'bulk')
    for (let index = 0; index < 20; index++) queue.push('acknowledged', WORKSPACE, 'urgent')
    expect(taken(queue).indexOf('bulk')).toBe(7)
  })

  test('bulk that does not fit on its turn waits for room, and only what is waited for passes it', () => {
    const queue = new FairQueue<string>()
    for (let index = 0; index < 20; index++) queue.push('small', WORKSPACE, 'small')
    queue.push('bulk', OTHER, 'bulk')
    const fits = (item: string): boolean => item !== 'bulk'
    for (let index = 0; index < 7; index++) expect(queue.next(fits)).toBe('small')
    expect(queue.next(fits)).toBeNull()
    queue.push('acknowledged', WORKSPACE, 'write')
    expect(queue.next(fits)).toBe('write')
    expect(queue.next(fits)).toBeNull()
    expect(queue.next(() => true)).toBe('bulk')
    expect(queue.next(fits)).toBe('small')
  })

  test('what may not go lets others pass', () => {
    const queue = new FairQueue<string>()
    queue.push('acknowledged', WORKSPACE, 'large')
    queue.push('bulk', WORKSPACE, 'small')
    expect(queue.next((item) => item === 'small')).toBe('small')
    expect(queue.next((item) => item === 'small')).toBeNull()
    queue.remove('acknowledged', WORKSPACE, 'large')
    expect(queue.isEmpty).toBe(true)
  })
})

describe('an uplink', () => {
  /** Which of them have gone, in order. */
  function takers(uplink: Uplink): { gone: string[]; take: (name: string, urgency: Urgency, bytes: number) => void } {
    const gone: string[] = []
    const take = (name: string, urgency: Urgency, bytes: number): void => {
      void uplink.take(bytes, WORKSPACE, urgency).then(() => gone.push(name))
    }
    return { gone, take }
  }

  test('has no more bulk under way than the receiver has given credit for, and lets a write that is waited for pass', async () => {
    const uplink = new Uplink(manualClock())
    const { gone, take } = takers(uplink)
    for (const name of ['one', 'two', 'three']) take(name, 'bulk', MIB)
    await settled()
    expect(gone).toEqual(['one'])
    take('write', 'acknowledged', 1000)
    await settled()
    expect(gone).toEqual(['one', 'write'])
    uplink.arrived(MIB)
    uplink.lost(1000)
    await settled()
    expect(gone).toEqual(['one', 'write', 'two'])
  })

  test('has a quarter of a second of what it measured under way', async () => {
    const clock = manualClock()
    const uplink = new Uplink(clock)
    const { gone, take } = takers(uplink)
    for (let index = 0; index < 8; index++) take(`${index}`, 'bulk', MIB)
    await settled()
    clock.advance(100)
    uplink.arrived(MIB)
    await settled()
    // 1 MiB in 100 ms: 2.5 MiB in 250 ms.
    expect(gone).toEqual(['0', '1', '2'])
  })

  test('keeps to its limit, also when that changes and with what is urgent', async () => {
    const clock = manualClock()
    const uplink = new Uplink(clock, { limit: 1000, hours: [] })
    const { gone, take } = takers(uplink)
    for (const name of ['one', 'two', 'three']) take(name, 'acknowledged', 1000)
    await settled()
    expect(gone).toEqual(['one'])
    clock.advance(990)
    await settled()
    expect(gone).toEqual(['one'])
    clock.advance(20)
    await settled()
    expect(gone).toEqual(['one', 'two'])
    uplink.schedule = { limit: null, hours: [] }
    await settled()
    expect(gone).toEqual(['one', 'two', 'three'])
    expect(uplink.pieceBytes).toBe(250_000)
  })

  test('forgets whoever gives up', async () => {
    const uplink = new Uplink(manualClock())
    const { gone, take } = takers(uplink)
    take('one', 'bulk', MIB)
    const controller = new AbortController()
    const waiting = uplink.take(MIB, WORKSPACE, 'bulk', controller.signal)
    controller.abort()
    expect(await waiting.then(() => 'gone', codeOf)).toBe('ABORTED')
    take('two', 'bulk', MIB)
    uplink.lost(MIB)
    await settled()
    expect(gone).toEqual(['one', 'two'])
  })
})

describe('a limit with hours', () => {
  const at = (hour: number, minute: number): number => new Date(2026, 10, 20, hour, minute).getTime()
  const schedule = {
    limit: 10,
    hours: [
      { fromMinute: 8 * 60, toMinute: 18 * 60, limit: 1 },
      { fromMinute: 22 * 60, toMinute: 6 * 60, limit: null }
    ]
  }

  test.each([
    [7, 59, 10],
    [8, 0, 1],
    [17, 59, 1],
    [18, 0, 10],
    [22, 0, null],
    [0, 0, null],
    [5, 59, null],
    [6, 0, 10]
  ])('at %i:%i', (hour, minute, limit) => expect(limitAt(schedule, at(hour, minute))).toBe(limit))
})
