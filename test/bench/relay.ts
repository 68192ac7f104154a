import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { Transform } from 'node:stream'

/** A line of so many bytes a second: each waits until those before it have passed. */
class Line extends Transform {
  readonly #bytesPerSecond: number
  readonly #passed: { at: number }

  /** @param passed when the last byte of all that share the line has passed; on the clock of `performance.now()` */
  constructor(bytesPerSecond: number, passed: { at: number }) {
    super()
    this.#bytesPerSecond = bytesPerSecond
    this.#passed = passed
  }

  override _transform(bytes: Buffer, _encoding: string, done: (error: null, bytes: Buffer) => void): void {
    const now = performance.now()
    this.#passed.at = Math.max(now, this.#passed.at) + (bytes.length / this.#bytesPerSecond) * 1000
    setTimeout(() => done(null, bytes), this.#passed.at - now)
  }
}

/** Counts the bytes of TCP connections that it passes on, on loopback. */
export class Relay implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #bytesPerSecond: number | null
  readonly #there = { at: 0 }
  readonly #back = { at: 0 }
  #sent = 0
  #received = 0

  private constructor(target: number, bytesPerSecond: number | null) {
    this.#bytesPerSecond = bytesPerSecond
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => this.#join(near, target))
  }

  /**
   * @param target the port to which everything goes
   * @param bytesPerSecond of all connections together, each way; null for as fast as it goes
   */
  static async start(target: number, bytesPerSecond: number | null = null): Promise<Relay> {
    const relay = new Relay(target, bytesPerSecond)
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
    const far = connect({ host: '127.0.0.1', port: target, noDelay: true, allowHalfOpen: true })
    near.on('data', (bytes) => {
      this.#sent += bytes.length
    })
    far.on('data', (bytes) => {
      this.#received += bytes.length
    })
    for (const [one, other, passed] of [
      [near, far, this.#there],
      [far, near, this.#back]
    ] as const) {
      this.#sockets.add(one)
      if (this.#bytesPerSecond === null) one.pipe(other)
      else one.pipe(new Line(this.#bytesPerSecond, passed)).pipe(other)
      // An end passes by itself, after what was written before it.
      one.on('error', () => other.destroy())
      one.on('close', () => this.#sockets.delete(one))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}
