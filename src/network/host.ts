import type { Duplex } from 'node:stream'
import type { PeerIdText } from '../core/ids.ts'
import type { Protocol } from '../wire/protocol.ts'

/** A stream of bounded frames with one peer, in order, both ways. */
export interface Channel {
  readonly peer: PeerIdText
  /**
   * Sends one frame; several parts are joined. Resolves once the buffers have room again: that is not delivery.
   *
   * @throws NodeDaemonError `CLOSED` the stream is over; `TOO_LARGE` the frame is over the protocol's limit
   */
  send(...parts: readonly Uint8Array[]): Promise<void>
  /**
   * The next frame, or null where the other side said that it sends no more. A stream of a killed process may end
   * the same way: only a message of the protocol's own means complete.
   *
   * @throws NodeDaemonError `CLOSED` the stream broke; `PROTOCOL_VIOLATION` a frame was too large or cut
   */
  receive(signal?: AbortSignal): Promise<Uint8Array | null>
  /** Says that no more is sent, after what was sent so far. */
  close(): Promise<void>
  abort(reason: Error): void
  /** Resolves when the stream is over, in whatever way. */
  readonly closed: Promise<void>
}

/** One connection with a peer. */
export interface Link {
  readonly id: string
  readonly peer: PeerIdText
  readonly direction: 'inbound' | 'outbound'
  readonly remoteAddress: string
  /** @throws NodeDaemonError `OUT_OF_REACH` the connection is gone or the other side does not speak the protocol */
  open(protocol: Protocol, signal?: AbortSignal): Promise<Channel>
  /** A plain byte stream. The other side has accepted it on return. Same errors. */
  openBytes(protocol: Protocol, signal?: AbortSignal): Promise<Duplex>
  /** Waits a moment for what was sent, then ends the connection. */
  close(): Promise<void>
  abort(reason: Error): void
  readonly closed: Promise<void>
}

/** Decides who may connect, by key, before anything is multiplexed. */
export interface Gate {
  standing(peer: PeerIdText): 'member' | 'stranger' | 'refused'
}

/** This process on the network. */
export interface Host {
  readonly peerId: PeerIdText
  /** Where it listens, as multiaddrs with the PeerId. Empty when it only dials out. */
  addresses(): readonly string[]
  /** The handler's promise ends the stream: closed where it resolves, aborted where it rejects. */
  handle(protocol: Protocol, handler: (channel: Channel, link: Link) => Promise<void>): Promise<void>
  handleBytes(protocol: Protocol, handler: (stream: Duplex, link: Link) => void): Promise<void>
  /**
   * A new connection of its own to `peer`, on the first address that answers with that key.
   *
   * @throws NodeDaemonError `OUT_OF_REACH` no address answered; `WRONG_COORDINATOR` another key answered
   */
  dial(addresses: readonly string[], peer: PeerIdText, signal?: AbortSignal): Promise<Link>
  /** The open connections with a peer, oldest first. */
  links(peer: PeerIdText): readonly Link[]
  /** Ends every connection with a peer at once. */
  cut(peer: PeerIdText, reason: string): void
  close(): Promise<void>
}

/** Strangers: the longest that a connection of theirs lasts, and how many there may be at once. */
export const STRANGER_MS = 10_000
export const MAX_STRANGERS = 256
