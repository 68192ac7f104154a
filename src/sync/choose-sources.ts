import type { PeerIdText } from '../core/ids.ts'

export interface SourceFacts {
  readonly self: PeerIdText
  /** This instance's label `zone`; null where it has none. */
  readonly zone: string | null
  /** Who has the workspace by its newest ownership record. */
  readonly home: PeerIdText | null
  readonly standbys: readonly PeerIdText[]
  /** Those that can be reached directly now, each with its zone. */
  readonly near: ReadonlyMap<PeerIdText, string | null>
  /** Those that are said to hold the head. */
  readonly holders: readonly PeerIdText[]
}

/**
 * Whom to ask for the blocks of a head, the cheapest first: those of the same zone, the home, then others. A home has
 * its head; a standby counts where it is said to. Nobody is asked who may not have the workspace. What none of them
 * gives comes from the main repository.
 */
export function chooseSources({ self, zone, home, standbys, near, holders }: SourceFacts): PeerIdText[] {
  const able = [...(home === null ? [] : [home]), ...standbys.filter((peer) => holders.includes(peer))]
  const cost = (peer: PeerIdText): number => {
    if (zone !== null && near.get(peer) === zone) return 0
    return peer === home ? 1 : 2
  }
  return able.filter((peer) => peer !== self && near.has(peer)).sort((a, b) => cost(a) - cost(b))
}

/** Is there anybody of whom it must be asked first whether it holds the head? */
export const needsHolders = ({ self, standbys, near }: Omit<SourceFacts, 'holders'>): boolean =>
  standbys.some((peer) => peer !== self && near.has(peer))
