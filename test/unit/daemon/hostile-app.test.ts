import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { NOTHING_USED } from '../../../src/apps/allowance.ts'
import type { AppRequestContext } from '../../../src/apps/app.ts'
import { upstreamApp } from '../../../src/apps/upstream/upstream.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { silent } from '../../../src/core/log.ts'
import type { IngressDeps } from '../../../src/routing/ingress.ts'
import { ALICE, ALICES, Federation, TOKEN, until, untilClosed } from '../routing/federation.ts'
import { RoutedFederation } from '../routing/routed.ts'

const AUTH = `Host: h\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n`

type Say = (socket: Socket, request: string) => void

/** An app that says to each request what `say` writes. */
async function appThatSays(say: Say): Promise<IngressDeps['serve']> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => say(socket, bytes.toString('latin1')))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const app = upstreamApp({ clock: systemClock(), log: silent }, { host: '127.0.0.1', port })
  const context: AppRequestContext = {
    workspace: ALICES,
    folder: '/nowhere',
    staging: '/nowhere',
    user: 'user:alice',
    userLabel: 'alice',
    served: 'alpha',
    base: '',
    wrote: async () => undefined,
    settled: async () => undefined,
    allowance: NOTHING_USED
  }
  onTestFinished(async () => {
    await app.close()
    await new Promise((resolve) => server.close(resolve))
  })
  return (request, response) => app.handle(request, response, context)
}

/** A front door, and an instance with such an app. */
async function withApp(say: Say): Promise<Federation> {
  const serve = await appThatSays(say)
  const fed = await Federation.start({ options: { holdMs: 100 } })
  fed.alpha.serve = serve
  onTestFinished(() => fed[Symbol.asyncDispose]())
  return fed
}

/** What a client gets to read, byte by byte. */
async function told(fed: Federation, method = 'GET'): Promise<string> {
  const socket = fed.raw()
  socket.write(`${method} /x HTTP/1.1\r\n${AUTH}\r\n`)
  return untilClosed(socket)
}

const OK = 'HTTP/1.1 200 OK\r\n'

test.each([
  ['a length', `${OK}Content-Length: 2\r\n\r\nhi`],
  ['chunks', `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\nX-T: t\r\n\r\n`],
  ['the end of the connection', `${OK}\r\nhi`],
  ['the end of the connection, in HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nhi'],
  ['a length, and a second answer behind it', `${OK}Content-Length: 2\r\n\r\nhi${OK}Content-Length: 4\r\n\r\nevil`],
  ['a hint before it', `HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n${OK}Content-Length: 2\r\n\r\nhi`],
  ['words in place of OK', 'HTTP/1.1 200 Very well, thank you\r\nContent-Length: 2\r\n\r\nhi']
])('an answer with %s comes whole, once', async (_what, bytes) => {
  const fed = await withApp((socket) => socket.end(bytes, 'latin1'))
  const answer = await told(fed)
  expect(answer.match(/^HTTP\/1\.1 200 /gm)).toHaveLength(1)
  expect(answer).not.toContain('evil')
  expect(answer.toLowerCase()).toContain('x-served-by: alpha\r\n')
  const body = answer.slice(answer.lastIndexOf('\r\n\r\n', answer.length - 5) + 4)
  expect(body.replaceAll(/\r\n?|\n/g, ' ')).toMatch(/^(?:hi|[12] hi? (?:1 i )?0 (?:X-T: t )? ?)$/)
})

