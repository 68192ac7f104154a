import type { ServerResponse } from 'node:http'
import type { Clock, TimerHandle } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import { beginEvents } from './exchange.ts'
import type { Watch } from './route.ts'
import { TOPICS, type Topic } from './service.ts'

const EVENT_GAP_MS = 250
const HEARTBEAT_MS = 15_000
/** A stream ends after this time; the client comes back with its credentials, and is checked again. */
const STREAM_MAX_MS = 5 * 60_000
const STREAMS_MAX = 64

/** The server-sent events of one listener: what changed, gathered, at most four times a second. */
export class ChangeStreams {
  readonly #clock: Clock
  readonly #open = new Set<() => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Serves one stream until the client goes, five minutes are over, or `close` is called. It begins with an event that
   * names every topic.
   *
   * @throws NodeDaemonError `BUSY` 64 streams are open
   */
  serve(response: ServerResponse, watch: Watch): void {
    if (this.#open.size >= STREAMS_MAX) {
      throw new NodeDaemonError('BUSY', `${STREAMS_MAX} event streams are open`, { advice: 'poll instead' })
    }
    beginEvents(response)
    const changed = new Set<Topic>(TOPICS)
    const timers = new Map<string, TimerHandle>()
    const flush = (): void => {
      timers.delete('gap')
      if (changed.size === 0 || response.writableNeedDrain) return
      response.write(`event: change\ndata: ${JSON.stringify({ topics: [...changed] })}\n\n`)
      changed.clear()
      timers.set('gap', this.#clock.after(EVENT_GAP_MS, flush))
    }
    const beat = (): void => {
      if (!response.writableNeedDrain) response.write(': still here\n\n')
      timers.set('beat', this.#clock.after(HEARTBEAT_MS, beat))
    }
    const unwatch = watch((topic) => {
      changed.add(topic)
      if (!timers.has('gap')) flush()
    })
    const end = (): void => {
      if (!this.#open.delete(end)) return
      unwatch()
      for (const timer of timers.values()) timer.cancel()
      response.end()
    }
    this.#open.add(end)
    response.on('drain', flush)
    response.once('close', end)
    timers.set('beat', this.#clock.after(HEARTBEAT_MS, beat))
    timers.set('end', this.#clock.after(STREAM_MAX_MS, end))
    flush()
  }

  close(): void {
    for (const end of [...this.#open]) end()
  }
}
