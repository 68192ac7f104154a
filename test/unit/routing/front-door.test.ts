import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import type { UserId } from '../../../src/core/ids.ts'
import { SessionCookies } from '../../../src/routing/cookie.ts'
import {
  ALICE,
  ALICES,
  answerTo,
  COOKIE_KEYS,
  Federation,
  FILES,
  gate,
  NOTES,
  TOKEN,
  until,
  untilClosed,
  untilStill
} from './federation.ts'

const GUEST = `guest:${'c'.repeat(32)}` as UserId
const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const cookieOf = (user: UserId): string =>
  new SessionCookies(COOKIE_KEYS, { secure: false }).issue(user, Date.now()).split(';')[0] ?? ''

test('a request with a token reaches the home of its user, under the headers of the daemon', async () => {
  await using fed = await Federation.start()
  const answer = await fed.ask('PUT', '/a?b=1', {
    body: 'hello',
    headers: { 'x-workspace-id': 'evil', 'x-remote-user': 'user:root', 'x-forwarded-for': '6.6.6.6', 'x-app': 'yes' }
  })
  expect(answer).toMatchObject({ status: 200, text: 'alpha:PUT:hello', headers: { 'x-served-by': 'alpha' } })
  const [seen] = fed.alpha.seen
  expect(seen?.url).toBe('/a?b=1')
  expect(seen?.target).toEqual({ workspace: ALICES, epoch: 1, service: FILES, prefix: '', user: ALICE })
  expect(seen?.headers).toMatchObject({
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': `127.0.0.1:${fed.port}`,
    'x-app': 'yes',
    'content-length': '5'
  })
  expect(seen?.headers).not.toHaveProperty('authorization')
  await until(() => fed.table.inside === 0)
  expect(fed.table.entered).toEqual([ALICES])
})

test('Basic with the token as password is the same user', async () => {
  await using fed = await Federation.start()
  const authorization = `Basic ${btoa(`whoever:${TOKEN}`)}`
  const answer = await fed.send('POST', '/', { headers: { authorization }, body: 'x' })
  expect(answer.text).toBe('alpha:POST:x')
})

test.each([
  ['Bearer wrong', 401],
  ['Bearer blocked-token', 403],
  [`Basic ${btoa('alice:wrong')}`, 401],
  ['Negotiate abc', 401]
])('"%s" is refused with %i, even beside a valid cookie', async (authorization, status) => {
  await using fed = await Federation.start()
  const answer = await fed.send('GET', '/', { headers: { authorization, cookie: cookieOf(GUEST) } })
  expect(answer.status).toBe(status)
  expect(answer.headers['x-served-by']).toBe('front-door')
  if (status === 401) expect(answer.headers['www-authenticate']).toBe('Basic realm="Test", charset="UTF-8"')
  expect(fed.alpha.seen).toEqual([])
})

test.each(['GET', 'HEAD', 'OPTIONS'])('a newcomer %s gets a cookie, an answer, and no workspace', async (method) => {
  await using fed = await Federation.start()
  const answer = await fed.send(method, '/')
  expect(answer.status).toBe(200)
  expect(answer.headers['set-cookie']?.[0]).toMatch(/^nd_session=.*HttpOnly; SameSite=Lax$/)
  expect(answer.headers['cache-control']).toBe('private, no-store')
  expect(fed.alpha.seen[0]?.target).toEqual({ workspace: null, epoch: 0, service: FILES, prefix: '', user: null })
  expect(fed.table.created).toEqual([])
})

test.each(['PUT', 'POST', 'DELETE', 'MKCOL', 'PATCH', 'LOCK', 'PROPFIND'])('a newcomer may not %s', async (method) => {
  await using fed = await Federation.start()
  const answer = await fed.send(method, '/', { body: 'x' })
  expect(answer.status).toBe(401)
  expect(answer.headers['www-authenticate']).toMatch(/^Basic/)
  expect(answer.text).toMatch(/token/)
  expect(fed.alpha.seen).toEqual([])
})

