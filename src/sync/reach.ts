import { type Clock, sleep } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import type { RemoteRepository } from './repository-client.ts'

/** What waits for a repository that is away is measured after this time, and again where more has changed. */
const MEASURE_MS = 1000
/** After it was measured there is a rest of so many times as long. */
const MEASURE_REST = 20
/** Turns of the event loop's microtasks in which a repository that is at hand is had. */
const TURNS_AT_HAND = 8

/** Made once: an error takes a picture of the stack. */
const REACHED = new NodeDaemonError('ABORTED', 'the repository is within reach')

/** What waits to be published. */
export interface Waiting {
  /** Rises as more changes. */
  count(): number
  /** Is given up by the signal: then somebody may publish. */
  measure(signal: AbortSignal): Promise<void>
}

/**
 * The repository as soon as it is within reach. As long as it is away, what waits for it is measured now and then: it would
 * be lost with this disk, and people are told how much it is. Rejects by the signal only.
 */
export async function reachMeasuring(
  deps: {
    readonly remote: (signal: AbortSignal) => Promise<RemoteRepository>
    readonly clock: Clock
    readonly log: Logger
  },
  signal: AbortSignal,
  waiting: Waiting
): Promise<RemoteRepository> {
  const reached = new AbortController()
  const reaching = deps.remote(signal).finally(() => reached.abort(REACHED))
  reaching.catch(() => undefined)
  // As a rule it is at hand: then no timer is begun.
  for (let turn = 0; turn < TURNS_AT_HAND && !reached.signal.aborted; turn++) await Promise.resolve()
  if (reached.signal.aborted) return await reaching
  const away = AbortSignal.any([signal, reached.signal])
  let measured = -1
  let restMs = MEASURE_MS
  while (!reached.signal.aborted) {
    await sleep(deps.clock, restMs, reached.signal).catch(() => undefined)
    const count = waiting.count()
    if (reached.signal.aborted || count <= measured) continue
    const begun = deps.clock.now()
    await waiting.measure(away).catch((error: unknown) => {
      if (away.aborted) return
      deps.log.debug({ error: messageOf(error) }, 'what waits to be published could not be measured')
    })
    measured = count
    restMs = Math.max(MEASURE_MS, MEASURE_REST * (deps.clock.now() - begun))
  }
  return await reaching
}
