import { request as ask, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream'
import { NodeDaemonError } from '../../core/errors.ts'
import { connectionNames, HOP_BY_HOP, headText } from '../../wire/http.ts'
import { announcedBody, framing } from '../body.ts'
import type { Client } from '../client.ts'
import type { OwnPages, OwnRequest } from '../neighbours.ts'
import { answer } from '../pages.ts'
import type { Upgrade } from '../proxy.ts'
import { BAD_REQUEST } from '../refusals.ts'

const WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH'])
/** Written anew for the coordinator's front door, which believes them. */
const TOLD = /^(?:forwarded|x-forwarded-.*|expect|content-length|host)$/i

export interface PassOwnDeps {
  /** A byte stream to the coordinator's front door. @throws NodeDaemonError `OUT_OF_REACH`, `BUSY` */
  readonly open: () => Promise<Duplex>
  /** The header of a sign-on proxy, in lower case; null: none. */
  readonly userHeader: () => string | null
}

/** The front door's own pages, where the coordinator's front door answers them: it alone knows what they show. */
export function passedOwnPages(deps: PassOwnDeps): OwnPages {
  return {
    async answer(asked) {
      const { request, response, client } = asked
      const method = request.method ?? 'GET'
      const body = announcedBody(request)
      // What follows a request that has no end of its own would be read as the next one, and believed.
      if (body === null || (body.kind !== 'none' && !WITH_BODY.has(method))) {
        response.shouldKeepAlive = false
        return answer(response, BAD_REQUEST)
      }
      const lines = [...linesFor(request, client, deps.userHeader()), ...framing(method, body)]
      await passOn(await deps.open(), asked, lines)
    }
  }
}

/** The header lines of a request for the next hop alone are left out, and who asks is told anew. */
function linesFor({ rawHeaders, headers }: IncomingMessage, client: Client, userHeader: string | null): string[] {
  const named = connectionNames(headers.connection)
  const lines = ['host', headers.host ?? '']
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    const lower = name.toLowerCase()
    const isSignOn = userHeader !== null && lower.replaceAll('_', '-') === userHeader.replaceAll('_', '-')
    if (HOP_BY_HOP.has(lower) || TOLD.test(lower) || named?.has(lower) || (isSignOn && !client.trusted)) continue
    lines.push(name, rawHeaders[index + 1] ?? '')
  }
  const { addresses, scheme, host } = client
  return [...lines, 'x-forwarded-for', addresses, 'x-forwarded-proto', scheme, 'x-forwarded-host', host]
}

function passOn(stream: Duplex, { request, response }: OwnRequest, lines: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = ask({
      createConnection: () => stream,
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      headers: lines,
      setHost: false
    })
    outgoing.once('error', (error) => {
      stream.destroy()
      if (response.headersSent) response.destroy()
      reject(new NodeDaemonError('BUSY', 'the coordinator of this federation does not answer now', { cause: error }))
    })
    outgoing.once('response', (incoming) => {
      const kept: string[] = []
      for (let index = 0; index + 1 < incoming.rawHeaders.length; index += 2) {
        const name = incoming.rawHeaders[index] ?? ''
        if (!HOP_BY_HOP.has(name.toLowerCase())) kept.push(name, incoming.rawHeaders[index + 1] ?? '')
      }
      response.writeHead(incoming.statusCode ?? 502, kept)
      pipeline(incoming, response, () => {
        stream.destroy()
        resolve()
      })
    })
    response.once('close', () => stream.destroy())
    request.on('error', () => undefined)
    request.pipe(outgoing)
  })
}

/** Passes a connection on whose request asks to be upgraded: a member comes in here, and is let in by the coordinator. */
export async function passUpgrade(
  { open, userHeader }: PassOwnDeps,
  request: IncomingMessage,
  upgrade: Upgrade,
  client: Client
): Promise<void> {
  const { socket, head } = upgrade
  socket.on('error', () => undefined)
  try {
    const stream = await open()
    stream.on('error', () => undefined)
    const lines = linesFor(request, client, userHeader())
    lines.push('connection', 'upgrade', 'upgrade', request.headers.upgrade ?? '')
    stream.write(headText(`${request.method} ${request.url} HTTP/1.1`, lines))
    if (head.length > 0) stream.write(head)
    socket.pipe(stream)
    stream.pipe(socket)
    socket.once('close', () => stream.destroy())
    stream.once('close', () => socket.destroy())
    if (socket.destroyed) stream.destroy()
  } catch {
    // Whoever wants to come in tries again by itself.
    socket.destroy()
  }
}
