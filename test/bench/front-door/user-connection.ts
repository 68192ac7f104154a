import { connect, type Socket } from 'node:net'
import { AnswerReader } from './answer-reader.ts'

const STALL_MS = 60_000

interface Waiting {
  readonly resolve: (status: number) => void
  readonly reject: (error: Error) => void
}

/** A user's connection to a server: one request at a time. */
export class UserConnection {
  readonly #socket: Socket
  #waiting: Waiting | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    const reader = new AnswerReader((status) => {
      const waiting = this.#waiting
      this.#waiting = null
      waiting?.resolve(status)
    })
    socket.setTimeout(STALL_MS, () => this.#break(new Error('no answer came')))
    socket.on('data', (bytes) => {
      try {
        reader.take(bytes)
      } catch (error) {
        this.#break(error instanceof Error ? error : new Error(String(error)))
      }
    })
    socket.on('error', (error) => this.#break(error))
    socket.once('end', () => this.#break(new Error('the server closed a connection that was in use')))
  }

  static async open(url: string): Promise<UserConnection> {
    const { hostname, port } = new URL(url)
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new UserConnection(socket)
  }

  /** The status of the answer. Rejects where none comes. */
  ask(request: string): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Error('the connection is gone'))
      this.#waiting = { resolve, reject }
      this.#socket.write(request, 'latin1')
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #break(error: Error): void {
    this.#socket.destroy()
    this.#waiting?.reject(error)
    this.#waiting = null
  }
}
