import type { Connection, ConnectionGater, PeerId } from '@libp2p/interface'
import type { Clock } from '../core/clock.ts'
import type { PeerIdText } from '../core/ids.ts'
import { type Gate, MAX_STRANGERS, STRANGER_MS } from './host.ts'

export interface StrangersDeps {
  readonly gate: Gate
  readonly clock: Clock
}

/** Lets in who may come, by key, and of strangers only so many. */
export function gater(gate: Gate, strangers: Strangers): ConnectionGater {
  return {
    denyDialMultiaddr: () => false,
    denyInboundEncryptedConnection(peerId: PeerId) {
      const standing = gate.standing(peerId.toString() as PeerIdText)
      return standing === 'refused' || (standing === 'stranger' && strangers.full)
    }
  }
}

/** Connections of peers that are no members: few, and each for a short time. */
export class Strangers {
  readonly #open = new Set<Connection>()
  readonly #deps: StrangersDeps

  constructor(deps: StrangersDeps) {
    this.#deps = deps
  }

  get full(): boolean {
    return this.#open.size >= MAX_STRANGERS
  }

  admit(connection: Connection): void {
    this.#open.add(connection)
    const timer = this.#deps.clock.after(STRANGER_MS, () => {
      if (this.#isStranger(connection)) connection.abort(new Error('a stranger stays ten seconds at most'))
    })
    connection.addEventListener('close', () => {
      timer.cancel()
      this.#open.delete(connection)
    })
  }

  #isStranger(connection: Connection): boolean {
    return this.#deps.gate.standing(connection.remotePeer.toString() as PeerIdText) !== 'member'
  }
}
