import { once } from 'node:events'
import { request } from 'node:http'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { ALICE, ALICES, TOKEN } from './federation.ts'
import { RoutedFederation, readBytes } from './routed.ts'

const SPOOFED = {
  'x-workspace-id': 'b'.repeat(32),
  'x-node-daemon-epoch': '9',
  'x-node-daemon-ticket': 'mine',
  'x-remote-user': 'user:bob',
  x_remote_user: 'user:bob',
  'x-forwarded-prefix': '/elsewhere'
}

test('the front door asks the instance at its address, and what the client says of itself does not count', async () => {
  await using routed = await RoutedFederation.start('direct')
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving(ALICES, 4))
  const answer = await fed.ask('PUT', '/notes.txt?a=b', { body: 'words', headers: SPOOFED })
  expect(answer).toMatchObject({ status: 200, text: 'alpha:PUT:words' })
  expect(answer.headers['x-served-by']).toBe('alpha')
  expect(alpha.tunnelled).toBe(0)
  const [reached] = alpha.reached
  expect(reached?.url).toBe('/notes.txt?a=b')
  expect(reached?.target).toEqual({ workspace: ALICES, epoch: 4, service: 'files', prefix: '', user: ALICE })
  const names = reached?.raw.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()) ?? []
  expect(names).not.toContain('x-node-daemon-ticket')
  expect(names.filter((name) => name.replaceAll('_', '-') === 'x-remote-user')).toHaveLength(1)
  expect(reached?.headers['x-forwarded-for']).toBe('127.0.0.1')
  expect(reached?.headers['x-forwarded-prefix']).toBeUndefined()
})

test('a large body goes through once the instance wants it, and connections are used again', async () => {
  await using routed = await RoutedFederation.start('direct')
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving())
  alpha.serve = async (incoming, response) => {
    let bytes = 0
    for await (const chunk of incoming as AsyncIterable<Buffer>) bytes += chunk.length
    response.end(String(bytes))
  }
  for (let round = 0; round < 3; round++) {
    const answer = await fed.ask('PUT', '/large', { body: 'x'.repeat(3_000_000) })
    expect(answer.text).toBe('3000000')
  }
  expect(alpha.tunnelled).toBe(0)
})

test('a body that the instance does not want is not taken for the next request', async () => {
  await using routed = await RoutedFederation.start('direct')
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving())
  alpha.serve = async (_incoming, response) => {
    response.writeHead(409, { 'content-length': '0' }).end()
  }
  for (let round = 0; round < 3; round++) {
    expect(
      (await fed.ask('PUT', '/large', { body: 'GET /stolen HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(60_000) })).status
    ).toBe(409)
  }
  expect(alpha.reached.map(({ url }) => url)).toEqual(['/large', '/large', '/large'])
})

test('a WebSocket goes the same way', async () => {
  await using routed = await RoutedFederation.start('direct')
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving())
  const headers = { connection: 'Upgrade', upgrade: 'echo', authorization: `Bearer ${TOKEN}` }
  const opened = request({ host: '127.0.0.1', port: fed.port, path: '/live', headers, agent: false })
  opened.end()
  const [, socket] = (await once(opened, 'upgrade')) as [unknown, Socket]
  socket.write('hello')
  expect(await readBytes(socket, 5)).toBe('hello')
  socket.destroy()
  expect(alpha.tunnelled).toBe(0)
})

test('an instance that is not the home (any more) is not asked twice: the request goes where the workspace is', async () => {
  await using routed = await RoutedFederation.start('direct')
  const { alpha, beta, fed } = routed
  fed.table.put(ALICE, alpha.serving())
  alpha.isHome = false
  const answer = fed.ask('PUT', '/a', { body: 'b' })
  while (fed.door.load.held === 0) await new Promise((resolve) => setImmediate(resolve))
  fed.table.put(ALICE, beta.serving(ALICES, 2))
  expect((await answer).text).toBe('beta:PUT:b')
  expect(alpha.reached).toEqual([])
})

test('where the address does not answer, the tunnel is used, and it is said why', async () => {
  await using routed = await RoutedFederation.start('direct')
  const { alpha, fed, book } = routed
  fed.table.put(ALICE, alpha.serving())
  await alpha.door.close()
  expect((await fed.ask('GET', '/')).text).toBe('alpha:GET:')
  expect(alpha.tunnelled).toBe(1)
  expect(book.state(alpha.peer)).toMatchObject({
    asked: 'direct',
    inUse: 'tunnel',
    reason: expect.stringContaining(alpha.url)
  })
})

test('an address at which another instance answers is not used', async () => {
  await using routed = await RoutedFederation.start('direct')
  const { alpha, beta, fed, book } = routed
  fed.table.put(ALICE, alpha.serving())
  // Alpha says that it is where beta is.
  Object.defineProperty(alpha, 'url', { value: beta.url })
  book.opened(alpha.peer)
  while (book.state(alpha.peer)?.reason === 'its address is being checked')
    await new Promise((next) => setImmediate(next))
  expect(book.state(alpha.peer)?.reason).toContain('signed by')
  expect((await fed.ask('GET', '/')).text).toBe('alpha:GET:')
  expect(alpha.tunnelled).toBe(1)
  expect(beta.reached).toEqual([])
})

test('what an admin says counts more than what the instance offers', async () => {
  await using routed = await RoutedFederation.start('direct')
  const { alpha, fed, book, labels } = routed
  fed.table.put(ALICE, alpha.serving())
  labels.set(alpha.peer, 'tunnel')
  book.relabelled(alpha.peer)
  expect(book.state(alpha.peer)).toMatchObject({ inUse: 'tunnel', reason: 'the label route=tunnel says so' })
  expect((await fed.ask('GET', '/')).text).toBe('alpha:GET:')
  expect(alpha.tunnelled).toBe(1)
  labels.set(alpha.peer, 'redirect')
  book.relabelled(alpha.peer)
  await routed.untilUsed(alpha.peer, 'redirect')
  expect(book.leadsPast(alpha.peer)).toBe(true)
})

test('requests with no ticket, or one that does not count, do nothing', async () => {
  await using routed = await RoutedFederation.start('direct')
  const { alpha } = routed
  const own = { 'x-node-daemon-service': 'files', 'x-workspace-id': ALICES, 'x-node-daemon-epoch': '1' }
  for (const ticket of [undefined, '', 'a.b.c', `${alpha.told[0]?.key}.e30.${'A'.repeat(43)}`]) {
    const headers = { ...own, 'x-remote-user': ALICE, ...(ticket !== undefined && { 'x-node-daemon-ticket': ticket }) }
    const changed = await alpha.ask('/a', { method: 'PUT', headers, body: 'x' })
    expect(changed.status).toBe(421)
    const read = await alpha.ask('/a', { headers })
    expect([307, 421]).toContain(read.status)
  }
  expect(alpha.reached).toEqual([])
})
