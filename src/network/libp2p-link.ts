import type { Duplex } from 'node:stream'
import type { Connection, Stream } from '@libp2p/interface'
import { aborted } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Protocol } from '../wire/protocol.ts'
import { toDuplex } from './byte-stream.ts'
import { channelOver } from './channel.ts'
import type { Channel, Link } from './host.ts'

/** The first byte of a byte stream: the other side has taken it. */
export const ACCEPTED = Uint8Array.of(1)
const ACCEPT_MS = 10_000

/** One libp2p connection as a link. */
export class Libp2pLink implements Link {
  readonly id: string
  readonly peer: PeerIdText
  readonly direction: 'inbound' | 'outbound'
  readonly remoteAddress: string
  readonly closed: Promise<void>
  readonly connection: Connection

  constructor(connection: Connection) {
    this.connection = connection
    this.id = connection.id
    this.peer = connection.remotePeer.toString() as PeerIdText
    this.direction = connection.direction
    this.remoteAddress = connection.remoteAddr.toString()
    this.closed = new Promise((resolve) => {
      connection.addEventListener('close', () => resolve(), { once: true })
      if (!this.isOpen) resolve()
    })
  }

  get isOpen(): boolean {
    return this.connection.status === 'open'
  }

  async open(protocol: Protocol, signal?: AbortSignal): Promise<Channel> {
    return channelOver(await this.openStream(protocol, signal), this.peer, protocol)
  }

  async openBytes(protocol: Protocol, signal?: AbortSignal): Promise<Duplex> {
    const stream = await this.openStream(protocol, signal)
    const rest = await accepted(stream, signal)
    return toDuplex(stream, rest)
  }

  /** As libp2p has it. Same errors. */
  async openStream(protocol: Protocol, signal?: AbortSignal): Promise<Stream> {
    try {
      return await this.connection.newStream(protocol.id, {
        maxOutboundStreams: protocol.maxStreams,
        ...(signal !== undefined && { signal })
      })
    } catch (error) {
      if (signal?.aborted) throw aborted(signal)
      throw new NodeDaemonError('OUT_OF_REACH', `cannot speak ${protocol.id} with ${this.peer}: ${messageOf(error)}`, {
        cause: error
      })
    }
  }

  async close(): Promise<void> {
    await this.connection.close().catch((error: unknown) => this.abort(error instanceof Error ? error : new Error()))
  }

  abort(reason: Error): void {
    this.connection.abort(reason)
  }
}

/** A stream over the other side's limit opens and is then reset: the first byte says that it was taken. */
function accepted(stream: Stream, signal?: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const fail = (): void => {
      settle()
      stream.abort(new Error('not accepted'))
      reject(new NodeDaemonError('OUT_OF_REACH', 'the other side did not accept the stream'))
    }
    const limit = AbortSignal.timeout(ACCEPT_MS)
    const onMessage = (event: { data: { subarray(): Uint8Array } }): void => {
      const bytes = event.data.subarray()
      settle()
      if (bytes[0] === ACCEPTED[0]) resolve(bytes.subarray(1))
      else fail()
    }
    const settle = (): void => {
      stream.removeEventListener('message', onMessage)
      stream.removeEventListener('close', fail)
      limit.removeEventListener('abort', fail)
      signal?.removeEventListener('abort', fail)
    }
    stream.addEventListener('message', onMessage)
    stream.addEventListener('close', fail)
    limit.addEventListener('abort', fail)
    signal?.addEventListener('abort', fail)
    if (stream.status !== 'open') fail()
  })
}
