import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../core/clock.ts'
import { NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'

const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const KEEP_ALIVE_MS = 5_000
const HEADER_MAX_BYTES = 16 * 1024
const CONNECTIONS_MAX = 256
const CLOSE_GRACE_MS = 2_000

/** A TCP port, 0 for any that is free, or the path of a unix socket. */
export type ListenAt = { readonly host: string; readonly port: number } | { readonly path: string }

/** An HTTP server with bounds on time, headers and connections, that closes in order. */
export class Listener implements AsyncDisposable {
  readonly #server: Server
  readonly #clock: Clock
  readonly #log: Logger
  readonly #onClose: () => void

  constructor(
    deps: { readonly clock: Clock; readonly log: Logger },
    handlers: {
      handle(request: IncomingMessage, response: ServerResponse): void
      /** Ends what would keep connections open. */
      onClose(): void
    }
  ) {
    this.#clock = deps.clock
    this.#log = deps.log
    this.#onClose = handlers.onClose
    this.#server = createServer(
      {
        headersTimeout: HEADERS_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        keepAliveTimeout: KEEP_ALIVE_MS,
        maxHeaderSize: HEADER_MAX_BYTES
      },
      handlers.handle
    )
    this.#server.maxConnections = CONNECTIONS_MAX
  }

  /**
   * Listens, and tells the TCP port in use (0 for a unix socket). A unix socket is made with the rights that the
   * process's mask leaves: whoever calls keeps its folder closed to others, and sets its mode.
   *
   * @throws NodeDaemonError `PORT_IN_USE`, `BAD_CONFIG` this address cannot be listened on
   */
  listen(at: ListenAt): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const refuse = (cause: NodeJS.ErrnoException): void => reject(cannotListen(at, cause))
    this.#server.once('error', refuse)
    this.#server.listen(at, () => {
      this.#server.off('error', refuse)
      this.#server.on('error', (error) => this.#log.error({ err: error }, 'the admin listener has trouble'))
      const address = this.#server.address() as AddressInfo | string | null
      resolve(address !== null && typeof address === 'object' ? address.port : 0)
    })
    return promise
  }

  /** Takes no more requests, lets those that run end for two seconds, then cuts them. */
  async close(): Promise<void> {
    this.#onClose()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    this.#server.closeIdleConnections()
    const timer = this.#clock.after(CLOSE_GRACE_MS, () => this.#server.closeAllConnections())
    await promise
    timer.cancel()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function cannotListen(at: ListenAt, cause: NodeJS.ErrnoException): NodeDaemonError {
  const place = 'path' in at ? at.path : `${at.host}:${at.port}`
  const inUse = cause.code === 'EADDRINUSE'
  return new NodeDaemonError(
    inUse ? 'PORT_IN_USE' : 'BAD_CONFIG',
    inUse ? `${place} is in use` : `cannot listen on ${place} (${cause.code ?? cause.message})`,
    { cause, advice: 'path' in at ? 'is another daemon running?' : 'choose another with --admin HOST:PORT' }
  )
}
