import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { MIB } from '../benchmark.ts'
import { type Answered, type Send, underLoad } from '../load.ts'
import { salted } from '../sync/files.ts'
import { answerParent } from '../worker.ts'
import { SMALL_BODY_BYTES } from './limits.ts'
import { UserConnection } from './user-connection.ts'
import { WebSocketUser } from './web-socket-user.ts'

/** One header line with which a user says who it is. */
export type Sign = readonly [name: string, value: string]

interface Load {
  readonly url: string
  readonly path: string
  /** One connection for each. */
  readonly users: readonly Sign[]
  readonly durationMs: number
  /** Of all together; null for as many as are answered. */
  readonly perSecond: number | null
}

/** The load generator, a process of its own: plain sockets, one request at a time on each. */
export type ToClient =
  | (Load & {
      readonly kind: 'requests'
      readonly method: 'GET' | 'PUT'
      /** Another answer than this is none; null: any of success. */
      readonly status: number | null
    })
  | (Load & { readonly kind: 'round-trips' })
  | { readonly kind: 'upload' | 'download'; readonly url: string; readonly user: Sign; readonly bytes: number }

export interface Transferred {
  readonly ms: number
}

const STALL_MS = 60_000

/** What is put differs each time: equal bytes would be no change. */
let puts = 0

function requestText({ url, method, path }: Extract<ToClient, { kind: 'requests' }>, [name, value]: Sign): string {
  const head = `${method} ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\n${name}: ${value}\r\n`
  if (method === 'GET') return `${head}\r\n`
  return `${head}content-length: ${SMALL_BODY_BYTES}\r\n\r\n`
}

async function requests(question: Extract<ToClient, { kind: 'requests' }>): Promise<Answered> {
  const { url, method, users, status: expected, durationMs, perSecond } = question
  const connections = await Promise.all(users.map(() => UserConnection.open(url)))
  const body = method === 'GET' ? () => '' : () => String(puts++).padStart(SMALL_BODY_BYTES, '.')
  const sends = users.map((user, index): Send => {
    const connection = connections[index]
    const head = requestText(question, user)
    return async () => {
      const status = await connection?.ask(head + body())
      const isGood = expected === null ? status !== undefined && status >= 200 && status < 300 : status === expected
      return isGood ? null : `status ${status}`
    }
  })
  const outcome = await underLoad(sends, durationMs, perSecond)
  for (const connection of connections) connection.close()
  return outcome
}

async function roundTrips({ url, path, users, durationMs, perSecond }: Load): Promise<Answered> {
  const sockets = await Promise.all(users.map(([name, value]) => WebSocketUser.open(url + path, { [name]: value })))
  let messages = 0
  const sends = sockets.map(
    (socket): Send =>
      async () => {
        await socket.ask(String(messages++).padStart(SMALL_BODY_BYTES, '.'))
        return null
      }
  )
  const outcome = await underLoad(sends, durationMs, perSecond)
  for (const socket of sockets) socket.close()
  return outcome
}

async function transfer({ kind, url, user, bytes }: Extract<ToClient, { user: Sign }>): Promise<Transferred> {
  const began = performance.now()
  const [name, value] = user
  const headers = { [name]: value, ...(kind === 'upload' && { 'content-length': bytes }) }
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
  async (question) => {
    if (question.kind === 'requests') return requests(question)
    return question.kind === 'round-trips' ? roundTrips(question) : transfer(question)
  },
  async () => undefined
)
