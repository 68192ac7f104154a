import { percentile } from '../benchmark.ts'

/** Requests that were answered, and how long each took. */
export interface Answered {
  readonly requests: number
  /** Of those, the ones that were no success. */
  readonly failed: number
  readonly ms: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Sends one request of a user, and says whether it succeeded. */
export type Send = () => Promise<boolean>

interface Tally {
  readonly latencies: number[]
  failed: number
}

const answered = ({ latencies, failed }: Tally, ms: number): Answered => ({
  requests: latencies.length,
  failed,
  ms,
  p50Ms: percentile(latencies, 0.5),
  p99Ms: percentile(latencies, 0.99)
})

/** False where no answer came. */
async function count(tally: Tally, since: number, send: Send): Promise<boolean> {
  const succeeded = await send().catch(() => null)
  tally.latencies.push(performance.now() - since)
  if (succeeded !== true) tally.failed += 1
  return succeeded !== null
}

/** Every user sends the next request as soon as the last one is answered. One whose connection is gone sends no more. */
export async function atFullSpeed(users: readonly Send[], durationMs: number): Promise<Answered> {
  const tally: Tally = { latencies: [], failed: 0 }
  const began = performance.now()
  const until = began + durationMs
  await Promise.all(
    users.map(async (send) => {
      while (performance.now() < until && (await count(tally, performance.now(), send)));
    })
  )
  return answered(tally, performance.now() - began)
}

/**
 * Requests come on a schedule, whether or not the ones before are answered, from one user after another. A user sends
 * one at a time: the others wait, and their time counts from the moment for which they were scheduled.
 */
export async function onSchedule(users: readonly Send[], perSecond: number, durationMs: number): Promise<Answered> {
  const tally: Tally = { latencies: [], failed: 0 }
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