test("a guest's workspace comes into being with the first change", async () => {
  await using fed = await Federation.start()
  const [setCookie = ''] = (await fed.send('GET', '/')).headers['set-cookie'] ?? []
  const cookie = `theme=dark; ${setCookie.split(';')[0]}`
  await fed.send('GET', '/again', { headers: { cookie } })
  expect(fed.table.created).toEqual([])
  const answer = await fed.send('PUT', '/f', { headers: { cookie }, body: 'x' })
  expect(answer.text).toBe('alpha:PUT:x')
  expect(fed.table.created).toHaveLength(1)
  expect(fed.alpha.seen.at(-1)?.target.user).toBe(fed.table.created[0])
  expect(fed.alpha.seen.at(-1)?.headers.cookie).toBe('theme=dark')
})

test('without anonymous use everything but a token is refused', async () => {
  await using fed = await Federation.start({ options: { anonymous: false } })
  expect((await fed.send('GET', '/')).status).toBe(401)
  expect((await fed.send('GET', '/', { headers: { cookie: cookieOf(GUEST) } })).status).toBe(401)
  expect((await fed.ask('GET', '/')).status).toBe(200)
})

test('a forged cookie is a newcomer', async () => {
  await using fed = await Federation.start()
  const cookie = `nd_session=${'c'.repeat(32)}.abc.${'A'.repeat(43)}`
  expect((await fed.send('PUT', '/', { headers: { cookie }, body: 'x' })).status).toBe(401)
  expect((await fed.send('GET', '/', { headers: { cookie } })).headers['set-cookie']).toHaveLength(1)
})

test('an instance is told how much a workspace may hold, by the front door alone', async () => {
  await using fed = await Federation.start()
  const headers = { 'x-node-daemon-limit': '999999' }
  await fed.ask('GET', '/', { headers })
  const place = fed.table.find(FILES, ALICE)
  if (place?.state !== 'serving') throw new Error('she has no workspace')
  fed.table.put(ALICE, { ...place, limitBytes: 1000 })
  await fed.ask('GET', '/', { headers })
  expect(fed.alpha.seen.map(({ target }) => target.limitBytes)).toEqual([undefined, 1000])
})

test('a blocked guest is refused', async () => {
  await using fed = await Federation.start({ users: { isBlocked: (user) => user === GUEST } })
  expect((await fed.send('GET', '/', { headers: { cookie: cookieOf(GUEST) } })).status).toBe(403)
})

test('a change by cookie from another site is refused; a read, and a token, are not', async () => {
  await using fed = await Federation.start()
  const origin = 'http://evil.example'
  const cookie = cookieOf(GUEST)
  expect((await fed.send('POST', '/', { headers: { cookie, origin }, body: 'x' })).status).toBe(403)
  const basic = `Basic ${btoa(`a:${TOKEN}`)}`
  expect((await fed.send('POST', '/', { headers: { authorization: basic, origin }, body: 'x' })).status).toBe(403)
  expect(fed.alpha.seen).toEqual([])
  const own = `http://127.0.0.1:${fed.port}`
  expect((await fed.send('POST', '/', { headers: { cookie, origin: own }, body: 'x' })).status).toBe(200)
  expect((await fed.send('GET', '/', { headers: { cookie, origin } })).status).toBe(200)
  expect((await fed.ask('POST', '/', { headers: { origin }, body: 'x' })).status).toBe(200)
})

test('a trusted proxy is believed, nobody else', async () => {
  const headers = {
    'x-forwarded-for': '9.9.9.9',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'main.example',
    'x-sso': 'alice'
  }
  const options = { trustProxy: ['127.0.0.0/8'], trustUserHeader: 'X-SSO' }
  await using fed = await Federation.start({ options })
  await fed.send('PUT', '/', { headers, body: 'x' })
  expect(fed.alpha.seen[0]?.target.user).toBe(ALICE)
  expect(fed.alpha.seen[0]?.headers).toMatchObject({
    'x-forwarded-for': '9.9.9.9, 127.0.0.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'main.example'
  })
  expect(fed.alpha.seen[0]?.headers).not.toHaveProperty('x-sso')
  await using other = await Federation.start({ options: { ...options, trustProxy: ['10.0.0.0/8'] } })
  expect((await other.send('PUT', '/', { headers, body: 'x' })).status).toBe(401)
  await expect(Federation.start({ options: { trustProxy: ['10.0.0.0/99'] } })).rejects.toThrow(/CIDR/)
})

