import type { Duplex } from 'node:stream'
import type { Connection, ConnectionGater, PeerId, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import type { Clock } from '../core/clock.ts'
import { aborted } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Protocol } from '../wire/protocol.ts'
import { toDuplex } from './byte-stream.ts'
import { channelOver } from './channel.ts'
import { type Channel, type Gate, type Host, type Link, MAX_STRANGERS, STRANGER_MS } from './host.ts'

/** A stream window never exceeds the read buffer: a paused stream would be aborted. */
const STREAM_WINDOW_BYTES = 2 * 1024 * 1024
const READ_BUFFER_BYTES = 4 * 1024 * 1024
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024
const MAX_STREAMS_PER_CONNECTION = 1024
const MAX_CONNECTIONS = 10_000
const ACCEPTED = Uint8Array.of(1)
const ACCEPT_MS = 10_000
const DIAL_MS = 10_000

export interface HostDeps {
  readonly identity: Identity
  readonly gate: Gate
  readonly clock: Clock
  readonly log: Logger
}

export interface HostOptions {
  /** Multiaddrs; none for a host that only dials out. */
  readonly listen: readonly string[]
  /** Addresses that others use, where they are not those that it listens on. */
  readonly announce?: readonly string[]
}

/** Starts libp2p: TCP, TLS or noise, yamux; no discovery, no relay, no identify. */
export async function startHost(deps: HostDeps, options: HostOptions): Promise<Host> {
  const strangers = new Strangers(deps)
  const node = await createLibp2p({
    privateKey: deps.identity.privateKey,
    addresses: { listen: [...options.listen], announce: [...(options.announce ?? [])] },
    transports: [tcp()],
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
        maxOutboundStreams: MAX_STREAMS_PER_CONNECTION,
        streamOptions: {
          maxStreamWindowSize: STREAM_WINDOW_BYTES,
          maxReadBufferLength: READ_BUFFER_BYTES,
          maxWriteBufferLength: WRITE_BUFFER_BYTES,
          inactivityTimeout: Number.POSITIVE_INFINITY
        }
      })
    ],
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      maxIncomingPendingConnections: MAX_CONNECTIONS,
      inboundConnectionThreshold: MAX_CONNECTIONS,
      reconnectRetries: 0
    },
    connectionMonitor: { enabled: false },
    connectionGater: gater(deps.gate, strangers),
    start: false
  })
  const host = new Libp2pHost(deps, node, strangers)
  try {
    await node.start()
  } catch (error) {
    await node.stop()
    throw listenError(error, options.listen)
  }
  return host
}

function listenError(error: unknown, listen: readonly string[]): NodeDaemonError {
  const text = messageOf(error)
  if (/EADDRINUSE|in use|no valid addresses|Unsupported|could not listen|failed to listen/i.test(text)) {
    return new NodeDaemonError('PORT_IN_USE', `cannot listen on ${listen.join(', ')}: ${text}`, {
      advice: 'choose another address with --listen, or stop the program that uses the port',
      cause: error
    })
  }
  return new NodeDaemonError('UNEXPECTED', text, { cause: error })
}

function gater(gate: Gate, strangers: Strangers): ConnectionGater {
  return {
    denyDialMultiaddr: () => false,
    denyInboundEncryptedConnection(peerId: PeerId) {
      const standing = gate.standing(peerId.toString() as PeerIdText)
      return standing === 'refused' || (standing === 'stranger' && strangers.full)
    }
  }
}

/** Connections of peers that are no members: few, and each for a short time. */
class Strangers {
  readonly #open = new Set<Connection>()
  readonly #deps: HostDeps

  constructor(deps: HostDeps) {
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

class Libp2pHost implements Host {
  readonly peerId: PeerIdText
  readonly #deps: HostDeps
  readonly #node: Libp2p
  readonly #links = new Map<string, Libp2pLink>()

  constructor(deps: HostDeps, node: Libp2p, strangers: Strangers) {
    this.peerId = deps.identity.peerId
    this.#deps = deps
    this.#node = node
    node.addEventListener('connection:open', ({ detail: connection }) => {
      const link = this.#linkOf(connection)
      if (connection.direction === 'inbound' && deps.gate.standing(link.peer) !== 'member') strangers.admit(connection)
    })
    node.addEventListener('peer:disconnect', ({ detail: peer }) => {
      if (deps.gate.standing(peer.toString() as PeerIdText) === 'member') return
      node.peerStore.delete(peer).catch((error: unknown) => deps.log.debug({ error }, 'a stranger was not forgotten'))
    })
  }

  addresses(): readonly string[] {
    return this.#node.getMultiaddrs().map((address) => address.toString())
  }

  async handle(protocol: Protocol, handler: (channel: Channel, link: Link) => Promise<void>): Promise<void> {
    await this.#serve(protocol, async (stream, link) => {
      const channel = channelOver(stream, link.peer, protocol)
      try {
        await handler(channel, link)
        await channel.close()
      } catch (error) {
        this.#deps.log.debug({ protocol: protocol.id, peer: link.peer, error: messageOf(error) }, 'a stream failed')
        channel.abort(error instanceof Error ? error : new Error(String(error)))
      }
    })
  }

