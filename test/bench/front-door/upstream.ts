import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { MIB } from '../benchmark.ts'
import { answerParent } from '../worker.ts'
import { SMALL_BODY_BYTES } from './limits.ts'

/** A plain server behind the proxies: small and large bodies out of memory, and WebSockets that say everything back. */
export interface ToUpstream {
  readonly kind: 'listen'
}

export interface UpstreamListening {
  readonly port: number
}

const small = Buffer.alloc(SMALL_BODY_BYTES, '.')
const part = Buffer.alloc(MIB)

const server = createServer((request, response) => {
  const [, bytes] = /^\/large\/(\d+)$/.exec(request.url ?? '') ?? []
  if (request.method === 'PUT') {
    request.resume()
    request.once('end', () => response.writeHead(204).end())
  } else if (bytes === undefined) {
    response.writeHead(200, { 'content-length': small.length }).end(small)
  } else {
    let left = Number(bytes)
    response.writeHead(200, { 'content-length': left })
    const more = (): void => {
      while (left > 0) {
        const next = part.subarray(0, Math.min(left, part.length))
        left -= next.length
        if (!response.write(next)) return
      }
      response.end()
    }
    response.on('drain', more)
    more()
  }
})
server.keepAliveTimeout = 60_000

const webSockets = new WebSocketServer({ server, perMessageDeflate: false })
webSockets.on('connection', (socket) => {
  socket.on('error', () => socket.terminate())
  socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }))
})

answerParent<ToUpstream>(
  async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
    return { port: (server.address() as AddressInfo).port }
  },
  async () => {
    server.closeAllConnections()
  }
)
