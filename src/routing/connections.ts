import type { Socket } from 'node:net'
import type { Clients } from './client.ts'
import { plainAddress } from './forwarded.ts'
import type { Rates } from './rates.ts'

/** The connections of users to an entrance, bounded for each address. Those of trusted proxies and front doors do not count. */
export class Connections {
  readonly #clients: Pick<Clients, 'isProxy'>
  readonly #rates: Pick<Rates, 'connection'>
  /** What takes a connection out of the count. */
  readonly #counted = new Map<string, () => void>()

  constructor(clients: Pick<Clients, 'isProxy'>, rates: Pick<Rates, 'connection'>) {
    this.#clients = clients
    this.#rates = rates
  }

  /** May one more come from there? */
  admits(socket: Socket): boolean {
    const address = plainAddress(socket.remoteAddress ?? '')
    if (this.#clients.isProxy(address)) return true
    const closed = this.#rates.connection(address)
    if (closed === null) return false
    const name = nameOf(socket)
    this.#counted.set(name, closed)
    socket.once('close', () => this.#end(name))
    return true
  }

  /** A front door has shown on this connection that it is one. */
  ofFrontDoor(socket: Socket): void {
    this.#end(nameOf(socket))
  }

  #end(name: string): void {
    this.#counted.get(name)?.()
    this.#counted.delete(name)
  }
}

/** Over TLS the socket of a request is another one than that which was accepted: both have the same ends. */
const nameOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`
