import { describe, expect, test } from 'vitest'
import { aborted, sleep, systemClock, withTimeout } from '../../../src/core/clock.ts'
import { codeOf, NodeDaemonError } from '../../../src/core/errors.ts'
import { Later } from '../../../src/core/later.ts'
import { KeyedMutex, Mutex } from '../../../src/core/mutex.ts'
import { jitter } from '../../../src/core/random.ts'
import { manualClock } from '../../tools/clock.ts'

/** Lets everything run that needs no more time. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a sleep', () => {
  test('ends when its time is over and not before', async () => {
    const clock = manualClock()
    let woke = false
    const sleeping = sleep(clock, 100).then(() => {
      woke = true
    })
    clock.advance(99)
    await settled()
    expect(woke).toBe(false)
    clock.advance(1)
    await sleeping
  })

  test('ends at once by its signal, and leaves no timer behind', async () => {
    const clock = manualClock()
    const { signal, abort } = controller()
    const sleeping = sleep(clock, 100, signal)
    abort()
    expect(await sleeping.then(() => 'slept', codeOf)).toBe('ABORTED')
    expect(clock.waiting).toBe(0)
    expect(await sleep(clock, 100, signal).then(() => 'slept', codeOf)).toBe('ABORTED')
    expect(clock.waiting).toBe(0)
  })
})

describe('a time-out', () => {
  test('gives the outcome of what ends in time, and leaves no timer behind', async () => {
    const clock = manualClock()
    expect(await withTimeout(clock, 100, 'it', async () => 7)).toBe(7)
    const failing = withTimeout(clock, 100, 'it', async () => {
      throw new NodeDaemonError('BUSY', 'no')
    })
    expect(await failing.then(() => 'done', codeOf)).toBe('BUSY')
    expect(clock.waiting).toBe(0)
  })

  test('tells what took too long, and aborts it', async () => {
    const clock = manualClock()
    let seen: AbortSignal | null = null
    const late = withTimeout(clock, 100, 'publishing', (signal) => {
      seen = signal
      return new Promise<never>(() => undefined)
    })
    const outcome = late.then(
      () => null,
      (error: unknown) => error
    )
    clock.advance(100)
    expect(await outcome).toMatchObject({ code: 'TIMED_OUT', message: 'publishing took longer than 100 ms' })
    expect(seen).toMatchObject({ aborted: true, reason: { code: 'TIMED_OUT' } })
  })

  test('ends at once by the signal of its caller, also one that was aborted before', async () => {
    const clock = manualClock()
    const { signal, abort } = controller()
    let begun = 0
    const work = (): Promise<never> => {
      begun++
      return new Promise(() => undefined)
    }
    const waiting = withTimeout(clock, 100, 'it', work, signal)
    abort(new NodeDaemonError('CLOSED', 'stopping'))
    expect(await waiting.then(() => 'done', codeOf)).toBe('CLOSED')
    expect(await withTimeout(clock, 100, 'it', work, signal).then(() => 'done', codeOf)).toBe('CLOSED')
    expect([begun, clock.waiting]).toEqual([1, 0])
  })
})

describe('the clock of the machine', () => {
  test('never goes back', () => {
    const clock = systemClock()
    let before = clock.now()
    for (let count = 0; count < 1000; count++) {
      const now = clock.now()
      expect(now).toBeGreaterThanOrEqual(before)
      before = now
    }
  })

  test('does not call back early what is more than 25 days away, the longest that a timer of the runtime takes', async () => {
    const clock = systemClock()
    let called = false
    const handle = clock.after(2 ** 31, () => {
      called = true
    })
    await sleep(clock, 20)
    handle.cancel()
    expect(called).toBe(false)
  })

  test('calls nothing back that was cancelled', async () => {
    const clock = systemClock()
    let called = false
    clock
      .after(1, () => {
        called = true
      })
      .cancel()
    await sleep(clock, 10)
    expect(called).toBe(false)
  })
})

test('what a signal says is an error of ours, whatever its reason is', () => {
  expect(aborted(AbortSignal.abort('why')).code).toBe('ABORTED')
  expect(aborted(AbortSignal.abort(new NodeDaemonError('REVOKED', 'gone'))).code).toBe('REVOKED')
})

describe('a value that comes later', () => {
  test('reaches all that wait for it, and is there for those that come after', async () => {
    const later = new Later<number>()
    const { signal } = controller()
    const waiting = [later.get(signal), later.get(signal)]
    expect(later.now).toBeNull()
    later.set(1)
    expect(await Promise.all(waiting)).toEqual([1, 1])
    expect(await later.get(signal)).toBe(1)
    later.clear()
    const next = later.get(signal)
    later.set(2)
    expect(await next).toBe(2)
  })

  test('that was taken back before it was seen is waited for again', async () => {
    const later = new Later<number>()
    let got: number | null = null
    const waiting = later.get(controller().signal).then((value) => {
      got = value
    })
    later.set(1)
    later.clear()
    await settled()
    expect(got).toBeNull()
    later.set(2)
    await waiting
    expect(got).toBe(2)
  })

  test('is not waited for any longer than the signal says', async () => {
    const later = new Later<number>()
    const { signal, abort } = controller()
    const waiting = later.get(signal)
    abort()
    expect(await waiting.then(() => 'got', codeOf)).toBe('ABORTED')
  })
})

describe('a mutex', () => {
  test('runs one at a time in the order of the calls, and goes on after a failure', async () => {
    const mutex = new Mutex()
    const seen: string[] = []
    const work = (name: string) => async (): Promise<void> => {
      seen.push(`${name} begins`)
      await settled()
      seen.push(`${name} ends`)
      if (name === 'b') throw new Error(name)
    }
    const all = ['a', 'b', 'c'].map((name) => mutex.run(work(name)))
    expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
  })

  test('of a key holds back that key alone', async () => {
    const mutex = new KeyedMutex<string>()
    const { promise: gate, resolve: open } = Promise.withResolvers<void>()
    const seen: string[] = []
    const blocked = mutex.run('a', () => gate)
    const behind = mutex.run('a', async () => void seen.push('a'))
    await mutex.run('b', async () => void seen.push('b'))
    expect(seen).toEqual(['b'])
    open()
    await Promise.all([blocked, behind])
    expect(seen).toEqual(['b', 'a'])
  })
})

test('jitter stays within a quarter', () => {
  const at = (fraction: number): number => jitter({ fraction: () => fraction, bytes: () => new Uint8Array(0) }, 1000)
  expect([at(0), at(0.5), at(0.999)].map(Math.round)).toEqual([750, 1000, 1250])
})

function controller(): { signal: AbortSignal; abort: (reason?: unknown) => void } {
  const made = new AbortController()
  return { signal: made.signal, abort: (reason) => made.abort(reason) }
}
