import { uptime } from 'node:os'
import { NodeDaemonError } from './errors.ts'

/** Milliseconds on a clock that never goes back and has no relation to the time of day. */
export type Instant = number

export interface TimerHandle {
  cancel(): void
}

/** Time, as everything outside this folder sees it. */
export interface Clock {
  /** Monotonic milliseconds. Goes on while the machine is suspended. For every duration and every decision. */
  now(): Instant
  /** Unix time in milliseconds. For people and records; never decides about safety. */
  wall(): number
  /** Calls back once, after at least `ms`. */
  after(ms: number, callback: () => void): TimerHandle
}

/**
 * The machine's clock. A suspended machine's high-resolution timer may stand still while its uptime goes on
 * (CLOCK_MONOTONIC and CLOCK_BOOTTIME of clock_gettime(2)): the larger difference counts.
 */
export function systemClock(): Clock {
  const monotonicStart = performance.now()
  const uptimeStart = uptime()
  let latest = 0
  // What the uptime is ahead of the timer: it grows only while the machine is suspended.
  let suspendedMs = 0
  let lookAgainAt = 0
  return {
    now() {
      const timer = performance.now() - monotonicStart
      if (timer >= lookAgainAt) {
        lookAgainAt = timer + UPTIME_EVERY_MS
        suspendedMs = Math.max(suspendedMs, (uptime() - uptimeStart) * 1000 - timer - UPTIME_PRECISION_MS)
      }
      latest = Math.max(latest, timer + suspendedMs)
      return latest
    },
    wall: () => Date.now(),
    after: startTimer
  }
}

/** The uptime is read from a file: not for every question. A suspension is noticed this much later. */
const UPTIME_EVERY_MS = 100
const UPTIME_PRECISION_MS = 1000

/** Node calls back at once what is further away than this. */
const TIMER_MS_MAX = 2 ** 31 - 1

function startTimer(ms: number, callback: () => void): TimerHandle {
  let handle: NodeJS.Timeout
  const wait = (left: number): void => {
    handle =
      left > TIMER_MS_MAX
        ? setTimeout(() => wait(left - TIMER_MS_MAX), TIMER_MS_MAX)
        : setTimeout(callback, Math.max(0, left))
  }
  wait(ms)
  return { cancel: () => clearTimeout(handle) }
}

/** Resolves after `ms`; rejects with `ABORTED` as soon as the signal says so. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted(signal))
    const onAbort = (): void => {
      timer.cancel()
      reject(aborted(signal))
    }
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** The outcome of `work`, or `TIMED_OUT` after `ms`. The work's signal is aborted when the time is over. */
export async function withTimeout<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal
): Promise<T> {
  const controller = new AbortController()
  const signal = outer === undefined ? controller.signal : AbortSignal.any([controller.signal, outer])
  const { promise: late, reject } = Promise.withResolvers<never>()
  const onOuter = (): void => reject(aborted(outer))
  if (outer?.aborted) throw aborted(outer)
  outer?.addEventListener('abort', onOuter, { once: true })
  const timer = clock.after(ms, () => {
    const error = new NodeDaemonError('TIMED_OUT', `${what} took longer than ${ms} ms`)
    reject(error)
    controller.abort(error)
  })
  try {
    return await Promise.race([work(signal), late])
  } finally {
    timer.cancel()
    outer?.removeEventListener('abort', onOuter)
  }
}

/** What to throw once a signal is aborted: its reason where that is ours, else `ABORTED`. */
export function aborted(signal: AbortSignal | undefined): NodeDaemonError {
  const reason: unknown = signal?.reason
  return reason instanceof NodeDaemonError ? reason : new NodeDaemonError('ABORTED', 'given up', { cause: reason })
}
