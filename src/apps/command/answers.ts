import { request } from 'node:http'
import { type Clock, sleep, withTimeout } from '../../core/clock.ts'
import type { UpstreamTarget } from '../upstream/target.ts'

const ASK_EVERY_MS = 50
const ANSWER_MS = 5000
const ANSWER_BYTES_MAX = 64 * 1024

/** Resolves once HTTP is answered there, with whatever status. Rejects by the signal alone. */
export async function answersHttp(
  clock: Clock,
  target: UpstreamTarget,
  path: string,
  signal: AbortSignal
): Promise<void> {
  for (;;) {
    const isThere = await withTimeout(clock, ANSWER_MS, 'an answer', (late) => ask(target, path, late), signal).catch(
      () => false
    )
    if (isThere) return
    await sleep(clock, ASK_EVERY_MS, signal)
  }
}

function ask(target: UpstreamTarget, path: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const asking = request({ ...target, path, agent: false, maxHeaderSize: ANSWER_BYTES_MAX, signal })
    asking.once('error', reject)
    asking.once('response', (answer) => {
      resolve(true)
      answer.on('error', () => undefined)
      asking.destroy()
    })
    asking.end()
  })
}
