import type { PeerIdText } from '../core/ids.ts'
import type { Neighbour } from '../wire/neighbours.ts'

/** The members that listen, as far as this host knows now. */
export class Neighbours {
  readonly #byPeer = new Map<PeerIdText, Neighbour>()
  readonly #listeners = new Set<(peer: PeerIdText) => void>()

  get(peer: PeerIdText): Neighbour | null {
    return this.#byPeer.get(peer) ?? null
  }

  all(): readonly Neighbour[] {
    return [...this.#byPeer.values()]
  }

  /** Takes the place of what was known of it. One without an address is none any more. */
  note(neighbour: Neighbour): void {
    if (neighbour.addresses.length === 0) return this.remove(neighbour.peer)
    this.#byPeer.set(neighbour.peer, neighbour)
    this.#tell(neighbour.peer)
  }

  remove(peer: PeerIdText): void {
    if (this.#byPeer.delete(peer)) this.#tell(peer)
  }

  /** Calls back after each change, with whom it is about. Returns how to stop that. */
  onChange(listener: (peer: PeerIdText) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #tell(peer: PeerIdText): void {
    for (const listener of this.#listeners) listener(peer)
  }
}
