import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  type AbortOptions,
  type ComponentLogger,
  type Connection,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  type MessageStreamDirection,
  type Transport,
  transportSymbol,
  type Upgrader
} from '@libp2p/interface'
import { AbstractMultiaddrConnection, ipPortToMultiaddr } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Uint8ArrayList } from 'uint8arraylist'
import { WebSocket, WebSocketServer } from 'ws'
import { aborted, type Clock, type TimerHandle } from '../core/clock.ts'
import { messageOf, NodeDaemonError } from '../core/errors.ts'
import { webSocketUrl } from './websocket-address.ts'

/** Proxies on the way cut what is silent for a minute. */
const PING_MS = 20_000
/** The largest message that is sent; a larger one that arrives ends the connection. */
const MESSAGE_BYTES = 256 * 1024
/** Bytes that may wait to be sent before the writer is held back, and where it goes on. */
const WRITE_AHEAD_BYTES = { stop: 1024 * 1024, goOn: 256 * 1024 } as const
/** How long the other side may take to say goodbye. */
const CLOSE_MS = 1000
const OPTIONS = { perMessageDeflate: false, maxPayload: MESSAGE_BYTES } as const

/** What libp2p gives a transport. */
export interface TransportComponents {
  readonly upgrader: Upgrader
  readonly logger: ComponentLogger
}

/**
 * libp2p over WebSocket, at `CONNECT_PATH` of a web address. It does not listen: a web server hands it the connections
 * that ask to be upgraded there. What libp2p makes of them, gate, encryption and limits, is the same as over TCP.
 */
export class WebSocketTransport implements Transport {
  readonly [Symbol.toStringTag] = 'node-daemon/websocket'
  readonly [transportSymbol] = true as const
  readonly #clock: Clock
  readonly #server = new WebSocketServer({ ...OPTIONS, noServer: true, clientTracking: false })
  readonly #accepted = new Set<WebSocket>()
  readonly #closing = new AbortController()
  #components: TransportComponents | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Becomes a transport of one libp2p node. */
  of(components: TransportComponents): this {
    this.#components = components
    return this
  }