test('a path prefix chooses the service, and the instance learns of it', async () => {
  await using fed = await Federation.start()
  fed.table.list = [
    ...fed.table.list,
    { name: NOTES, route: { kind: 'path', prefix: '/notes' }, scope: 'user', writers: null }
  ]
  fed.table.put(ALICE, fed.beta.serving('b'.repeat(32) as typeof ALICES), NOTES)
  expect((await fed.ask('GET', '/notes/1')).text).toMatch(/^beta/)
  expect(fed.beta.seen[0]).toMatchObject({ url: '/notes/1', target: { service: NOTES } })
  expect(fed.beta.seen[0]?.headers['x-forwarded-prefix']).toBe('/notes')
  expect((await fed.ask('GET', '/notesy')).text).toMatch(/^alpha/)
})

test('the federation describes itself, and nothing else is reserved', async () => {
  await using fed = await Federation.start()
  const answer = await fed.send('GET', '/.well-known/node-daemon')
  expect(JSON.parse(answer.text)).toEqual({ name: 'Test' })
  expect(answer.headers['x-served-by']).toBe('front-door')
  expect((await fed.send('GET', '/.well-known/node-daemon/secret')).status).toBe(404)
  expect((await fed.send('PUT', '/.well-known/node-daemon', { body: '' })).status).toBe(405)
  expect((await fed.ask('GET', '/.well-known/other')).text).toMatch(/^alpha/)
})

test('where no service is, and where no instance is, that is said', async () => {
  await using fed = await Federation.start()
  fed.table.any = null
  fed.table.room = null
  const cookie = cookieOf(GUEST)
  expect((await fed.send('GET', '/')).status).toBe(503)
  const change = await fed.send('PUT', '/', { headers: { cookie }, body: 'x' })
  expect(change.status).toBe(503)
  expect(change.headers['retry-after']).toBe('2')
  fed.table.list = []
  expect((await fed.ask('GET', '/')).status).toBe(404)
})

test('HEAD, ranges, conditions, empty bodies and error statuses come through as they are', async () => {
  await using fed = await Federation.start()
  fed.alpha.serve = async (request, response) => {
    response.writeHead(request.headers.range ? 206 : 304, 'Some Reason', { etag: '"é"', 'content-length': '2' })
    response.end(request.headers.range ? Buffer.from('ab') : undefined)
  }
  const partial = await fed.ask('GET', '/', { headers: { range: 'bytes=0-1' } })
  expect(partial).toMatchObject({ status: 206, text: 'ab', headers: { etag: '"é"' } })
  expect(await fed.ask('HEAD', '/', { headers: { range: 'bytes=0-1' } })).toMatchObject({
    status: 206,
    text: '',
    headers: { 'content-length': '2' }
  })
  expect((await fed.ask('GET', '/', { headers: { 'if-none-match': '"é"' } })).status).toBe(304)
  for (const method of ['POST', 'PUT', 'DELETE', 'MKCOL']) expect((await fed.ask(method, '/')).status).toBe(304)
})

test('trailers pass both ways', async () => {
  await using fed = await Federation.start()
  let received: NodeJS.Dict<string> = {}
  fed.alpha.serve = async (request, response) => {
    request.resume()
    await once(request, 'end')
    received = request.trailers
    response.writeHead(200, { trailer: 'x-sum' })
    response.write('body')
    response.addTrailers({ 'x-sum': '42' })
    response.end()
  }
  const opened = fed.open('POST', '/', { authorization: `Bearer ${TOKEN}`, trailer: 'x-in', te: 'trailers' })
  const answering = answerTo(opened)
  opened.write('data')
  opened.addTrailers({ 'x-in': '7', 'x-remote-user': 'user:root' })
  opened.end()
  const answer = await answering
  expect(received).toEqual({ 'x-in': '7' })
  expect(fed.alpha.seen[0]?.headers.te).toBe('trailers')
  expect(answer).toMatchObject({ text: 'body', trailers: { 'x-sum': '42' } })
})

