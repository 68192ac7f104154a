import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { requestHeaders, responseHeaders } from '../../../src/routing/headers.ts'
import { FRONT_DOOR_LIMITS } from '../../../src/routing/limits.ts'
import { withoutSession } from '../../../src/wire/cookies.ts'
import { answerTo, Federation, untilClosed } from './federation.ts'

test('a connection that piles up requests without waiting for answers is cut', async () => {
  await using fed = await Federation.start()
  const reached = Promise.withResolvers<void>()
  fed.alpha.serve = async () => reached.resolve()
  const socket = fed.raw()
  const closed = untilClosed(socket)
  socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(FRONT_DOOR_LIMITS.pipelined + 1))
  await reached.promise
  expect(fed.door.load.underWay).toBe(1)
  socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
  expect(await closed).toBe('')
  await expect.poll(() => fed.door.load.underWay).toBe(0)
})

test('requests that were sent ahead are answered in order', async () => {
  await using fed = await Federation.start()
  const socket = fed.raw()
  const closed = untilClosed(socket)
  for (let index = 0; index < FRONT_DOOR_LIMITS.pipelined; index++) {
    socket.write(`GET /${index} HTTP/1.1\r\nHost: h\r\n\r\n`)
  }
  socket.write('GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  expect((await closed).match(/HTTP\/1\.1 200/g)).toHaveLength(FRONT_DOOR_LIMITS.pipelined + 1)
  expect(fed.alpha.seen.map(({ url }) => url)).toEqual([
    ...Array.from({ length: FRONT_DOOR_LIMITS.pipelined }, (_, index) => `/${index}`),
    '/last'
  ])
})

/** An instance that answers every request with these bytes, and is then done with the connection. */
async function saying(bytes: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(bytes, 'latin1'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    await new Promise((resolve) => server.close(resolve))
  })
  return server
}

test.each([
  ['words that cannot be passed on', 'HTTP/1.1 200 \x01\r\ncontent-length: 2\r\n\r\nhi'],
  ['a DEL for words', 'HTTP/1.1 200 \x7f\r\ncontent-length: 2\r\n\r\nhi'],
  ['a status that is none', 'HTTP/1.1 000 x\r\ncontent-length: 0\r\n\r\n'],
  ['trailers that cannot come', 'HTTP/1.1 200 ok\r\ncontent-length: 2\r\ntrailer: x\r\n\r\nhi'],
  ['a control character', 'HTTP/1.1 200 ok\r\nx-a: \x01\r\ncontent-length: 0\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 ok\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi'],
  ['an encoding that has no end', 'HTTP/1.1 200 ok\r\ntransfer-encoding: gzip\r\n\r\nhi'],
  ['another protocol unasked', 'HTTP/1.1 101 x\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
  ['an old version', 'HTTP/0.9 200 ok\r\n\r\n']
])('an instance that answers with %s: 502, and the front door stays', async (_what, bytes) => {
  const instance = await saying(bytes)
  await using fed = await Federation.start({ options: { holdMs: 0 } })
  fed.alpha.connect = async () => {
    const socket = connect((instance.address() as AddressInfo).port, '127.0.0.1')
    await once(socket, 'connect')
    return socket
  }
  const answer = await fed.ask('GET', '/')
  expect(answer.status).toBe(502)
  expect(answer.headers['x-served-by']).toBe('front-door')
  expect((await fed.ask('GET', '/.well-known/node-daemon')).status).toBe(200)
})

test.each([
  'nd_session=x',
  '=nd_session=x',
  ' = nd_session=x; Path=/',
  '=__Host-nd_session=x',
  'nd_session',
  '=nd_console=x'
])('an instance cannot set %j', (cookie) => {
  expect(responseHeaders(['set-cookie', cookie], { newCookie: false })).toEqual([])
})

test('an instance sets its own cookies', () => {
  const lines = ['set-cookie', 'own=nd_session; Path=/']
  expect(responseHeaders(lines, { newCookie: false })).toEqual(lines)
  expect(withoutSession('own=nd_session; nd_session=x')).toBe('own=nd_session')
})

test('the header of the sign-on proxy never reaches an instance, however it is spelt', () => {
  const raw = ['Host', 'h', 'X_Sso-User', 'mallory', 'X-Sso-User', 'mallory', 'x_sso_user', 'mallory']
  expect(requestHeaders(raw, { connection: undefined, userHeader: 'x_sso_user' })).toEqual(['Host', 'h'])
  expect(requestHeaders(raw, { connection: undefined, userHeader: 'x-sso-user' })).toEqual(['Host', 'h'])
})

test('a host name that a proxy passes on from a client is believed only where it is one', async () => {
  await using fed = await Federation.start({ options: { trustProxy: ['127.0.0.1'] } })
  const told = async (host: string): Promise<unknown> => {
    const opened = fed.open('GET', '/', { 'x-forwarded-host': host })
    opened.end()
    await answerTo(opened)
    return fed.alpha.seen.at(-1)?.headers['x-forwarded-host']
  }
  expect(await told('site.example:8443')).toBe('site.example:8443')
  expect(await told('evil/"><script>')).toBe(`127.0.0.1:${fed.port}`)
})

test('a client that goes away amid requests that wait leaves nothing behind', async () => {
  await using fed = await Federation.start()
  const reached = Promise.withResolvers<void>()
  fed.alpha.serve = async () => reached.resolve()
  const socket = fed.raw()
  socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(3))
  await reached.promise
  socket.destroy()
  await once(socket, 'close')
  await expect.poll(() => fed.door.load.underWay).toBe(0)
  expect(fed.alpha.seen).toHaveLength(1)
})
