import { expect, test } from 'vitest'
import { Federation, TOKEN, untilClosed } from './federation.ts'

const AUTH = `Host: h\r\nAuthorization: Bearer ${TOKEN}\r\n`
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n'

/** Each of these means one thing to one server and another thing to the next. */
test.each([
  [
    'length and encoding',
    `POST / HTTP/1.1\r\n${AUTH}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`
  ],
  [
    'encoding and length',
    `POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${SMUGGLED}`
  ],
  ['two lengths', `POST / HTTP/1.1\r\n${AUTH}Content-Length: 0\r\nContent-Length: 40\r\n\r\n${SMUGGLED}`],
  ['two equal lengths', `POST / HTTP/1.1\r\n${AUTH}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx`],
  ['a list of lengths', `POST / HTTP/1.1\r\n${AUTH}Content-Length: 1, 1\r\n\r\nx`],
  ['a signed length', `POST / HTTP/1.1\r\n${AUTH}Content-Length: +1\r\n\r\nx`],
  ['a length in hexadecimal', `POST / HTTP/1.1\r\n${AUTH}Content-Length: 0x1\r\n\r\nx`],
  ['a huge length', `POST / HTTP/1.1\r\n${AUTH}Content-Length: 99999999999999999999\r\n\r\nx`],
  ['an unknown encoding', `POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ['two encodings', `POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  [
    'chunked twice',
    `POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`
  ],
  ['chunked, identity', `POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
  ['an encoding with a tab', `POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n`],
  ['a space before the colon', `POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`],
  ['a folded line', `GET / HTTP/1.1\r\n${AUTH}X-A: b\r\n c\r\n\r\n`],
  ['a folded encoding', `POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
  ['a bare line feed', `GET / HTTP/1.1\n${AUTH}\r\n`],
  ['a bare carriage return', `GET / HTTP/1.1\r\n${AUTH}X-A: b\rX-B: c\r\n\r\n`],
  ['NUL in a value', `GET / HTTP/1.1\r\n${AUTH}X-A: b\0c\r\n\r\n`],
  ['a chunk size that is none', `POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n`],
  ['a negative chunk size', `POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n`],
  [
    'a chunk that is longer than it says',
    `POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n`
  ],
  ['no host', `GET / HTTP/1.1\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`],
  ['no host in HTTP/1.0', `GET / HTTP/1.0\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`],
  ['two hosts', `GET / HTTP/1.1\r\n${AUTH}Host: other\r\n\r\n`],
  ['a host that is none', `GET / HTTP/1.1\r\nHost: a/b"<c>\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`],
  ['an absolute address', `GET http://other/ HTTP/1.1\r\n${AUTH}\r\n`],
  ['a relative address', `GET x HTTP/1.1\r\n${AUTH}\r\n`],
  [
    'an upgrade with a body',
    `GET / HTTP/1.1\r\n${AUTH}Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 40\r\n\r\n${SMUGGLED}`
  ],
  ['garbage', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03']
])('%s: 400, the connection is closed, nothing reaches an instance', async (_name, bytes) => {
  await using fed = await Federation.start()
  const socket = fed.raw()
  socket.write(bytes, 'latin1')
  const answer = await untilClosed(socket)
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1)
  expect(answer.toLowerCase()).toContain('x-served-by: front-door')
  expect([...fed.alpha.seen, ...fed.beta.seen]).toEqual([])
})

test('headers beyond 16 KiB are refused with 431', async () => {
  await using fed = await Federation.start()
  const socket = fed.raw()
  socket.write(`GET / HTTP/1.1\r\n${AUTH}X-A: ${'x'.repeat(17_000)}\r\n\r\n`)
  expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 431 /)
  expect(fed.alpha.seen).toEqual([])
})

test('many small headers all arrive: none is dropped silently', async () => {
  await using fed = await Federation.start()
  const socket = fed.raw()
  const many = Array.from({ length: 2_100 }, (_, i) => `a${i % 10}:\r\n`).join('')
  socket.write(`GET / HTTP/1.1\r\n${many}${AUTH}Connection: close\r\nX-Last: here\r\n\r\n`)
  expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 200 /)
  expect(fed.alpha.seen[0]?.headers['x-last']).toBe('here')
})

test('an expectation other than 100-continue is refused', async () => {
  await using fed = await Federation.start()
  const answer = await fed.ask('GET', '/', { headers: { expect: 'miracles' } })
  expect(answer.status).toBe(417)
})

test('a body that turns malformed on its way never looks whole to the instance', async () => {
  await using fed = await Federation.start()
  const outcome = Promise.withResolvers<string>()
  fed.alpha.serve = async (request) => {
    request.once('end', () => outcome.resolve('whole'))
    request.once('error', () => outcome.resolve('cut off'))
    request.resume()
  }
  const socket = fed.raw()
  socket.write(`POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`)
  while (fed.alpha.seen.length === 0) await new Promise((resolve) => setImmediate(resolve))
  socket.write('zz\r\n')
  expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 400 /)
  expect(await outcome.promise).toBe('cut off')
})

test('a HTTP/1.0 client gets its answer, and the end of the connection', async () => {
  await using fed = await Federation.start()
  const socket = fed.raw()
  socket.write(`GET / HTTP/1.0\r\n${AUTH}\r\n`)
  expect(await untilClosed(socket)).toMatch(/alpha:GET:$/)
})