test('100 Continue comes when somebody wants the body, not before', async () => {
  await using fed = await Federation.start()
  fed.table.put(ALICE, { state: 'waiting', workspace: ALICES, reason: 'moving' })
  const headers = { authorization: `Bearer ${TOKEN}`, expect: '100-continue', 'content-length': '5' }
  const opened = fed.open('PUT', '/', headers)
  let asked = false
  opened.once('continue', () => {
    asked = true
    opened.end('hello')
  })
  opened.flushHeaders()
  await until(() => fed.door.load.held === 1)
  expect(asked).toBe(false)
  fed.table.put(ALICE, fed.alpha.serving())
  expect((await answerTo(opened)).text).toBe('alpha:PUT:hello')
  expect(asked).toBe(true)
})

test('a large body is asked for by the instance; what it refuses beforehand is not sent', async () => {
  await using fed = await Federation.start()
  fed.alpha.serve = async (_request, response) => {
    response.writeHead(507).end('full')
  }
  const headers = { authorization: `Bearer ${TOKEN}`, expect: '100-continue', 'content-length': String(50e6) }
  const opened = fed.open('PUT', '/', headers)
  let asked = false
  opened.once('continue', () => {
    asked = true
  })
  opened.flushHeaders()
  const answer = await answerTo(opened)
  expect(answer).toMatchObject({ status: 507, text: 'full', headers: { connection: 'close' } })
  expect(asked).toBe(false)
})

test('a large body that the instance wants is asked for', async () => {
  await using fed = await Federation.start()
  const body = 'x'.repeat(2 * 1024 * 1024)
  const headers = { authorization: `Bearer ${TOKEN}`, expect: '100-continue', 'content-length': String(body.length) }
  const opened = fed.open('PUT', '/', headers)
  opened.once('continue', () => opened.end(body))
  opened.flushHeaders()
  expect((await answerTo(opened)).text).toBe(`alpha:PUT:${body}`)
})

test('what a user uploads is heard as it passes, once, and whether it was whole', async () => {
  await using fed = await Federation.start()
  const ask = (body: string): Promise<unknown> =>
    fed.ask('PUT', '/', { body, headers: { authorization: `Bearer ${TOKEN}` } })
  const bodies = ['kept whole'.repeat(10_000), 'passed on'.repeat(300_000)]
  for (const body of bodies) await ask(body)
  await until(() => fed.uploads.heard.every(({ whole }) => whole !== null))
  const told = fed.uploads.heard.map(({ workspace, bytes, whole }) => [workspace, sha256(bytes), whole])
  expect(told).toEqual(bodies.map((body) => [ALICES, sha256(body), true]))

  const cut = fed.open('PUT', '/', { authorization: `Bearer ${TOKEN}`, 'content-length': '3000000' })
  cut.on('error', () => undefined)
  cut.write(Buffer.alloc(1_500_000))
  await until(() => (fed.uploads.heard[2]?.bytes.length ?? 0) > 1_000_000)
  cut.destroy()
  await until(() => fed.uploads.heard[2]?.whole === false)
})

test('64 MiB go through in both directions, no faster than the receiver takes them', async () => {
  await using fed = await Federation.start()
  const size = 64 * 1024 * 1024
  const read = gate()
  fed.alpha.serve = async (request, response) => {
    response.writeHead(200)
    await read.opened
    for await (const chunk of request) if (!response.write(chunk)) await once(response, 'drain')
    response.end()
  }
  const opened = fed.open('POST', '/', { authorization: `Bearer ${TOKEN}` })
  const response = once(opened, 'response') as Promise<[IncomingMessage]>
  const chunk = Buffer.alloc(64 * 1024, 'x')
  let sent = 0
  let received = 0
  let most = 0
  const writing = (async () => {
    while (sent < size) {
      sent += chunk.length
      most = Math.max(most, sent - received)
      if (!opened.write(chunk)) await once(opened, 'drain')
    }
    opened.end()
  })()
  await until(() => fed.alpha.seen.length === 1)
  await untilStill(() => sent)
  expect(sent).toBeLessThan(size)
  read.open()
  const [incoming] = await response
  for await (const part of incoming) received += part.length
  await writing
  expect(received).toBe(size)
  expect(most).toBeLessThan(size / 2)
})

