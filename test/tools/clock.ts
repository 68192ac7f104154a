import type { Clock, TimerHandle } from '../../src/core/clock.ts'

/** Time that passes when a test says so. */
export interface ManualClock extends Clock {
  /** Lets time pass, calling back what is due on the way, in the order of its time. */
  advance(ms: number): void
  /** Lets time pass as for a process that is stopped: what is due meanwhile is called back at the end. */
  standStill(ms: number): void
  /** Moves the time of day alone, as somebody who sets the clock does. */
  setWall(unixMs: number): void
  /** How many callbacks are waiting. */
  readonly waiting: number
}

const START_WALL_MS = 1_750_000_000_000

export function manualClock(): ManualClock {
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>()
  let now = 0
  let wall = START_WALL_MS

  const pass = (ms: number): void => {
    now += ms
    wall += ms
  }
  const nextDue = (until: number): { readonly at: number; readonly callback: () => void } | undefined =>
    [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]

  const callDue = (until: number): void => {
    for (let timer = nextDue(until); timer !== undefined; timer = nextDue(until)) {
      timers.delete(timer)
      pass(Math.max(0, timer.at - now))
      timer.callback()
    }
  }

  return {
    now: () => now,
    wall: () => wall,
    after(ms, callback): TimerHandle {
      const timer = { at: now + Math.max(0, ms), callback }
      timers.add(timer)
      return { cancel: () => void timers.delete(timer) }
    },
    advance(ms) {
      const until = now + ms
      callDue(until)
      pass(until - now)
    },
    standStill(ms) {
      pass(ms)
      callDue(now)
    },
    setWall(unixMs) {
      wall = unixMs
    },
    get waiting() {
      return timers.size
    }
  }
}
