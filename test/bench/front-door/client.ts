import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { MIB, percentile } from '../benchmark.ts'
import { answerParent } from '../worker.ts'
import { AnswerReader } from './answer-reader.ts'
import { SMALL_BODY_BYTES } from './limits.ts'

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
    }
  | { readonly kind: 'upload' | 'download'; readonly url: string; readonly token: string; readonly bytes: number }

export interface Answered {
  readonly requests: number
  /** Answers that were no success. */
  readonly failed: number
  readonly ms: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface Transferred {
  readonly ms: number
}

const STALL_MS = 60_000

interface Tally {
  readonly latencies: number[]
  failed: number
}

/** What is put differs each time: equal bytes would be no change. */
function requestText(question: Extract<ToClient, { kind: 'requests' }>, token: string, count: number): string {
  const { url, method, path } = question
  const head = `${method} ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\nauthorization: Bearer ${token}\r\n`
  if (method === 'GET') return `${head}\r\n`
  return `${head}content-length: ${SMALL_BODY_BYTES}\r\n\r\n${String(count).padStart(SMALL_BODY_BYTES, '.')}`
}

/** Asks again and again on one connection until the time is over. */
function keepAsking(
  question: Extract<ToClient, { kind: 'requests' }>,
  token: string,
  until: number,
  tally: Tally
): Promise<void> {
  const { hostname, port } = new URL(question.url)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    let sentAt = 0
    let count = 0
    const ask = (): void => {
      sentAt = performance.now()
      socket.write(requestText(question, token, count++), 'latin1')
    }
    const reader = new AnswerReader((status) => {
      const now = performance.now()
      tally.latencies.push(now - sentAt)
      if (status < 200 || status > 299) tally.failed += 1
      if (now < until) ask()
      else {
        socket.destroy()
        resolve()
      }
    })
    socket.setTimeout(STALL_MS, () => socket.destroy(new Error('no answer came')))
    socket.on('data', (bytes) => {
      try {
        reader.take(bytes)
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    })
    socket.once('connect', ask)
    socket.once('error', reject)
    socket.once('end', () => reject(new Error('the server closed a connection that was in use')))
  })
}

async function requests(question: Extract<ToClient, { kind: 'requests' }>): Promise<Answered> {
  const tally: Tally = { latencies: [], failed: 0 }
  const began = performance.now()
  const until = began + question.durationMs
  await Promise.all(question.tokens.map((token) => keepAsking(question, token, until, tally)))
  return {
    requests: tally.latencies.length,
    failed: tally.failed,
    ms: performance.now() - began,
    p50Ms: percentile(tally.latencies, 0.5),
    p99Ms: percentile(tally.latencies, 0.99)
  }
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
      const fresh = Buffer.from(part.subarray(0, Math.min(left, part.length)))
      if (!asked.write(salted(fresh, number))) await once(asked, 'drain')
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

/** Other bytes for each number, so that equal chunks are not stored once; cheap, since it is not what is measured. */
function salted(part: Buffer, number: number): Buffer {
  const words = new Uint32Array(part.buffer, part.byteOffset, Math.floor(part.length / 4))
  const salt = Math.imul(number + 1, 0x9e3779b1)
  for (let index = 0; index < words.length; index++) words[index] = (words[index] ?? 0) ^ salt
  return part
}

answerParent<ToClient>(
  async (question) =>
    question.kind === 'requests' ? requests(question) : transfer({ ...question, kind: question.kind }),
  async () => undefined
)
