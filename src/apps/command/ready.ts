import { type Clock, sleep, withTimeout } from '../../core/clock.ts'
import { hasCode, messageOf, NodeDaemonError } from '../../core/errors.ts'
import type { Logger } from '../../core/log.ts'
import type { App } from '../app.ts'
import { upstreamApp } from '../upstream/upstream.ts'
import { answersHttp } from './answers.ts'
import type { Located } from './locate.ts'
import type { AppProcess } from './running.ts'

const ASK_EVERY_MS = 200

/** An app that answers. */
export interface Ready {
  readonly app: App
  readonly located: Located
}

export interface ReadyDeps {
  readonly isReady: ((signal: AbortSignal) => Promise<boolean>) | null
  readonly startMs: number
  readonly clock: Clock
  readonly log: Logger
}

/**
 * Resolves once an app that was started answers, and says that it is ready where it is asked. Else it is ended.
 *
 * @throws NodeDaemonError `OUT_OF_REACH` it has ended, or took too long; what the signal says
 */
export async function becomesReady(
  { isReady, startMs, clock, log }: ReadyDeps,
  started: AppProcess,
  { locate, base }: { readonly locate: () => Promise<Located | null>; readonly base: string },
  signal: AbortSignal
): Promise<Ready> {
  const enough = new AbortController()
  const gone = started.ended.then((why): never => {
    throw new NodeDaemonError('OUT_OF_REACH', failureOf(why, started))
  })
  gone.catch(() => undefined)
  const answers = async (late: AbortSignal): Promise<Located> => {
    const either = AbortSignal.any([late, enough.signal])
    const located = await answersHttp(clock, locate, base, either)
    try {
      while (isReady !== null && !(await isReady(either))) await sleep(clock, ASK_EVERY_MS, either)
      return located
    } catch (error) {
      await located.close()
      throw error
    }
  }
  try {
    const either = (late: AbortSignal): Promise<Located> => Promise.race([answers(late), gone])
    const located = await withTimeout(clock, startMs, 'its start', either, signal)
    return { app: upstreamApp({ clock, log }, located.target), located }
  } catch (error) {
    started.kill(messageOf(error))
    if (hasCode(error, 'TIMED_OUT')) return await gone
    throw error
  } finally {
    enough.abort()
  }
}

/** Breaks off what is under way with an app that has ended. */
export async function release(ready: Promise<Ready>): Promise<void> {
  const { app, located } = await ready.catch(() => ({ app: null, located: null }))
  await app?.close()
  await located?.close()
}

/** Why an app has ended, for people. */
export const failureOf = (why: string, { lastLine }: AppProcess): string =>
  `the app of this service failed: ${why}${lastLine === '' ? '' : `; its last words: ${lastLine}`}`
