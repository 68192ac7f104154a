import type { Protocol } from './protocol.ts'

/** Kademlia, as libp2p speaks it, among members: who provides this head? */
export const KAD_PROTOCOL: Protocol = {
  id: '/node-daemon/kad/1.0.0',
  maxFrameBytes: 128 * 1024,
  maxStreams: 32,
  open: 'members'
}

export const KAD_LIMITS = {
  /** The longest that a lookup takes, and how many of them run at once. */
  lookupMs: 1000,
  lookupsMax: 16,
  /** Providers that one lookup names. */
  providersMax: 20,
  announceMs: 10_000,
  /** Provider records that one member keeps for others: of all, and of one of them. */
  recordsMax: 65_536,
  recordsOfOneMax: 4096,
  validityMs: 24 * 60 * 60_000,
  /** Neighbours that a member makes itself known to; more are found by asking these. */
  contactsMax: 32,
  /** How often it does so again. */
  againMs: 5000
} as const
