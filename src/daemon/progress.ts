import { type Clock, sleep } from '../core/clock.ts'

const EVERY_MS = 500

/**
 * Tells how a long work goes on, twice a second, so that whoever waits knows that it lives, and its outcome last. The
 * work goes on where nobody listens any more.
 */
export async function* withProgress<Progress, Outcome>(
  clock: Clock,
  first: Progress,
  work: (tell: (progress: Progress) => void) => Promise<Outcome>
): AsyncGenerator<Progress | Outcome> {
  let newest = first
  const ended = new AbortController()
  const working = work((progress) => {
    newest = progress
  }).finally(() => ended.abort())
  working.catch(() => undefined)
  while (!ended.signal.aborted) {
    yield newest
    // Rejects as soon as the work has ended, in whatever way: that is told below.
    await sleep(clock, EVERY_MS, ended.signal).catch(() => undefined)
  }
  yield await working
}
