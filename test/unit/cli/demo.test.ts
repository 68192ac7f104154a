import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { shareOut } from '../../../src/cli/demo/acts.ts'
import { type InputFile, inputFiles, sha256 } from '../../../src/cli/demo/input-files.ts'
import { percentile } from '../../../src/cli/demo/load.ts'
import { forEachOf, newAgent, Tally, WebUser } from '../../../src/cli/demo/web-user.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { systemRandom } from '../../../src/core/random.ts'

interface FrontDoor extends AsyncDisposable {
  readonly tally: Tally
  user(token: string | null): WebUser
}

async function frontDoor(listener: RequestListener): Promise<FrontDoor> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const agent = newAgent()
  const tally = new Tally()
  const signal = new AbortController().signal
  const door = { url: `http://127.0.0.1:${port}`, agent, clock: systemClock(), random: systemRandom(), tally, signal }
  return {
    tally,
    user: (token) => new WebUser('ada', token, door),
    async [Symbol.asyncDispose]() {
      agent.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }
}

const file = (path: string, text = path): InputFile => {
  const bytes = Buffer.from(text)
  return { path, bytes, sha256: sha256(bytes) }
}

async function drained(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of request) text += part
  return text
}

test('what is safe to send again is sent again: a cut connection, 502 and 503', async () => {
  const troubles: RequestListener[] = [
    (request) => void request.socket.destroy(),
    (_request, response) => void response.writeHead(502, { 'x-node-daemon-retry': 'safe' }).end(),
    (_request, response) => void response.writeHead(503, { 'retry-after': '0' }).end()
  ]
  const kept: string[] = []
  await using door = await frontDoor(async (request, response) => {
    const trouble = troubles.shift()
    if (trouble !== undefined) return trouble(request, response)
    kept.push(await drained(request))
    response.writeHead(201, { 'x-served-by': 'alder' }).end()
  })
  const user = door.user('ndu_1')
  expect(await user.save(file('a.txt'))).toBe(true)
  expect(kept).toEqual(['a.txt'])
  expect(user.home).toBe('alder')
  expect(door.tally).toMatchObject({ requests: 1, failed: 0, repeated: 3 })
})

test('a refusal is a failed request, and the file does not count as saved', async () => {
  await using door = await frontDoor((_request, response) => void response.writeHead(507).end())
  const user = door.user('ndu_1')
  expect(await user.save(file('a.txt'))).toBe(false)
  expect(user.saved.size).toBe(0)
  expect(door.tally.failed).toBe(1)
  expect(door.tally.reasons[0]).toContain('507')
})

test('other bytes than those saved are noticed', async () => {
  await using door = await frontDoor((request, response) => void response.end(request.method === 'GET' ? 'other' : ''))
  const user = door.user('ndu_1')
  await user.save(file('a.txt'))
  expect(await user.stillHas('a.txt')).toBe(false)
  expect(door.tally.failed).toBe(1)
})

test('folders are made once before the files in them; one that is there already is fine', async () => {
  const seen: string[] = []
  await using door = await frontDoor((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    response.writeHead(request.method === 'MKCOL' ? 405 : 201).end()
  })
  const user = door.user('ndu_1')
  await user.save(file('a b/c/1.txt'))
  await user.save(file('a b/c/2.txt'))
  expect(seen).toEqual(['MKCOL /a%20b', 'MKCOL /a%20b/c', 'PUT /a%20b/c/1.txt', 'PUT /a%20b/c/2.txt'])
  expect(door.tally.failed).toBe(0)
})

test('a guest keeps the cookie, and says where a change comes from', async () => {
  const headers: IncomingMessage['headers'][] = []
  await using door = await frontDoor((request, response) => {
    headers.push(request.headers)
    response.setHeader('set-cookie', 'nd_session=abc; HttpOnly; Path=/').end()
  })
  const guest = door.user(null)
  await guest.arrive()
  await guest.save(file('a.txt'))
  expect(headers[0]?.cookie).toBeUndefined()
  expect(headers[1]).toMatchObject({ cookie: 'nd_session=abc', origin: expect.stringMatching(/^http:\/\/127/) })
})

test('the demo’s files are regular, visible and bounded; links are not followed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nd-demo-'))
  try {
    await mkdir(join(folder, 'sub'))
    await mkdir(join(folder, '.git'))
    await mkdir(join(folder, 'node_modules'))
    await writeFile(join(folder, 'sub/b.txt'), 'b')
    await writeFile(join(folder, 'a.txt'), 'a')
    await writeFile(join(folder, '.git/x'), 'x')
    await writeFile(join(folder, 'node_modules/x'), 'x')
    await writeFile(join(folder, 'large'), Buffer.alloc(8_000_001))
    await symlink('/etc', join(folder, 'link'))
    const files = await inputFiles(folder)
    expect(files.map(({ path }) => path)).toEqual(['a.txt', 'sub/b.txt'])
    expect(files[0]).toEqual(file('a.txt', 'a'))
    await expect(inputFiles(join(folder, 'sub', 'missing'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(inputFiles(join(folder, '.git'))).resolves.toHaveLength(1)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('the demo’s own files are there, and every file is somebody’s', async () => {
  const files = await inputFiles(null)
  expect(files.length).toBeGreaterThan(20)
  const shares = shareOut(['ada', 'alan', 'grace'], files)
  const paths = new Set(shares.flatMap((share) => share.files.map(({ path }) => path)))
  expect(paths.size).toBe(files.length)
  for (const share of shares) expect(new Set(share.files).size).toBe(share.files.length)
})

test('percentiles are values that were seen', () => {
  expect(percentile([5, 1, 3], 0.5)).toBe(3)
  expect(percentile([5, 1, 3], 0.99)).toBe(5)
  expect(percentile([], 0.5)).toBe(0)
})

test('at most so many at once, all of them, and a failure is not lost', async () => {
  let now = 0
  let most = 0
  const done: number[] = []
  await forEachOf([1, 2, 3, 4, 5], 2, async (item) => {
    now += 1
    most = Math.max(most, now)
    await Promise.resolve()
    done.push(item)
    now -= 1
  })
  expect(most).toBe(2)
  expect(done.toSorted()).toEqual([1, 2, 3, 4, 5])
  await expect(forEachOf([1], 2, () => Promise.reject(new Error('boom')))).rejects.toThrow('boom')
})