test.each([
  ['nothing', ''],
  ['garbage', '\x16\x03\x01garbage'],
  ['half a head', 'HTTP/1.1 200 OK\r\nContent-Le'],
  ['two lengths', `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!`],
  ['two equal lengths', `${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi`],
  ['a length that is none', `${OK}Content-Length: 0x2\r\n\r\nhi`],
  ['a length and an encoding', `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`],
  ['an encoding that is not known', `${OK}Transfer-Encoding: gzip\r\n\r\nhi`],
  ['two encodings', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`],
  ['a carriage return in a value', `${OK}X-A: b\rSet-Cookie: nd_session=evil\r\nContent-Length: 2\r\n\r\nhi`],
  ['NUL in a value', `${OK}X-A: b\0c\r\nContent-Length: 2\r\n\r\nhi`],
  ['a folded value', `${OK}X-A: b\r\n c\r\nContent-Length: 2\r\n\r\nhi`],
  ['a space before the colon', `${OK}Content-Length : 2\r\n\r\nhi`],
  ['a name that is none', `${OK}X A: b\r\nContent-Length: 2\r\n\r\nhi`],
  ['no status', 'HTTP/1.1 x OK\r\n\r\n'],
  ['a status of no kind', 'HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
  ['another protocol, unasked', 'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
  ['a head of 100 KiB', `${OK}X-A: ${'x'.repeat(100 * 1024)}\r\nContent-Length: 2\r\n\r\nhi`],
  ['hints without end', 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n'.repeat(1_000)]
])('an app that answers %s: 502 or 503, and everybody else is served', async (_what, bytes) => {
  const fed = await withApp((socket, request) =>
    socket.end(request.startsWith('GET /fine') ? `${OK}Content-Length: 4\r\n\r\nfine` : bytes, 'latin1')
  )
  const answer = await told(fed)
  const finals = answer.match(/^HTTP\/1\.1 (?!103)\d+/gm) ?? []
  expect(finals).toHaveLength(1)
  expect(finals[0]).toMatch(/ 50[23]$/)
  expect(answer).not.toContain('evil')
  expect((await fed.ask('GET', '/fine')).text).toBe('fine')
})

test.each([
  ['less than its length', `${OK}Content-Length: 10\r\n\r\nhi`],
  ['chunks without the last one', `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n`],
  ['a chunk that is none', `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n`],
  ['trailers without an end', `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-A: b\r\n`]
])('an answer of %s never looks whole', async (_what, bytes) => {
  const fed = await withApp((socket) => socket.end(bytes, 'latin1'))
  await expect(fed.ask('GET', '/')).rejects.toThrow(/aborted|hang up/)
})

test.each([
  ['HEAD', `${OK}Content-Length: 2\r\n\r\n`, 200],
  ['HEAD', `${OK}Content-Length: 2\r\n\r\nhi`, 200],
  ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', 204],
  ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nETag: "x"\r\n\r\n', 304]
])('the answer to a %s that has no body is over with its head: %j', async (method, bytes, status) => {
  const fed = await withApp((socket) => socket.end(bytes, 'latin1'))
  const answer = await told(fed, method)
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  expect(answer.endsWith('\r\n\r\n')).toBe(true)
})

test('an app can neither set the session nor speak to the front door in the name of its instance', async () => {
  let asked = 0
  const fed = await withApp((socket) => {
    asked += 1
    socket.end(
      'HTTP/1.1 421 No\r\nX-Node-Daemon-Moved: 1\r\nSet-Cookie: nd_session=evil\r\nX-Served-By: evil\r\nContent-Length: 2\r\n\r\nhi'
    )
  })
  const answer = await fed.ask('POST', '/', { body: 'x' })
  expect([answer.status, answer.text, asked]).toEqual([421, 'hi', 1])
  expect(answer.headers['set-cookie']).toBeUndefined()
  expect(answer.headers['x-served-by']).toBe('alpha')
})

test('nor can it past the front door', async () => {
  const serve = await appThatSays((socket) =>
    socket.end(
      `${OK}Set-Cookie: nd_ingress=evil; Path=/\r\nSet-Cookie: =nd_session=evil\r\nSet-Cookie: own=1\r\nX-Served-By: evil\r\nContent-Length: 2\r\n\r\nhi`
    )
  )
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed } = routed
  alpha.serve = serve
  fed.table.put(ALICE, alpha.serving())
  const { location = '' } = (await fed.ask('GET', '/', { headers: { accept: '*/*' } })).headers
  const answer = await alpha.ask(location.slice(alpha.url.length))
  expect([answer.text, answer.headers['set-cookie'], answer.headers['x-served-by']]).toEqual(['hi', ['own=1'], 'alpha'])
})

test('an app that answers before it has read the body is heard, and reads no more of it', async () => {
  const fed = await withApp((socket) =>
    socket.write('HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno')
  )
  const answer = await fed.ask('PUT', '/', { body: 'x'.repeat(3_000_000) })
  expect([answer.status, answer.text]).toEqual([413, 'no'])
})

test('an app that crashes amid its answer, and one that never answers, harm nobody else', async () => {
  const fed = await withApp((socket, request) => {
    if (request.startsWith('GET /crash')) {
      socket.write(`${OK}Content-Length: 100\r\n\r\nhalf`, () => socket.resetAndDestroy())
    } else if (request.startsWith('GET /fine')) socket.end(`${OK}Content-Length: 4\r\n\r\nfine`)
  })
  const hung = Array.from({ length: 50 }, () => {
    const opened = fed.open('GET', '/hang', { authorization: `Bearer ${TOKEN}` })
    opened.on('error', () => undefined).end()
    return opened
  })
  await until(() => fed.alpha.seen.length === 50)
  await expect(fed.ask('GET', '/crash')).rejects.toThrow(/aborted/)
  expect((await fed.ask('GET', '/fine')).text).toBe('fine')
  for (const opened of hung) opened.destroy()
  await until(() => fed.door.load.underWay === 0)
})
