import { WebSocket } from 'ws'

const STALL_MS = 60_000

/** A user's WebSocket: one message at a time, which comes back. */
export class WebSocketUser {
  readonly #socket: WebSocket

  private constructor(socket: WebSocket) {
    this.#socket = socket
  }

  static async open(url: string, headers: Readonly<Record<string, string>>): Promise<WebSocketUser> {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), {
      headers,
      perMessageDeflate: false,
      handshakeTimeout: STALL_MS
    })
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    return new WebSocketUser(socket)
  }

  /** Rejects where the message does not come back. */
  ask(message: string): Promise<void> {
    const socket = this.#socket
    return new Promise((resolve, reject) => {
      const onMessage = (answer: unknown): void => {
        socket.removeListener('close', onClose)
        if (String(answer) === message) resolve()
        else reject(new Error('something else came back'))
      }
      const onClose = (): void => {
        socket.removeListener('message', onMessage)
        reject(new Error('the WebSocket was closed'))
      }
      socket.once('message', onMessage)
      socket.once('close', onClose)
      socket.send(message)
    })
  }

  close(): void {
    this.#socket.terminate()
  }
}