test('a client that does not read stops its instance, and nobody else', async () => {
  await using fed = await Federation.start()
  const size = 64 * 1024 * 1024
  let written = 0
  fed.alpha.serve = async (request, response) => {
    if (request.url === '/small') return void response.end('small')
    const chunk = Buffer.alloc(64 * 1024)
    while (written < size) {
      written += chunk.length
      if (!response.write(chunk)) await once(response, 'drain')
    }
    response.end()
  }
  const opened = fed.open('GET', '/', { authorization: `Bearer ${TOKEN}` })
  const response = once(opened, 'response') as Promise<[IncomingMessage]>
  opened.end()
  const [incoming] = await response
  await untilStill(() => written)
  expect(written).toBeLessThan(size / 2)
  expect((await fed.ask('GET', '/small')).text).toBe('small')
  let received = 0
  for await (const part of incoming) received += part.length
  expect(received).toBe(size)
})

test('a client that goes away takes its request along', async () => {
  await using fed = await Federation.start()
  const cut = gate()
  fed.alpha.serve = async (_request, response) => {
    response.once('close', cut.open)
    response.write('some')
  }
  const opened = fed.open('GET', '/', { authorization: `Bearer ${TOKEN}` })
  opened.on('error', () => undefined)
  opened.end()
  await once(opened, 'response')
  opened.destroy()
  await cut.opened
  await until(() => fed.table.inside === 0 && fed.door.load.underWay === 0)
  expect(fed.table.suspects).toEqual([])
})

test('a body over the limit is refused, stated or not', async () => {
  await using fed = await Federation.start({ options: { maxBodyBytes: 2_000_000 } })
  const stated = fed.open('PUT', '/', { authorization: `Bearer ${TOKEN}`, 'content-length': '2000001' })
  stated.on('error', () => undefined)
  stated.flushHeaders()
  expect((await answerTo(stated)).status).toBe(413)
  expect(fed.alpha.seen).toEqual([])
  fed.alpha.serve = async (request) => {
    for await (const _ of request);
  }
  const unstated = fed.open('PUT', '/', { authorization: `Bearer ${TOKEN}` })
  unstated.on('error', () => undefined)
  unstated.write(Buffer.alloc(2_000_001))
  expect((await answerTo(unstated)).status).toBe(413)
  expect(fed.table.suspects).toEqual([])
})

test('an address that is too long, absolute, or has a fragment is refused', async () => {
  await using fed = await Federation.start()
  expect((await fed.ask('GET', `/${'x'.repeat(8192)}`)).status).toBe(414)
  expect((await fed.ask('GET', 'http://other/')).status).toBe(400)
  expect((await fed.ask('GET', '/a#b')).status).toBe(400)
  expect((await fed.ask('TRACE', '/')).status).toBe(405)
  expect(fed.alpha.seen).toEqual([])
})

test('requests on one connection are carried out one after another', async () => {
  await using fed = await Federation.start()
  const first = gate()
  fed.alpha.serve = async (request, response) => {
    if (request.url === '/1') await first.opened
    response.end(request.url)
  }
  const socket = fed.raw()
  const head = `Host: h\r\nAuthorization: Bearer ${TOKEN}\r\n`
  socket.write(`PUT /1 HTTP/1.1\r\n${head}Content-Length: 1\r\n\r\nx`)
  socket.write(`GET /2 HTTP/1.1\r\n${head}Connection: close\r\n\r\n`)
  await until(() => fed.alpha.seen.length === 1)
  await fed.ask('GET', '/3')
  expect(fed.alpha.seen.map(({ url }) => url)).toEqual(['/1', '/3'])
  first.open()
  expect(await untilClosed(socket)).toMatch(/\/1.*\/2$/s)
})

test('closing lets what is under way come to its end', async () => {
  await using fed = await Federation.start()
  const finish = gate()
  fed.alpha.serve = async (_request, response) => {
    await finish.opened
    response.end('done')
  }
  const answer = fed.ask('GET', '/')
  await until(() => fed.alpha.seen.length === 1)
  const closed = fed.door.close()
  finish.open()
  expect((await answer).text).toBe('done')
  await closed
  await expect(fed.ask('GET', '/')).rejects.toThrow(/ECONNREFUSED/)
})
