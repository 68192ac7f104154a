import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect, test } from 'vitest'
import { Federation, TOKEN } from './federation.ts'

const MIB = 1024 * 1024
/** `HUGE_MIB=10240` sends ten gibibytes each way, and a quarter of them in chunks. */
const BYTES = Number(process.env.HUGE_MIB ?? 256) * MIB
const PIECE = Buffer.alloc(256 * 1024, 'x')
/** Buffers that wait to be collected, among them. */
const GROWTH_BYTES_MAX = 96 * MIB

function* pieces(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= PIECE.length) yield left < PIECE.length ? PIECE.subarray(0, left) : PIECE
}

/** How much memory the process has grown at most while `work` ran. */
async function growth(work: () => Promise<void>): Promise<number> {
  const before = process.memoryUsage.rss()
  let most = before
  const look = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss())
  }, 20)
  try {
    await work()
  } finally {
    clearInterval(look)
  }
  return most - before
}

async function upload(fed: Federation, bytes: number, headers: Record<string, string>): Promise<string> {
  const opened = request({
    port: fed.port,
    method: 'PUT',
    path: '/huge',
    headers: { authorization: `Bearer ${TOKEN}`, ...headers },
    agent: false
  })
  const answered = once(opened, 'response') as Promise<[IncomingMessage]>
  await pipeline(Readable.from(pieces(bytes)), opened)
  const [answer] = await answered
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  return text
}

async function download(fed: Federation): Promise<number> {
  const opened = request({ port: fed.port, path: '/huge', headers: { authorization: `Bearer ${TOKEN}` }, agent: false })
  opened.end()
  const [answer] = (await once(opened, 'response')) as [IncomingMessage]
  let received = 0
  for await (const chunk of answer) received += (chunk as Buffer).length
  return received
}

test('huge bodies pass both ways, chunked or not, in memory that stays flat', { timeout: 3_600_000 }, async () => {
  await using fed = await Federation.start()
  fed.alpha.serve = async (incoming, response) => {
    if (incoming.method === 'GET') {
      await pipeline(Readable.from(pieces(BYTES)), response)
      return
    }
    let received = 0
    for await (const chunk of incoming) received += (chunk as Buffer).length
    response.end(String(received))
  }
  fed.uploads.tap = () => ({ write: () => undefined, end: () => undefined })
  // What is made once, for the first streams.
  await upload(fed, 16 * MIB, {})
  const grown = await growth(async () => {
    expect(await upload(fed, BYTES, { 'content-length': String(BYTES) })).toBe(String(BYTES))
    expect(await upload(fed, BYTES / 4, {})).toBe(String(BYTES / 4))
    expect(await download(fed)).toBe(BYTES)
  })
  expect(grown).toBeLessThan(GROWTH_BYTES_MAX)
})
