import { type Clock, sleep } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Host } from '../network/host.ts'
import type { Neighbour } from '../wire/neighbours.ts'

const RETRY_MS_MIN = 500
const RETRY_MS_MAX = 30_000

export interface DoorLinksDeps {
  readonly host: Host
  readonly clock: Clock
  readonly log: Logger
}

/**
 * One connection from an instance to each front door that is a process of its own, made and kept from here: most
 * instances cannot be dialled. While there is none, requests come through the coordinator.
 */
export class DoorLinks {
  readonly #deps: DoorLinksDeps
  readonly #kept = new Map<PeerIdText, { readonly stop: AbortController; addresses: readonly string[] }>()

  constructor(deps: DoorLinksDeps) {
    this.#deps = deps
  }

  /** Where a front door is; nowhere: it is gone. */
  note({ peer, addresses }: Neighbour): void {
    const kept = this.#kept.get(peer)
    if (addresses.length === 0) return this.forget(peer)
    if (kept !== undefined) {
      kept.addresses = addresses
      return
    }
    const stop = new AbortController()
    const entry = { stop, addresses }
    this.#kept.set(peer, entry)
    void this.#keep(peer, entry)
  }

  forget(peer: PeerIdText): void {
    this.#kept.get(peer)?.stop.abort()
    this.#kept.delete(peer)
  }

  peers(): readonly PeerIdText[] {
    return [...this.#kept.keys()]
  }

  close(): void {
    for (const peer of this.peers()) this.forget(peer)
  }

  /** Never rejects. */
  async #keep(
    peer: PeerIdText,
    entry: { readonly stop: AbortController; addresses: readonly string[] }
  ): Promise<void> {
    const { host, clock, log } = this.#deps
    const { signal } = entry.stop
    let retryMs = RETRY_MS_MIN
    while (!signal.aborted) {
      try {
        const link = await host.dial(entry.addresses, peer, signal)
        retryMs = RETRY_MS_MIN
        const end = (): void => link.abort(new Error('this front door is not used any more'))
        signal.addEventListener('abort', end, { once: true })
        if (signal.aborted) end()
        await link.closed
        signal.removeEventListener('abort', end)
      } catch (error) {
        if (!signal.aborted) log.debug({ peer, error: messageOf(error) }, 'a front door is not reached from here')
        retryMs = Math.min(RETRY_MS_MAX, retryMs * 2)
      }
      await sleep(clock, retryMs, signal).catch(() => undefined)
    }
  }
}
