import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import type { OwnerId, UserId, WorkspaceId } from '../../../src/core/ids.ts'
import type { Rights } from '../../../src/membership/groups.ts'
import { SessionCookies } from '../../../src/routing/cookie.ts'
import type { IngressDeps } from '../../../src/routing/ingress.ts'
import { ALICE, ALICES, COOKIE_KEYS, Federation, FILES, TOKEN, until, untilClosed, untilStill } from './federation.ts'

const GUEST = `guest:${'c'.repeat(32)}` as UserId

const ACCEPTED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-App: yes\r\n\r\n'

const LONG = Array<Buffer>(128).fill(Buffer.alloc(64 * 1024, 'x'))
const LONG_BYTES = 8 * 1024 * 1024

const echo: NonNullable<IngressDeps['upgrade']> = async (_request, { socket, head }) => {
  socket.write(ACCEPTED)
  if (head.length > 0) socket.write(head)
  socket.pipe(socket)
}

function ask(fed: Federation, more = '', path = '/ws'): Socket {
  const socket = fed.raw()
  socket.on('error', () => undefined)
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n${more}\r\n`
  )
  return socket
}

/** Reads until what has come ends with `end`. */
async function read(socket: Socket, end: string): Promise<string> {
  let text = ''
  const onData = (chunk: Buffer): void => {
    text += chunk.toString('latin1')
  }
  socket.on('data', onData)
  await until(() => text.endsWith(end) || socket.closed)
  socket.removeListener('data', onData)
  return text
}

test('a WebSocket passes through, both ways, and does not count as a request under way', async () => {
  await using fed = await Federation.start({ upgrade: echo })
  const socket = ask(fed)
  const head = await read(socket, '\r\n\r\n')
  expect(head).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/)
  expect(head.toLowerCase()).toContain('upgrade: websocket\r\n')
  expect(head).toContain('X-App: yes\r\n')
  expect(head).toContain('x-served-by: alpha\r\n')
  socket.write('hello')
  expect(await read(socket, 'hello')).toBe('hello')
  expect(fed.alpha.seen[0]?.headers).toMatchObject({ upgrade: 'websocket', 'sec-websocket-key': 'k' })
  expect(fed.door.load).toEqual({ held: 0, underWay: 0, webSockets: 1 })
  expect(fed.table.inside).toBe(0)
  socket.destroy()
  await until(() => fed.door.load.webSockets === 0 && fed.alpha.connections === 0)
})

test('a WebSocket of a user who is shut out is closed as soon as its workspace is looked at, and no other', async () => {
  let shutOut = false
  await using fed = await Federation.start({ upgrade: echo, users: { isBlocked: () => shutOut } })
  const socket = ask(fed)
  await read(socket, '\r\n\r\n')
  fed.table.put(ALICE, fed.alpha.serving())
  socket.write('still here')
  expect(await read(socket, 'still here')).toBe('still here')
  shutOut = true
  fed.table.put(ALICE, fed.alpha.serving())
  await untilClosed(socket)
  await until(() => fed.door.load.webSockets === 0)
})

test('what the client sends right behind its request is not lost', async () => {
  await using fed = await Federation.start({ upgrade: echo })
  const socket = ask(fed, '\r\nearly')
  expect(await read(socket, 'early\r\n')).toMatch(/\r\n\r\nearly\r\n$/)
  socket.destroy()
})

test('an upgrade waits like any other request while its workspace moves', async () => {
  await using fed = await Federation.start({ upgrade: echo })
  fed.table.put(ALICE, { state: 'waiting', workspace: ALICES, reason: 'moving' })
  const socket = ask(fed)
  await until(() => fed.door.load.held === 1)
  fed.table.put(ALICE, fed.beta.serving(ALICES, 2))
  expect(await read(socket, '\r\n\r\n')).toContain('x-served-by: beta')
  socket.destroy()
})

test('a WebSocket is closed with 1012 between two frames when its workspace moves', async () => {
  await using fed = await Federation.start({ upgrade: echo })
  const calm = ask(fed)
  await read(calm, '\r\n\r\n')
  const busy = ask(fed)
  await read(busy, '\r\n\r\n')
  busy.write(Buffer.from([0x82, 4, 1, 2]))
  await once(busy, 'data')
  const endings = [untilClosed(calm), untilClosed(busy)]
  fed.table.put(ALICE, { state: 'waiting', workspace: ALICES, reason: 'moving' })
  await once(calm, 'end')
  busy.write(Buffer.from([3, 4, 0x82, 4, 5, 6]))
  expect(await endings[0]).toBe('\x88\x02\x03\xf4')
  expect(await endings[1]).toBe('\x03\x04\x88\x02\x03\xf4')
  await until(() => fed.door.load.webSockets === 0 && fed.alpha.connections === 0)
})

test('a refused upgrade is an answer like any other', async () => {
  await using fed = await Federation.start({
    upgrade: async () => {
      throw new NodeDaemonError('FORBIDDEN', 'no sockets here')
    }
  })
  expect(await untilClosed(ask(fed))).toMatch(/^HTTP\/1\.1 403 .*no sockets here\n$/s)
})

test('without an app that upgrades, the request is served as a plain one', async () => {
  await using fed = await Federation.start()
  expect(await untilClosed(ask(fed))).toMatch(/^HTTP\/1\.1 200 .*alpha:GET:/s)
})

test('a long answer to a declined upgrade comes whole', async () => {
  await using fed = await Federation.start({
    upgrade: (_request, { decline }) => pipeline(Readable.from(LONG), decline())
  })
  expect((await untilClosed(ask(fed))).length).toBeGreaterThan(LONG_BYTES)
})

test('an offer to go on with another form of HTTP is no upgrade', async () => {
  await using fed = await Federation.start({ upgrade: echo })
  fed.alpha.serve = (_request, response) => pipeline(Readable.from(LONG), response)
  const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__' }
  const answer = await fed.ask('GET', '/big', { headers })
  expect([answer.status, answer.text.length]).toEqual([200, LONG_BYTES])
  expect(fed.alpha.seen[0]?.headers.upgrade).toBeUndefined()
})

test('a newcomer, and a page of another site, get no WebSocket', async () => {
  await using fed = await Federation.start({ upgrade: echo })
  const newcomer = fed.raw()
  newcomer.write('GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  expect(await untilClosed(newcomer)).toMatch(/^HTTP\/1\.1 401 /)
  const [setCookie = ''] = (await fed.send('GET', '/')).headers['set-cookie'] ?? []
  const foreign = fed.raw()
  foreign.write(
    `GET /ws HTTP/1.1\r\nHost: h\r\nCookie: ${setCookie.split(';')[0]}\r\nOrigin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`
  )
  expect(await untilClosed(foreign)).toMatch(/^HTTP\/1\.1 403 /)
  expect(fed.alpha.seen).toHaveLength(1)
})

test('when the home dies its WebSockets end', async () => {
  await using fed = await Federation.start({ upgrade: echo })
  const socket = ask(fed)
  await read(socket, '\r\n\r\n')
  fed.alpha.kill()
  expect(await untilClosed(socket)).toBe('')
  await until(() => fed.door.load.webSockets === 0)
})

test('what both sides agree on passes: subprotocols, extensions, and how the app closes', async () => {
  const closing = Buffer.from([0x88, 5, 0x0f, 0xa0, 0x62, 0x79, 0x65])
  await using fed = await Federation.start({
    upgrade: async (request, { socket }) => {
      const { 'sec-websocket-protocol': protocol, 'sec-websocket-extensions': extensions } = request.headers
      socket.write(
        ACCEPTED.replace(
          '\r\n\r\n',
          `\r\nSec-WebSocket-Protocol: ${protocol}\r\nSec-WebSocket-Extensions: ${extensions}\r\n\r\n`
        )
      )
      socket.end(closing)
    }
  })
  const socket = ask(fed, 'Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n')
  const answer = await untilClosed(socket)
  expect(answer).toContain('Sec-WebSocket-Protocol: chat\r\n')
  expect(answer).toContain('Sec-WebSocket-Extensions: permessage-deflate\r\n')
  expect(answer.endsWith(closing.toString('latin1'))).toBe(true)
})

test('a side that does not read stops the other one, and loses nothing', async () => {
  let sent = 0
  const full = Promise.withResolvers<void>()
  await using fed = await Federation.start({
    upgrade: async (_request, { socket }) => {
      socket.write(ACCEPTED)
      const piece = Buffer.alloc(64 * 1024, 'x')
      const more = (): void => {
        while (sent < 64 * 1024 * 1024) {
          sent += piece.length
          if (!socket.write(piece)) {
            full.resolve()
            socket.once('drain', more)
            return
          }
        }
        socket.end()
      }
      more()
    }
  })
  const socket = ask(fed)
  socket.pause()
  await full.promise
  await untilStill(() => sent)
  expect(sent).toBeLessThan(48 * 1024 * 1024)
  const rest = untilClosed(socket)
  socket.resume()
  const received = (await rest).length
  expect(sent).toBe(64 * 1024 * 1024)
  expect(received).toBeGreaterThan(sent)
})

test('a guest may speak by WebSocket where guests may come in, and nobody without a cookie or token', async () => {
  const status = async (anonymous: boolean, cookie: string): Promise<string> => {
    await using fed = await Federation.start({ upgrade: echo, options: { anonymous } })
    fed.table.put(GUEST, fed.alpha.serving('b'.repeat(32) as WorkspaceId))
    const socket = fed.raw()
    socket.on('error', () => undefined)
    const lines = `Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n${cookie}\r\n`
    socket.write(`GET /ws HTTP/1.1\r\n${lines}`)
    const [first] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    return first.toString('latin1').slice(9, 12)
  }
  const cookies = new SessionCookies(COOKIE_KEYS, { secure: false })
  const cookie = `Cookie: ${cookies.issue(GUEST, Date.now()).split(';')[0]}\r\n`
  expect([await status(true, cookie), await status(true, ''), await status(false, cookie)]).toEqual([
    '101',
    '401',
    '401'
  ])
})

test('who would not be let in again does not stay: no right any more, a smaller one, or another token', async () => {
  const lab = 'group:lab' as OwnerId

  /** Open in the workspace of a group; then `change` takes place, and the workspace is touched. */
  async function staysAfter(change: { rights?: Rights | null; user?: UserId | null }): Promise<boolean> {
    const may: { rights: Rights | null; user: UserId | null } = { rights: 'write', user: ALICE }
    await using fed = await Federation.start({
      upgrade: echo,
      groups: { rightsOf: () => may.rights, of: () => [] },
      users: { byToken: async () => (may.user === null ? null : { user: may.user }) }
    })
    fed.table.list = [{ name: FILES, route: { kind: 'path', prefix: '' }, scope: 'group', writers: null }]
    fed.table.put(lab, fed.alpha.serving())
    const socket = ask(fed, '', '/lab/ws')
    await read(socket, '\r\n\r\n')
    Object.assign(may, change)
    fed.table.put(lab, fed.alpha.serving())
    await new Promise((resolve) => setImmediate(resolve))
    socket.write('hello')
    const text = await read(socket, 'hello')
    socket.destroy()
    return text === 'hello'
  }
  expect(await staysAfter({})).toBe(true)
  expect(await staysAfter({ rights: null })).toBe(false)
  expect(await staysAfter({ rights: 'read' })).toBe(false)
  expect(await staysAfter({ user: null })).toBe(false)
})
