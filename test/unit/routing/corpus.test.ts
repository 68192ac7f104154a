import { once } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { UserId, WorkspaceId } from '../../../src/core/ids.ts'
import { FRONT_DOOR_LIMITS } from '../../../src/routing/limits.ts'
import { ALICES_TOKEN, BOBS_WORKSPACE, HOSTILE, type HostileRequest } from '../../corpus/requests.ts'
import { readStrictly, type StrictRequest } from '../../corpus/strict-parser.ts'
import { ALICES, type FakeHome, Federation, TOKEN, until, untilStill } from './federation.ts'

const BOB = 'user:bob' as UserId
const BOBS = 'b'.repeat(32) as WorkspaceId
const BOBS_TOKEN = 'bobs-token'

/** What a parser makes of a request: all on which two of them might disagree. */
type Gist = Pick<StrictRequest, 'method' | 'target' | 'body' | 'trailers'>

/** All that went to one instance: the bytes of each stream, and what its app made of them. */
class Backend {
  readonly home: FakeHome
  readonly #streams: string[] = []
  #seen: Gist[] = []

  constructor(home: FakeHome) {
    this.home = home
    const connect = home.connect.bind(home)
    home.connect = async () => this.#record(await connect())
    home.serve = async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const { method = '', url: target = '', rawTrailers } = request
      const body = Buffer.concat(chunks).toString('latin1')
      const trailers = rawTrailers.flatMap((name, index) =>
        index % 2 === 0 ? [[name.toLowerCase(), rawTrailers[index + 1] ?? ''] as const] : []
      )
      this.#seen.push({ method, target, body, trailers })
      response.end(`${home.name}:${target}:${body.length}\n`)
    }
  }

  #record(stream: Duplex): Duplex {
    if (stream instanceof Socket) stream.setNoDelay(true)
    const index = this.#streams.push('') - 1
    const write = stream.write.bind(stream)
    stream.write = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
      const encoding = typeof rest[0] === 'string' ? (rest[0] as BufferEncoding) : 'utf8'
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk)
      this.#streams[index] += bytes.toString('latin1')
      return (write as (...args: unknown[]) => boolean)(chunk, ...rest)
    }
    return stream
  }

  get bytes(): number {
    return this.#streams.reduce((sum, { length }) => sum + length, 0)
  }

  /** What came since the last call. */
  take(): { readonly streams: readonly string[]; readonly seen: readonly Gist[] } {
    const taken = { streams: this.#streams.filter((bytes) => bytes !== ''), seen: this.#seen }
    this.#streams.fill('')
    this.#seen = []
    return taken
  }
}

let fed: Federation
let alpha: Backend
let beta: Backend

beforeAll(async () => {
  const users = new Map([
    [TOKEN, 'user:alice' as UserId],
    [BOBS_TOKEN, BOB]
  ])
  fed = await Federation.start({
    users: {
      byToken: async (token) => {
        const user = users.get(token)
        return user === undefined ? null : { user }
      }
    }
  })
  fed.table.put(BOB, fed.beta.serving(BOBS))
  alpha = new Backend(fed.alpha)
  beta = new Backend(fed.beta)
})

afterAll(() => fed[Symbol.asyncDispose]())

const gistOf = ({ method, target, body, trailers }: StrictRequest): Gist => ({
  method,
  target: target.replace(/^https?:\/\/[^/?]+\/?/i, '/'),
  body,
  trailers
})
/** Without trailers, which do not all go on. */
const bare = ({ method, target, body }: Gist): string => JSON.stringify([method, target, body])

/** Sends bytes on a connection of their own, and gives what came back until nothing more did. */
async function send(bytes: string, pieces: number): Promise<string> {
  const socket = fed.raw()
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk.toString('latin1')
  })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.setNoDelay(true)
  const size = Math.max(1, Math.ceil(bytes.length / pieces))
  for (let at = 0; at < bytes.length && socket.writable; at += size) {
    socket.write(bytes.slice(at, at + size), 'latin1')
    if (pieces > 1) await new Promise((resolve) => setImmediate(resolve))
  }
  const settled = (): Promise<void> =>
    untilStill(() => answer.length + alpha.bytes + beta.bytes + fed.door.load.underWay + (socket.closed ? 1 : 0))
  await settled()
  // What waits for more of its body is never answered; anything else soon is.
  if (fed.door.load.underWay > 0) {
    for (const end = performance.now() + 100; fed.door.load.underWay > 0 && performance.now() < end; ) await settled()
    await settled()
  }
  socket.end()
  await untilStill(() => answer.length + alpha.bytes + beta.bytes)
  socket.destroy()
  await until(() => fed.door.load.underWay === 0)
  return answer
}

