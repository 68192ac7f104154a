import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { MIB } from '../benchmark.ts'
import { salted } from '../sync/files.ts'
import { answerParent } from '../worker.ts'
import { SMALL_BODY_BYTES } from './limits.ts'
import { type Answered, atFullSpeed, onSchedule, type Send } from './load.ts'
import { UserConnection } from './user-connection.ts'

/** The load generator, a process of its own: plain sockets, one request at a time on each. */
export type ToClient =
  | {
      readonly kind: 'requests'
      readonly url: string
      readonly method: 'GET' | 'PUT'
      readonly path: string
      /** One connection for each. */
      readonly tokens: readonly string[]
      readonly durationMs: number
      /** Of all together; null for as many as are answered. */
      readonly perSecond: number | null
    }
  | { readonly kind: 'upload' | 'download'; readonly url: string; readonly token: string; readonly bytes: number }

export interface Transferred {
  readonly ms: number
}

const STALL_MS = 60_000

/** What is put differs each time: equal bytes would be no change. */
let puts = 0

function requestText({ url, method, path }: Extract<ToClient, { kind: 'requests' }>, token: string): string {
  const head = `${method} ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\nauthorization: Bearer ${token}\r\n`
  if (method === 'GET') return `${head}\r\n`
  return `${head}content-length: ${SMALL_BODY_BYTES}\r\n\r\n`
}

async function requests(question: Extract<ToClient, { kind: 'requests' }>): Promise<Answered> {
  const { url, method, tokens, durationMs, perSecond } = question
  const connections = await Promise.all(tokens.map(() => UserConnection.open(url)))
  const body = method === 'GET' ? () => '' : () => String(puts++).padStart(SMALL_BODY_BYTES, '.')
  const users = connections.map((connection, index): Send => {
    const head = requestText(question, tokens[index] ?? '')
    return async () => {
      const status = await connection.ask(head + body())
      return status >= 200 && status < 300
    }
  })
  const outcome =
    perSecond === null ? await atFullSpeed(users, durationMs) : await onSchedule(users, perSecond, durationMs)
  for (const connection of connections) connection.close()
  return outcome
}

async function transfer({ kind, url, token, bytes }: Extract<ToClient, { token: string }>): Promise<Transferred> {
  const began = performance.now()
  const headers = { authorization: `Bearer ${token}`, ...(kind === 'upload' && { 'content-length': bytes }) }
  const method = kind === 'upload' ? 'PUT' : 'GET'
  const asked = request(url, { method, headers, timeout: STALL_MS })
  const answered = once(asked, 'response')
  if (kind === 'upload') {
    const part = randomFillSync(Buffer.alloc(MIB))
    for (let left = bytes, number = 0; left > 0; left -= part.length, number++) {
      const fresh = salted(part.subarray(0, Math.min(left, part.length)), number)
      if (!asked.write(fresh)) await once(asked, 'drain')
    }
  }
  asked.end()
  const [response] = await answered
  let received = 0
  for await (const part of response) received += part.length
  if (response.statusCode < 200 || response.statusCode > 299) throw new Error(`${method}: ${response.statusCode}`)
  if (kind === 'download' && received !== bytes) throw new Error(`${received} bytes came instead of ${bytes}`)
  return { ms: performance.now() - began }
}

answerParent<ToClient>(
  async (question) =>
    question.kind === 'requests' ? requests(question) : transfer({ ...question, kind: question.kind }),
  async () => undefined
)
