import { percentile } from './benchmark.ts'

/** Requests that were answered, and how long each took. */
export interface Answered {
  readonly requests: number
  /** Of those, the ones that were no success. */
  readonly failed: number
  /** Why the first of them was none; null where all succeeded. */
  readonly failure: string | null
  readonly ms: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Sends one request of a user. Null where it succeeded, or else why not. Rejects where no answer came. */
export type Send = () => Promise<string | null>

interface Tally {
  readonly latencies: number[]
  failed: number
  failure: string | null
}

const answered = ({ latencies, failed, failure }: Tally, ms: number): Answered => ({
  requests: latencies.length,
  failed,
  failure,
  ms,
  p50Ms: percentile(latencies, 0.5),
  p99Ms: percentile(latencies, 0.99)
})

/** False where no answer came. */
async function count(tally: Tally, since: number, send: Send): Promise<boolean> {
  let failure: string | null
  let isAnswered = true
  try {
    failure = await send()
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error)
    isAnswered = false
  }
  tally.latencies.push(performance.now() - since)
  if (failure !== null) {
    tally.failed += 1
    tally.failure ??= failure
  }
  return isAnswered
}

/** Every user sends the next request as soon as the last one is answered. One whose connection is gone sends no more. */
export async function atFullSpeed(users: readonly Send[], durationMs: number): Promise<Answered> {
  const tally: Tally = { latencies: [], failed: 0, failure: null }
  const began = performance.now()
  const until = began + durationMs
  await Promise.all(
    users.map(async (send) => {
      while (performance.now() < until && (await count(tally, performance.now(), send)));
    })
  )
  return answered(tally, performance.now() - began)
}

/** As many as are answered, or so many in a second. */
export const underLoad = (users: readonly Send[], durationMs: number, perSecond: number | null): Promise<Answered> =>
  perSecond === null ? atFullSpeed(users, durationMs) : onSchedule(users, perSecond, durationMs)

/**
 * Requests come on a schedule, whether or not the ones before are answered, from one user after another. A user sends
 * one at a time: the others wait, and their time counts from the moment for which they were scheduled.
 */
export async function onSchedule(users: readonly Send[], perSecond: number, durationMs: number): Promise<Answered> {
  const tally: Tally = { latencies: [], failed: 0, failure: null }
  const total = Math.floor((perSecond * durationMs) / 1000)
  const last = users.map((): Promise<unknown> => Promise.resolve())
  const began = performance.now()
  for (let number = 0; number < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - began) * perSecond) / 1000) + 1)
    for (; number < due; number++) {
      const user = number % users.length
      const send = users[user]
      const at = began + (number * 1000) / perSecond
      if (send !== undefined) last[user] = (last[user] ?? Promise.resolve()).then(() => count(tally, at, send))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(last)
  return answered(tally, performance.now() - began)
}
