import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Connection, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import { BoundedMap } from '../core/bounded-map.ts'
import type { Clock } from '../core/clock.ts'
import { aborted } from '../core/clock.ts'
import { hasCode, messageOf, NodeDaemonError } from '../core/errors.ts'
import type { Identity } from '../core/identity.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { Logger } from '../core/log.ts'
import type { Protocol } from '../wire/protocol.ts'
import { toDuplex } from './byte-stream.ts'
import { channelOver } from './channel.ts'
import { gatheredTls } from './gathered-tls.ts'
import type { Channel, Gate, Link } from './host.ts'
import type { KadHost } from './kad.ts'
import { ACCEPTED, Libp2pLink } from './libp2p-link.ts'
import { gater, Strangers } from './strangers.ts'
import { WebSocketTransport } from './websocket.ts'

/** A stream window never exceeds the read buffer: a paused stream would be aborted. */
const STREAM_WINDOW_BYTES = 2 * 1024 * 1024
const READ_BUFFER_BYTES = 4 * 1024 * 1024
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024
const MAX_STREAMS_PER_CONNECTION = 1024
const MAX_CONNECTIONS = 10_000
const NOBODY_SPEAKS = '/node-daemon/probe/1.0.0'
const DIAL_MS = 10_000
/** Where there are other addresses to try, one that does not answer so soon is left for later. */
const FIRST_DIAL_MS = 3000
/** For so many peers it is known at which address they were reached. */
const REACHED_MAX = 1000

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

/** A host that connections can be handed to by a web server. */
export interface WebHost extends KadHost {
  /** Takes a connection over whose request asks to be upgraded to a WebSocket: a member comes in. */
  acceptWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Takes no more of them, and ends those that were taken. */
  closeWebSockets(): void
}

/** Starts libp2p: TCP and WebSocket, TLS or noise, yamux; no discovery, no relay, no identify. */
export async function startHost(deps: HostDeps, options: HostOptions): Promise<WebHost> {
  const strangers = new Strangers(deps)
  const webSockets = new WebSocketTransport(deps.clock)
  const node = await createNode(deps, strangers, webSockets, options, [gatheredTls(), noise()])
  const noiseOnly = (): Promise<Libp2p> =>
    createNode(deps, strangers, new WebSocketTransport(deps.clock), { listen: [] }, [noise()])
  const host = new Libp2pHost(deps, node, webSockets, noiseOnly, strangers)
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
  webSockets: WebSocketTransport,
  options: HostOptions,
  connectionEncrypters: NonNullable<Parameters<typeof createLibp2p>[0]>['connectionEncrypters']
): Promise<Libp2p> {
  return createLibp2p({
    privateKey: deps.identity.privateKey,
    addresses: { listen: [...options.listen], announce: [...(options.announce ?? [])] },
    transports: [tcp(), (components) => webSockets.of(components)],
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

interface Served {
  readonly protocol: Protocol
  readonly handler: (stream: Stream, connection: Connection) => void
}

async function register(node: Libp2p, { protocol, handler }: Served): Promise<void> {
  const limits = { maxInboundStreams: protocol.maxStreams, maxOutboundStreams: protocol.maxStreams }
  await node.handle(protocol.id, handler, limits)
}

class Libp2pHost implements WebHost {
  readonly peerId: PeerIdText
  readonly #deps: HostDeps
  readonly #node: Libp2p
  readonly #webSockets: WebSocketTransport
  readonly #strangers: Strangers
  readonly #createNoiseOnly: () => Promise<Libp2p>
  readonly #served: Served[] = []
  #noiseOnly: Promise<Libp2p> | null = null
  #tlsProven = false
  readonly #links = new Map<string, Libp2pLink>()
  readonly #reached = new BoundedMap<PeerIdText, string>(REACHED_MAX)

  constructor(
    deps: HostDeps,
    node: Libp2p,
    webSockets: WebSocketTransport,
    createNoiseOnly: () => Promise<Libp2p>,
    strangers: Strangers
  ) {
    this.peerId = deps.identity.peerId
    this.#deps = deps
    this.#node = node
    this.#webSockets = webSockets
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
    const failures = new Map<string, string>()
    const late = new Set(lastReachedFirst(addresses, this.#reached.get(peer)))
    for (const ms of late.size > 1 ? [FIRST_DIAL_MS, DIAL_MS] : [DIAL_MS]) {
      for (const address of late) {
        if (signal?.aborted) throw aborted(signal)
        try {
          const target = multiaddr(`${address.replace(/\/p2p\/[^/]*$/, '')}/p2p/${peer}`)
          const link = await this.#dialOne(target, ms, signal)
          this.#reached.set(peer, address)
          return link
        } catch (error) {
          if (signal?.aborted) throw aborted(signal)
          failures.set(address, reasonOf(error))
          if (isWrongKey(error)) throw wrongCoordinator(peer, address, error)
          if (!hasCode(error, 'TIMED_OUT')) late.delete(address)
        }
      }
    }
    this.#reached.delete(peer)
    const reasons = [...failures].map(([address, reason]) => `${address}: ${reason}`)
    throw new NodeDaemonError('OUT_OF_REACH', `${peer} is out of reach (${reasons.join('; ') || 'no address'})`, {
      advice: 'check the address and that the other side is running'
    })
  }

  acceptWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#webSockets.accept(request, socket, head)
  }

  closeWebSockets(): void {
    this.#webSockets.close()
  }

  /**
   * TLS first: it is faster. Its certificates are valid from an hour ago, so that two clocks further apart than that
   * cannot use it. Noise knows no time: where something answers and TLS fails, it is tried with that, and from then on.
   */
  async #dialOne(target: Multiaddr, ms: number, signal: AbortSignal | undefined): Promise<Link> {
    if (this.#noiseOnly !== null) return this.#dialWith(await this.#noiseOnly, target, ms, signal)
    try {
      return await this.#dialWith(this.#node, target, ms, signal)
    } catch (error) {
      if (signal?.aborted || isWrongKey(error) || !hasAnswered(error)) throw error
      const node = await this.#startNoiseOnly()
      const link = await this.#dialWith(node, target, ms, signal).catch(async (second: unknown) => {
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

  async #dialWith(node: Libp2p, target: Multiaddr, ms: number, signal: AbortSignal | undefined): Promise<Link> {
    const limit = AbortSignal.timeout(ms)
    const either = signal === undefined ? limit : AbortSignal.any([signal, limit])
    try {
      const connection = await node.dial(target, { force: true, signal: either })
      if (node === this.#node && !this.#tlsProven) {
        await provenAlive(connection, either)
        this.#tlsProven = true
      }
      return this.#linkOf(connection)
    } catch (error) {
      if (limit.aborted) throw new NodeDaemonError('TIMED_OUT', `timed out after ${ms} ms`, { cause: error })
      throw error
    }
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

const lastReachedFirst = (addresses: readonly string[], last: string | undefined): readonly string[] =>
  last !== undefined && addresses.includes(last) ? [last, ...addresses] : addresses

/** Was somebody there, who then could not be talked with? */
const hasAnswered = (error: unknown): boolean =>
  !/ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|timed? ?out|no valid addresses|no WebSocket/i.test(
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
