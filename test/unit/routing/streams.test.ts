import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { Federation, gate, TOKEN, until, untilClosed } from './federation.ts'

const AUTH = `Host: h\r\nAuthorization: Bearer ${TOKEN}\r\n`
const LINK = '</style.css>; rel=preload; as=style'

test('events of a server come one by one as they are sent, also after a long silence', async () => {
  await using fed = await Federation.start({ options: { holdMs: 0, limits: { idleMs: 300 } } })
  const next = [gate(), gate()]
  fed.alpha.serve = async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    for (const [index, { opened }] of next.entries()) {
      await opened
      response.write(`data: ${index}\n\n`)
    }
  }
  const opened = get({ port: fed.port, path: '/events', headers: { authorization: `Bearer ${TOKEN}` }, agent: false })
  opened.on('error', () => undefined)
  const [stream] = (await once(opened, 'response')) as [IncomingMessage]
  stream.on('error', () => undefined)
  next[0]?.open()
  expect(String((await once(stream, 'data'))[0])).toBe('data: 0\n\n')
  // Several times as long as a connection may idle that waits for its client.
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  next[1]?.open()
  expect(String((await once(stream, 'data'))[0])).toBe('data: 1\n\n')
  opened.destroy()
})

test('hints pass before the answer, but not to a client of HTTP/1.0', async () => {
  await using fed = await Federation.start()
  fed.alpha.serve = async (_request, response) => {
    response.writeProcessing()
    response.writeEarlyHints({ link: [LINK, '</b.js>; rel=preload'] })
    response.end('ok')
  }
  const ask = async (version: string): Promise<string> => {
    const socket = fed.raw()
    socket.write(`GET / HTTP/${version}\r\n${AUTH}Connection: close\r\n\r\n`)
    return untilClosed(socket)
  }
  const answer = await ask('1.1')
  expect(answer.match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 102', 'HTTP/1.1 103', 'HTTP/1.1 200'])
  expect(answer).toContain(LINK)
  expect((await ask('1.0')).match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 200'])
})

test('a client that half-closes its connection is one that goes away', async () => {
  await using fed = await Federation.start()
  const ended = Promise.withResolvers<void>()
  fed.alpha.serve = async (request) => {
    request.socket.once('close', () => ended.resolve())
  }
  const socket = fed.raw()
  socket.write(`GET / HTTP/1.1\r\n${AUTH}\r\n`)
  await until(() => fed.alpha.seen.length === 1)
  socket.end()
  await ended.promise
  await until(() => fed.door.load.underWay === 0)
})

test('an answer without a stated end reaches a client of HTTP/1.0, and the connection is its end', async () => {
  await using fed = await Federation.start()
  fed.alpha.serve = async (_request, response) => {
    response.write('one ')
    response.end('two')
  }
  const socket = fed.raw()
  socket.write(`GET / HTTP/1.0\r\n${AUTH}Connection: keep-alive\r\n\r\n`)
  const answer = await untilClosed(socket)
  expect(answer.toLowerCase()).not.toContain('transfer-encoding')
  expect(answer.endsWith('\r\n\r\none two')).toBe(true)
})

test('a client of HTTP/1.0 that asks for it keeps its connection', async () => {
  await using fed = await Federation.start()
  const socket = fed.raw()
  socket.write(`GET /1 HTTP/1.0\r\n${AUTH}Connection: keep-alive\r\n\r\n`)
  expect(String((await once(socket, 'data'))[0])).toMatch(/\r\nConnection: keep-alive\r\n.*alpha:GET:$/s)
  socket.write(`GET /2 HTTP/1.0\r\n${AUTH}\r\n`)
  await untilClosed(socket)
  expect(fed.alpha.seen.map(({ url }) => url)).toEqual(['/1', '/2'])
})

test('what follows a request that closes its connection is not taken', async () => {
  await using fed = await Federation.start()
  const socket = fed.raw()
  socket.write(`GET /1 HTTP/1.1\r\n${AUTH}Connection: close\r\n\r\nGET /2 HTTP/1.1\r\n${AUTH}\r\n`)
  expect((await untilClosed(socket)).match(/^HTTP\/1\.1/gm)).toHaveLength(1)
  expect(fed.alpha.seen.map(({ url }) => url)).toEqual(['/1'])
})

test('a malformed request behind one that is answered does not take the place of that answer', async () => {
  await using fed = await Federation.start()
  const go = gate()
  fed.alpha.serve = async (_request, response) => {
    await go.opened
    response.end('fine\n')
  }
  const socket = fed.raw()
  socket.write(`GET / HTTP/1.1\r\n${AUTH}\r\nGET / HTTP/1.1\nX\r\n\r\n`)
  await until(() => fed.alpha.seen.length === 1)
  go.open()
  const answer = await untilClosed(socket)
  expect(answer.match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400'])
})

test.each([
  ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${AUTH}\r\n`, 204],
  ['CONNECT', `CONNECT h:443 HTTP/1.1\r\n${AUTH}\r\n`, 405],
  ['HTTP/2.0', `GET / HTTP/2.0\r\n${AUTH}\r\n`, 505]
])('%s is answered by the front door itself', async (_what, bytes, status) => {
  await using fed = await Federation.start()
  const socket = fed.raw()
  socket.write(bytes)
  expect(String((await once(socket, 'data'))[0])).toMatch(
    new RegExp(`^HTTP/1\\.1 ${status} .*x-served-by: front-door`, 's')
  )
  expect(fed.alpha.seen).toEqual([])
  socket.destroy()
})

test('a whole address that names this host is the path in it', async () => {
  await using fed = await Federation.start()
  for (const target of ['http://h/a?b', 'HTTPS://H', 'http://h?b']) {
    const socket = fed.raw()
    socket.write(`GET ${target} HTTP/1.1\r\n${AUTH}Connection: close\r\n\r\n`)
    await untilClosed(socket)
  }
  expect(fed.alpha.seen.map(({ url }) => url)).toEqual(['/a?b', '/', '/?b'])
})
