import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Has an answer go out on a connection that was asked to upgrade and stays with HTTP. The connection ends after it. */
export function answerOn(socket: Duplex, response: ServerResponse): void {
  response.assignSocket(socket as Socket)
  // A server no longer looks after a connection that was asked to upgrade.
  socket.on('drain', () => response.emit('drain'))
  response.once('finish', () => socket.end())
}
