import { request } from 'node:http'
import { type Clock, sleep, withTimeout } from '../../core/clock.ts'
import type { UpstreamTarget } from '../upstream/target.ts'
import type { Located } from './locate.ts'

const ASK_EVERY_MS = 50
const ANSWER_MS = 5000
const ANSWER_BYTES_MAX = 64 * 1024

/** Resolves with where HTTP is answered, with whatever status, as soon as it is. Rejects by the signal alone. */
export async function answersHttp(
  clock: Clock,
  locate: () => Promise<Located | null>,
  path: string,
  signal: AbortSignal
): Promise<Located> {
  for (;;) {
    const located = await locate()
    if (located !== null) {
      const asked = withTimeout(clock, ANSWER_MS, 'an answer', (late) => ask(located.target, path, late), signal)
      if (await asked.catch(() => false)) return located
      await located.close()
    }
    await sleep(clock, ASK_EVERY_MS, signal)
  }
}

function ask(target: UpstreamTarget, path: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const asking = request({ ...target, path, agent: false, maxHeaderSize: ANSWER_BYTES_MAX, signal })
    asking.on('error', reject)
    asking.once('response', (answer) => {
      resolve(true)
      answer.on('error', () => undefined)
      asking.destroy()
    })
    asking.end()
  })
}
