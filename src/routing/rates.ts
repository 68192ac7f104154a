import type { Clock } from '../core/clock.ts'
import { isLoopback, networkOf } from '../core/network-of.ts'
import { Pace } from '../core/pace.ts'
import { Attempts } from '../membership/attempts.ts'
import type { Client } from './client.ts'
import { FRONT_DOOR_LIMITS } from './limits.ts'

export interface RateOptions {
  /** Of one address; null: no bound. Twice as many may come at once. */
  readonly requestsPerS: number | null
  /** New workspaces of guests from one address; null: no bound. All of an hour's may come at once. */
  readonly guestsPerHour: number | null
}

export const RATES: RateOptions = { requestsPerS: 200, guestsPerHour: 120 }

const HOUR_MS = 3_600_000
const BURST_S = 2

/**
 * How often one client may come, by its address: the real one behind trusted proxies, and of IPv6 its network. Who is on
 * this machine is not counted, and neither is a trusted proxy that does not tell for whom it asks.
 */
export class Rates {
  readonly #requests: Pace | null
  readonly #guests: Pace | null
  readonly #signIns: Attempts
  readonly #connections = new Map<string, number>()

  constructor(clock: Clock, { requestsPerS, guestsPerHour }: RateOptions) {
    const { addresses: names } = FRONT_DOOR_LIMITS
    this.#requests =
      requestsPerS === null
        ? null
        : new Pace(clock, { burst: requestsPerS * BURST_S, everyMs: 1000 / requestsPerS, names })
    this.#guests =
      guestsPerHour === null ? null : new Pace(clock, { burst: guestsPerHour, everyMs: HOUR_MS / guestsPerHour, names })
    this.#signIns = new Attempts(clock)
  }

  /** A request comes. 0: it may go on; else one may after so many milliseconds. */
  request(client: Client): number {
    return this.#take(this.#requests, client)
  }

  /** A guest begins a workspace. As `request`. */
  newGuest(client: Client): number {
    return this.#take(this.#guests, client)
  }

  /** A client has shown a token that is none. False once there were too many of late. */
  wrongToken(client: Client): boolean {
    return isUncounted(client) || this.#signIns.attempt(client.address)
  }

  /** A connection comes from this address, which is no trusted proxy's. Null: there are too many; else to be called when it is closed. */
  connection(address: string): (() => void) | null {
    if (isLoopback(address)) return () => undefined
    const name = networkOf(address)
    const open = this.#connections.get(name) ?? 0
    if (open >= FRONT_DOOR_LIMITS.connectionsPerAddress) return null
    this.#connections.set(name, open + 1)
    return () => {
      const left = (this.#connections.get(name) ?? 1) - 1
      if (left > 0) this.#connections.set(name, left)
      else this.#connections.delete(name)
    }
  }

  #take(pace: Pace | null, client: Client): number {
    const name = pace === null ? null : countedAs(client)
    return pace === null || name === null ? 0 : pace.take(name)
  }
}

/** The name under which a client's requests are counted; null where they are not. */
export const countedAs = (client: Client): string | null => (isUncounted(client) ? null : networkOf(client.address))

/** A proxy's own address stands alone in the list where it does not tell the client's. */
const isUncounted = ({ trusted, address, addresses }: Client): boolean =>
  trusted ? address === addresses : isLoopback(address)