  async handleBytes(protocol: Protocol, handler: (stream: Duplex, link: Link) => void): Promise<void> {
    await this.#serve(protocol, async (stream, link) => {
      stream.send(ACCEPTED)
      handler(toDuplex(stream), link)
    })
  }

  async #serve(protocol: Protocol, serve: (stream: Stream, link: Link) => Promise<void>): Promise<void> {
    await this.#node.handle(
      protocol.id,
      (stream, connection) => {
        const link = this.#linkOf(connection)
        if (protocol.open === 'members' && this.#deps.gate.standing(link.peer) !== 'member') {
          stream.abort(new NodeDaemonError('NOT_A_MEMBER', `${link.peer} is not a member`))
          return
        }
        serve(stream, link).catch((error: unknown) => {
          this.#deps.log.debug({ protocol: protocol.id, peer: link.peer, error: messageOf(error) }, 'a stream failed')
          stream.abort(error instanceof Error ? error : new Error(String(error)))
        })
      },
      { maxInboundStreams: protocol.maxStreams, maxOutboundStreams: protocol.maxStreams }
    )
  }

  async dial(addresses: readonly string[], peer: PeerIdText, signal?: AbortSignal): Promise<Link> {
    const failures: string[] = []
    for (const address of addresses) {
      if (signal?.aborted) throw aborted(signal)
      const limit = AbortSignal.timeout(DIAL_MS)
      try {
        const target = multiaddr(`${address.replace(/\/p2p\/[^/]*$/, '')}/p2p/${peer}`)
        const connection = await this.#node.dial(target, {
          force: true,
          signal: signal === undefined ? limit : AbortSignal.any([signal, limit])
        })
        return this.#linkOf(connection)
      } catch (error) {
        if (signal?.aborted) throw aborted(signal)
        failures.push(`${address}: ${reasonOf(error)}`)
        if (isWrongKey(error)) throw wrongCoordinator(peer, address, error)
      }
    }
    throw new NodeDaemonError('OUT_OF_REACH', `${peer} is out of reach (${failures.join('; ') || 'no address'})`, {
      advice: 'check the address and that the other side is running'
    })
  }

  links(peer: PeerIdText): readonly Link[] {
    return [...this.#links.values()].filter((link) => link.peer === peer && link.isOpen)
  }

  cut(peer: PeerIdText, reason: string): void {
    for (const connection of this.#node.getConnections(peerIdFromString(peer))) connection.abort(new Error(reason))
  }

  async close(): Promise<void> {
    await this.#node.stop()
  }

  #linkOf(connection: Connection): Libp2pLink {
    const known = this.#links.get(connection.id)
    if (known !== undefined) return known
    const link = new Libp2pLink(connection)
    this.#links.set(connection.id, link)
    link.closed.then(
      () => this.#links.delete(connection.id),
      () => undefined
    )
    return link
  }
}

class Libp2pLink implements Link {
  readonly id: string
  readonly peer: PeerIdText
  readonly direction: 'inbound' | 'outbound'
  readonly remoteAddress: string
  readonly closed: Promise<void>
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
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
    return this.#connection.status === 'open'
  }

  async open(protocol: Protocol, signal?: AbortSignal): Promise<Channel> {
    return channelOver(await this.#stream(protocol, signal), this.peer, protocol)
  }

  async openBytes(protocol: Protocol, signal?: AbortSignal): Promise<Duplex> {
    const stream = await this.#stream(protocol, signal)
    const rest = await accepted(stream, signal)
    return toDuplex(stream, rest)
  }

  async #stream(protocol: Protocol, signal?: AbortSignal): Promise<Stream> {
    try {
      return await this.#connection.newStream(protocol.id, {
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
    await this.#connection.close().catch((error: unknown) => this.abort(error instanceof Error ? error : new Error()))
  }

  abort(reason: Error): void {
    this.#connection.abort(reason)
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

const reasonOf = (error: unknown): string =>
  error instanceof AggregateError ? error.errors.map(messageOf).join(', ') : messageOf(error)

function isWrongKey(error: unknown): boolean {
  const errors = error instanceof AggregateError ? error.errors : [error]
  return errors.some((one) => /unexpected peer|does not match expected/i.test(messageOf(one)))
}

function wrongCoordinator(peer: PeerIdText, address: string, cause: unknown): NodeDaemonError {
  return new NodeDaemonError('WRONG_COORDINATOR', `${address} answers with another key than ${peer}`, {
    advice:
      'somebody else may be at that address: ask the admin, and join again with the new address only if they confirm it',
    cause
  })
}
