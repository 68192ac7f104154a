import type { PeerIdText } from '../../src/core/ids.ts'
import type { Providers } from '../../src/network/providers.ts'

/** Who says that they have what. It reaches everybody at once, and a process that is gone is named for a while. */
export class SimulatedDht {
  readonly #providers = new Map<string, Set<PeerIdText>>()

  /** As one host sees it. */
  of(peer: PeerIdText): Providers {
    return {
      announce: async (cid) => {
        const named = this.#providers.get(cid.toString()) ?? new Set()
        this.#providers.set(cid.toString(), named.add(peer))
      },
      forget: async (cid) => {
        this.#providers.get(cid.toString())?.delete(peer)
      },
      find: async (cid) => [...(this.#providers.get(cid.toString()) ?? [])].filter((other) => other !== peer),
      close: async () => undefined
    }
  }
}