/** Nothing in the lines of an instance may come from what the client said in our names. */
function checkLines({ headers, trailers }: StrictRequest): void {
  const ours = (name: string): string[] => headers.filter(([other]) => other === name).map(([, value]) => value)
  const [workspace] = ours('x-workspace-id')
  expect([undefined, ALICES]).toContain(workspace)
  expect(ours('x-remote-user')).toEqual(workspace === undefined ? [] : ['user:alice'])
  expect(ours('x-node-daemon-epoch')).toEqual(workspace === undefined ? [] : ['1'])
  expect(ours('x-node-daemon-service')).toEqual(['files'])
  expect(ours('x-forwarded-for')).toEqual(['127.0.0.1'])
  expect(ours('x-forwarded-proto')).toEqual(['http'])
  expect(ours('x-forwarded-host')).toEqual(ours('host'))
  expect(ours('x-forwarded-host')).toHaveLength(1)
  const said = JSON.stringify([headers.filter(([name]) => name !== 'x-forwarded-for'), trailers])
  expect(said).not.toMatch(/6\.6\.6\.6|user:bob|\/etc|nd_session|nd_console|uthorization/)
  expect(said).not.toContain(BOBS)
}

async function honest(): Promise<void> {
  const ask = (token: string, path: string): Promise<{ readonly text: string }> =>
    fed.send('GET', path, { headers: { authorization: `Bearer ${token}` } })
  const answers = await Promise.all([ask(TOKEN, '/alices'), ask(BOBS_TOKEN, '/bobs')])
  expect(answers.map(({ text }) => text)).toEqual(['alpha:/alices:0\n', 'beta:/bobs:0\n'])
  const [one, other] = [alpha.take(), beta.take()]
  expect([one.seen.length, other.seen.length]).toEqual([1, 1])
}

/** Not to the letter, and yet of one meaning: it is read, and handed on to the letter. */
const MENDED: ReadonlySet<string> = new Set([
  'bytes: an empty line in LF first',
  'bytes: the protocol RTSP/1.0',
  'chunks: the chunk extension ";a="'
])

async function attack({ name, bytes: text }: HostileRequest, pieces: number): Promise<void> {
  const mended = MENDED.has(name)
  const bytes = text.replaceAll(ALICES_TOKEN, TOKEN).replaceAll(BOBS_WORKSPACE, BOBS)
  const asked = readStrictly(bytes)
  const answer = await send(bytes, pieces)
  const [mine, others] = [alpha.take(), beta.take()]
  expect(others).toEqual({ streams: [], seen: [] })
  const readings = mine.streams.map(readStrictly)
  for (const { end } of readings) expect(end).not.toBe('invalid')
  const reached = readings.flatMap(({ requests }) => requests)
  for (const request of reached) checkLines(request)
  expect(mine.seen.map(bare).sort()).toEqual(reached.map(gistOf).map(bare).sort())
  const may = asked.requests.map(gistOf).map(bare)
  for (const gist of reached.map(gistOf).map(bare)) {
    if (!mended) expect(may).toContain(gist)
    may.splice(may.indexOf(gist), 1)
  }
  const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status))
  if (!mended) expect(statuses.filter((status) => status !== 100).length).toBeLessThanOrEqual(asked.requests.length + 1)
  expect(answer).not.toContain('beta')
  const { length } = asked.requests
  // A connection that piles up more is cut.
  if (length > FRONT_DOOR_LIMITS.pipelined) return
  expect(statuses.filter((status) => status === 200)).toHaveLength(mine.seen.length)
  if (asked.end === 'clean' && length > 0) expect(statuses.length).toBeGreaterThan(0)
}

test('there are enough of them', () => {
  expect(HOSTILE.length).toBeGreaterThanOrEqual(150)
  expect(new Set(HOSTILE.map(({ name }) => name)).size).toBe(HOSTILE.length)
})

test.each(HOSTILE)('$name: reaches nobody else, and means the same to all', async (hostile) => {
  await attack(hostile, 1)
  await attack(hostile, 40)
  await honest()
})
