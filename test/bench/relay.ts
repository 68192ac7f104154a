import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Counts the bytes of TCP connections that it passes on, on loopback. */
export class Relay implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #sent = 0
  #received = 0

  private constructor(target: number) {
    this.#server = createServer({ noDelay: true }, (near) => this.#join(near, target))
  }

  /** @param target the port to which everything goes */
  static async start(target: number): Promise<Relay> {
    const relay = new Relay(target)
    await new Promise<void>((resolve, reject) => {
      relay.#server.once('error', reject)
      relay.#server.listen(0, '127.0.0.1', () => resolve())
    })
    return relay
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** By those who connected here. */
  get sentBytes(): number {
    return this.#sent
  }

  /** By those who connected here. */
  get receivedBytes(): number {
    return this.#received
  }

  #join(near: Socket, target: number): void {
    const far = connect({ host: '127.0.0.1', port: target, noDelay: true })
    near.on('data', (bytes) => {
      this.#sent += bytes.length
    })
    far.on('data', (bytes) => {
      this.#received += bytes.length
    })
    for (const [one, other] of [
      [near, far],
      [far, near]
    ] as const) {
      this.#sockets.add(one)
      one.pipe(other)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}
