import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly body: unknown
  readonly token: string | undefined
}

export type Reply = (asked: Asked, response: ServerResponse) => void

export interface FakeDaemon extends AsyncDisposable {
  readonly data: string
  /** Base URL of the same API by TCP. */
  readonly url: string
  readonly asked: Asked[]
}

export const json =
  (body: unknown, status = 200): Reply =>
  (_asked, response) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

export const lines =
  (...views: readonly unknown[]): Reply =>
  (_asked, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    response.end(views.map((view) => `${JSON.stringify(view)}\n`).join(''))
  }

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const part of request) text += part
  return text === '' ? null : JSON.parse(text)
}

/** The API of a daemon on its real unix socket (and a TCP port), with fixed replies by `METHOD /path`. */
export async function fakeDaemon(replies: Readonly<Record<string, Reply>>): Promise<FakeDaemon> {
  const data = await mkdtemp(join(tmpdir(), 'nd-cli-'))
  const asked: Asked[] = []
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '').replace(/^\/api\/v1/, '')
    const method = request.method ?? ''
    const one = { method, path, body: await bodyOf(request), token: request.headers.authorization }
    asked.push(one)
    const reply = replies[`${method} ${path}`]
    if (reply === undefined)
      json({ error: { code: 'NOT_FOUND', message: `no ${path}`, advice: 'look' } }, 404)(one, response)
    else reply(one, response)
  }
  const handler = (request: IncomingMessage, response: ServerResponse): void => void answer(request, response)
  const servers = [createServer(handler), createServer(handler)] as const
  await new Promise<void>((resolve) => servers[0].listen(join(data, 'control.sock'), resolve))
  await new Promise<void>((resolve) => servers[1].listen(0, '127.0.0.1', resolve))
  const address = servers[1].address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    data,
    url: `http://127.0.0.1:${address.port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const server of servers) {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }
      await rm(data, { recursive: true, force: true })
    }
  }
}