  /** Takes a connection over whose request asks for an upgrade. One that is no WebSocket is answered and ended. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // One that another front door passes on has no address here.
    const { remoteAddress = '0.0.0.0', remotePort = 0 } = request.socket
    const components = this.#components
    if (components === null || this.#closing.signal.aborted) {
      socket.destroy()
      return
    }
    const from = ipPortToMultiaddr(remoteAddress, remotePort).encapsulate('/ws')
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#accepted.add(webSocket)
      webSocket.once('close', () => this.#accepted.delete(webSocket))
      const connection = this.#over(webSocket, 'inbound', from, components)
      components.upgrader
        .upgradeInbound(connection, { signal: this.#closing.signal })
        .catch((error: unknown) => connection.abort(error instanceof Error ? error : new Error(String(error))))
    })
  }

  /** Takes no more connections, and ends those that were taken. */
  close(): void {
    this.#closing.abort()
    for (const webSocket of this.#accepted) webSocket.terminate()
  }

  async dial(address: Multiaddr, options: DialTransportOptions): Promise<Connection> {
    const url = webSocketUrl(address)
    if (url === null || this.#components === null)
      throw new NodeDaemonError('BAD_REQUEST', `${address} is no WebSocket`)
    const webSocket = await opened(url, options.signal)
    const connection = this.#over(webSocket, 'outbound', address, this.#components)
    try {
      return await options.upgrader.upgradeOutbound(connection, options)
    } catch (error) {
      connection.abort(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
  }

  createListener(_options: CreateListenerOptions): Listener {
    throw new NodeDaemonError('UNEXPECTED', 'WebSockets come in through a web server')
  }

  listenFilter(): Multiaddr[] {
    return []
  }

  dialFilter(addresses: Multiaddr[]): Multiaddr[] {
    return addresses.filter((address) => webSocketUrl(address) !== null)
  }

  #over(
    webSocket: WebSocket,
    direction: MessageStreamDirection,
    remoteAddr: Multiaddr,
    { logger }: TransportComponents
  ): WebSocketConnection {
    const log = logger.forComponent('node-daemon:websocket')
    return new WebSocketConnection(this.#clock, webSocket, { direction, remoteAddr, log })
  }
}

function opened(url: URL, signal: AbortSignal): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(aborted(signal))
    const webSocket = new WebSocket(url, OPTIONS)
    const onAbort = (): void => {
      reject(aborted(signal))
      webSocket.terminate()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    webSocket.once('open', () => {
      signal.removeEventListener('abort', onAbort)
      resolve(webSocket)
    })
    webSocket.on('error', (error) => {
      signal.removeEventListener('abort', onAbort)
      reject(new NodeDaemonError('OUT_OF_REACH', `no WebSocket at ${url.host}: ${messageOf(error)}`, { cause: error }))
    })
  })
}

interface ConnectionInit {
  readonly direction: MessageStreamDirection
  readonly remoteAddr: Multiaddr
  readonly log: ReturnType<ComponentLogger['forComponent']>
}

/** The bytes of one connection as binary messages. */
class WebSocketConnection extends AbstractMultiaddrConnection {
  readonly #clock: Clock
  readonly #webSocket: WebSocket
  #waiting = 0
  #isFull = false
  #answered = true
  #ping: TimerHandle | null = null

  constructor(clock: Clock, webSocket: WebSocket, init: ConnectionInit) {
    super({ ...init, maxMessageSize: MESSAGE_BYTES, inactivityTimeout: Number.POSITIVE_INFINITY })
    this.#clock = clock
    this.#webSocket = webSocket
    webSocket.on('message', (data, isBinary) => {
      if (isBinary && data instanceof Buffer) this.onData(data)
      else this.abort(new NodeDaemonError('PROTOCOL_VIOLATION', 'a message that is not binary'))
    })
    webSocket.on('pong', () => {
      this.#answered = true
    })
    webSocket.on('error', (error) => this.abort(error))
    webSocket.once('close', () => {
      this.#ping?.cancel()
      this.onTransportClosed()
    })
    if (init.direction === 'outbound') this.#keepAlive()
  }

  sendData(data: Uint8ArrayList): { sentBytes: number; canSendMore: boolean } {
    const bytes = data.subarray()
    this.#waiting += bytes.byteLength
    this.#webSocket.send(bytes, { binary: true }, () => this.#sent(bytes.byteLength))
    this.#isFull = this.#waiting >= WRITE_AHEAD_BYTES.stop
    return { sentBytes: bytes.byteLength, canSendMore: !this.#isFull }
  }

  async sendClose(options?: AbortOptions): Promise<void> {
    const webSocket = this.#webSocket
    if (webSocket.readyState === WebSocket.CLOSED) return
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    webSocket.once('close', () => resolve())
    const terminate = (): void => webSocket.terminate()
    const timer = this.#clock.after(CLOSE_MS, terminate)
    options?.signal?.addEventListener('abort', terminate, { once: true })
    webSocket.close()
    // A paused connection would not read the goodbye of the other side.
    webSocket.resume()
    await closed
    timer.cancel()
    options?.signal?.removeEventListener('abort', terminate)
  }

  sendReset(): void {
    this.#webSocket.terminate()
  }

  sendPause(): void {
    this.#webSocket.pause()
  }

  sendResume(): void {
    this.#webSocket.resume()
  }

  #sent(bytes: number): void {
    this.#waiting -= bytes
    if (!this.#isFull || this.#waiting > WRITE_AHEAD_BYTES.goOn) return
    this.#isFull = false
    this.safeDispatchEvent('drain')
  }

  #keepAlive(): void {
    this.#ping = this.#clock.after(PING_MS, () => {
      if (!this.#answered) return this.abort(new NodeDaemonError('TIMED_OUT', 'the other side does not answer'))
      // While it is paused here no answer is read.
      this.#answered = this.#webSocket.isPaused
      this.#webSocket.ping()
      this.#keepAlive()
    })
  }
}
