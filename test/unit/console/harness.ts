import { request } from 'node:http'
import { onTestFinished } from 'vitest'
import { createAdminServer } from '../../../src/console/http-api.ts'
import type { Listener } from '../../../src/console/listener.ts'
import { createMetrics } from '../../../src/console/metrics.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { silent } from '../../../src/core/log.ts'
import { FakeAccounts, FakeCoordinator } from './fakes.ts'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  readonly json: unknown
  readonly trailers: Readonly<Record<string, string | undefined>>
}

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | object
}

/** One request over a connection of its own, to a port or a unix socket. */
export function ask(to: { port: number } | { socketPath: string }, path: string, asked: Asked = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const { method = 'GET', body } = asked
  const content = typeof body === 'object' ? JSON.stringify(body) : body
  const headers = {
    ...asked.headers,
    ...(content !== undefined && { 'content-length': String(Buffer.byteLength(content)) })
  }
  const outgoing = request({ host: '127.0.0.1', ...to, path, method, headers, agent: false }, (incoming) => {
    const parts: Buffer[] = []
    incoming.on('data', (part: Buffer) => parts.push(part))
    incoming.on('error', reject)
    incoming.on('end', () => {
      const text = Buffer.concat(parts).toString()
      const { statusCode: status = 0, headers, trailers } = incoming
      resolve({ status, headers, text, json: parsed(text), trailers })
    })
  })
  outgoing.on('error', reject)
  outgoing.end(content)
  return promise
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const bearer = (role: string): Record<string, string> => ({ authorization: `Bearer token-${role}` })

/** The code of an answered error. */
export const codeIn = (answer: Answer): unknown =>
  (answer.json as { error?: { code?: unknown } } | undefined)?.error?.code

/** An admin listener on a free port, closed when the test ends. */
export async function startAdmin(options: { hosts?: string[]; secure?: boolean } = {}): Promise<{
  port: number
  server: Listener
  service: FakeCoordinator
  accounts: FakeAccounts
  ask(path: string, asked?: Asked): Promise<Answer>
  /** The headers of a signed-in console. */
  signIn(role: string): Promise<{ cookie: string; csrf: string }>
}> {
  const service = new FakeCoordinator()
  const accounts = new FakeAccounts()
  const server = createAdminServer(
    { service, accounts, metrics: createMetrics(service), clock: systemClock(), log: silent },
    { hosts: options.hosts ?? [], secure: options.secure ?? false }
  )
  const port = await server.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => server.close())
  const askHere = (path: string, asked?: Asked): Promise<Answer> => ask({ port }, path, asked)
  return {
    port,
    server,
    service,
    accounts,
    ask: askHere,
    async signIn(role) {
      const answer = await askHere('/session', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: { token: `token-${role}` }
      })
      const [cookie = ''] = String(answer.headers['set-cookie']).split(';')
      return { cookie, csrf: (answer.json as { csrf: string }).csrf }
    }
  }
}
