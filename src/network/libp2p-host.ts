import type { Duplex } from 'node:stream'
import type { Connection, ConnectionGater, PeerId, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
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
import { type Channel, type Gate, type Link, MAX_STRANGERS, STRANGER_MS } from './host.ts'
import type { KadHost } from './kad.ts'
import { ACCEPTED, Libp2pLink } from './libp2p-link.ts'

/** A stream window never exceeds the read buffer: a paused stream would be aborted. */
const STREAM_WINDOW_BYTES = 2 * 1024 * 1024
const READ_BUFFER_BYTES = 4 * 1024 * 1024
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024
const MAX_STREAMS_PER_CONNECTION = 1024
const MAX_CONNECTIONS = 10_000
const NOBODY_SPEAKS = '/node-daemon/probe/1.0.0'
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
export async function startHost(deps: HostDeps, options: HostOptions): Promise<KadHost> {
  const strangers = new Strangers(deps)
  const node = await createNode(deps, strangers, options, [tls(), noise()])
  const host = new Libp2pHost(deps, node, () => createNode(deps, strangers, { listen: [] }, [noise()]), strangers)
  try {
    await node.start()
  } catch (error) {
    await node.stop()
    throw listenError(error, options.listen)
  }
  return host
}

function createNode(
  deps: HostDeps,
  strangers: Strangers,
  options: HostOptions,
  connectionEncrypters: NonNullable<Parameters<typeof createLibp2p>[0]>['connectionEncrypters']
): Promise<Libp2p> {
  return createLibp2p({
    privateKey: deps.identity.privateKey,
    addresses: { listen: [...options.listen], announce: [...(options.announce ?? [])] },
    transports: [tcp()],
    ...(connectionEncrypters !== undefined && { connectionEncrypters }),
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
}

function listenError(error: unknown, listen: readonly string[]): NodeDaemonError {
  const text = messageOf(error)
  if (/EADDRINUSE|in use|no valid addresses|Unsupported|could not listen|failed to listen/i.test(text)) {
    const why = /EADDRINUSE|in use/i.test(text) ? 'is in use' : 'cannot be listened on here'
    return new NodeDaemonError('PORT_IN_USE', `${listen.join(', ')} ${why}`, {
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

interface Served {
  readonly protocol: Protocol
  readonly handler: (stream: Stream, connection: Connection) => void
}

async function register(node: Libp2p, { protocol, handler }: Served): Promise<void> {
  const limits = { maxInboundStreams: protocol.maxStreams, maxOutboundStreams: protocol.maxStreams }
  await node.handle(protocol.id, handler, limits)
}

class Libp2pHost implements KadHost {
  readonly peerId: PeerIdText
  readonly #deps: HostDeps
  readonly #node: Libp2p
  readonly #strangers: Strangers
  readonly #createNoiseOnly: () => Promise<Libp2p>
  readonly #served: Served[] = []
  #noiseOnly: Promise<Libp2p> | null = null
  #tlsProven = false
  readonly #links = new Map<string, Libp2pLink>()

  constructor(deps: HostDeps, node: Libp2p, createNoiseOnly: () => Promise<Libp2p>, strangers: Strangers) {
    this.peerId = deps.identity.peerId
    this.#deps = deps
    this.#node = node
    this.#strangers = strangers
    this.#createNoiseOnly = createNoiseOnly
    this.#watch(node)
  }

  #watch(node: Libp2p): void {
    const { gate, log } = this.#deps
    node.addEventListener('connection:open', ({ detail: connection }) => {
      const link = this.#linkOf(connection)
      if (connection.direction === 'inbound' && gate.standing(link.peer) !== 'member') this.#strangers.admit(connection)
    })
    node.addEventListener('peer:disconnect', ({ detail: peer }) => {
      if (gate.standing(peer.toString() as PeerIdText) === 'member') return
      node.peerStore.delete(peer).catch((error: unknown) => log.debug({ error }, 'a stranger was not forgotten'))
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

  get logger(): KadHost['logger'] {
    return this.#node.logger
  }

  get events(): KadHost['events'] {
    return this.#node
  }

  async handleStreams(
    protocol: Protocol,
    handler: (stream: Stream, connection: Connection) => Promise<void>
  ): Promise<void> {
    await this.#serve(protocol, (stream, link) => handler(stream, link.connection))
  }

  async #serve(protocol: Protocol, serve: (stream: Stream, link: Libp2pLink) => Promise<void>): Promise<void> {
    const handler = (stream: Stream, connection: Connection): void => {
      const link = this.#linkOf(connection)
      if (protocol.open === 'members' && this.#deps.gate.standing(link.peer) !== 'member') {
        stream.abort(new NodeDaemonError('NOT_A_MEMBER', `${link.peer} is not a member`))
        return
      }
      serve(stream, link).catch((error: unknown) => {
        this.#deps.log.debug({ protocol: protocol.id, peer: link.peer, error: messageOf(error) }, 'a stream failed')
        stream.abort(error instanceof Error ? error : new Error(String(error)))
      })
    }
    this.#served.push({ protocol, handler })
    await register(this.#node, { protocol, handler })
    if (this.#noiseOnly !== null) await register(await this.#noiseOnly, { protocol, handler })
  }

  async dial(addresses: readonly string[], peer: PeerIdText, signal?: AbortSignal): Promise<Link> {
    const failures: string[] = []
    for (const address of addresses) {
      if (signal?.aborted) throw aborted(signal)
      try {
        return await this.#dialOne(multiaddr(`${address.replace(/\/p2p\/[^/]*$/, '')}/p2p/${peer}`), signal)
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

  /**
   * TLS first: it is faster. Its certificates are valid from an hour ago, so that two clocks further apart than that
   * cannot use it. Noise knows no time: where something answers and TLS fails, it is tried with that, and from then on.
   */
  async #dialOne(target: Multiaddr, signal: AbortSignal | undefined): Promise<Link> {
    if (this.#noiseOnly !== null) return this.#dialWith(await this.#noiseOnly, target, signal)
    try {
      return await this.#dialWith(this.#node, target, signal)
    } catch (error) {
      if (signal?.aborted || isWrongKey(error) || !hasAnswered(error)) throw error
      const node = await this.#startNoiseOnly()
      const link = await this.#dialWith(node, target, signal).catch(async (second: unknown) => {
        await node.stop()
        throw isWrongKey(second) ? second : error
      })
      this.#noiseOnly = Promise.resolve(node)
      this.#deps.log.warn(
        { error: reasonOf(error) },
        'TLS does not work with the other side: noise is used from now on'
      )
      return link
    }
  }

  async #dialWith(node: Libp2p, target: Multiaddr, signal: AbortSignal | undefined): Promise<Link> {
    const limit = AbortSignal.timeout(DIAL_MS)
    const either = signal === undefined ? limit : AbortSignal.any([signal, limit])
    const connection = await node.dial(target, { force: true, signal: either })
    if (node === this.#node && !this.#tlsProven) {
      await provenAlive(connection, either)
      this.#tlsProven = true
    }
    return this.#linkOf(connection)
  }

  async #startNoiseOnly(): Promise<Libp2p> {
    const node = await this.#createNoiseOnly()
    this.#watch(node)
    await node.start()
    for (const served of this.#served) await register(node, served)
    return node
  }

  links(peer: PeerIdText): readonly Link[] {
    return [...this.#links.values()].filter((link) => link.peer === peer && link.isOpen)
  }

  cut(peer: PeerIdText, reason: string): void {
    for (const link of this.links(peer)) link.abort(new Error(reason))
  }

  async close(): Promise<void> {
    await this.#node.stop()
    await (await this.#noiseOnly)?.stop()
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

const reasonOf = (error: unknown): string =>
  error instanceof AggregateError ? error.errors.map(messageOf).join(', ') : messageOf(error)

/**
 * A certificate that the other side refuses is told only after this side was content. A protocol that nobody speaks is
 * refused by whoever is there: that is the shortest proof of life.
 */
async function provenAlive(connection: Connection, signal: AbortSignal): Promise<void> {
  try {
    const stream = await connection.newStream(NOBODY_SPEAKS, { signal })
    stream.abort(new Error('a probe'))
  } catch (error) {
    if (error instanceof Error && error.name === 'UnsupportedProtocolError') return
    throw error
  }
}

/** Was somebody there, who then could not be talked with? */
const hasAnswered = (error: unknown): boolean =>
  !/ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|timed? ?out|no valid addresses/i.test(
    reasonOf(error)
  )

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
