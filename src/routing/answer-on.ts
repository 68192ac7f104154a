import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Has an answer go out on a connection that was asked to upgrade and stays with HTTP. The connection ends after it. */
export function answerOn(socket: Duplex, response: ServerResponse): void {
  response.assignSocket(socket as Socket)
  // A server no longer looks after a connection that was asked to upgrade.
  socket.on('drain', () => response.emit('drain'))
  response.once('finish', () => {
    socket.end()
    // Whoever does not read does not see the other side end.
    socket.on('data', () => undefined)
  })
}

/** Breaks a connection that nobody reads yet as soon as the other side is gone, until somebody does read it. */
export function noticeEnd(socket: Duplex): void {
  const look = (): void => {
    socket.read(0)
  }
  const gone = (): void => {
    socket.destroy()
  }
  const leave = (event: string | symbol): void => {
    if (event !== 'data') return
    socket.removeListener('readable', look)
    socket.removeListener('end', gone)
    socket.removeListener('newListener', leave)
  }
  socket.on('readable', look)
  socket.once('end', gone)
  socket.on('newListener', leave)
}
