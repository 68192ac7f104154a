import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { systemClock } from '../../../src/core/clock.ts'
import { createIdentity } from '../../../src/core/identity.ts'
import { silent } from '../../../src/core/log.ts'
import type { Gate } from '../../../src/network/host.ts'
import { startHost, type WebHost } from '../../../src/network/libp2p-host.ts'
import { CONNECT_PATH } from '../../../src/network/websocket-address.ts'
import type { Protocol } from '../../../src/wire/protocol.ts'

const ECHO: Protocol = { id: '/test/echo/1.0.0', maxFrameBytes: 2_000_000, maxStreams: 4, open: 'members' }
const BYTES: Protocol = { id: '/test/bytes/1.0.0', maxFrameBytes: 0, maxStreams: 4, open: 'members' }

const cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function host(standing: Gate['standing'] = () => 'member'): Promise<WebHost> {
  const started = await startHost(
    { identity: await createIdentity(), gate: { standing }, clock: systemClock(), log: silent },
    { listen: [] }
  )
  cleanUps.push(() => started.close())
  return started
}

async function listening(server: Server | TcpServer): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUps.push(async () => server.close())
  return (server.address() as AddressInfo).port
}

/** A host that is reached through a web server only. */
async function webServer(standing?: Gate['standing']): Promise<{ host: WebHost; port: number; address: string }> {
  const member = await host(standing)
  await member.handle(ECHO, async (channel) => {
    for (let frame = await channel.receive(); frame !== null; frame = await channel.receive()) await channel.send(frame)
  })
  await member.handleBytes(BYTES, (stream) => stream.on('error', () => undefined).pipe(stream))
  const server = createServer()
  server.on('upgrade', (request, socket, head) => {
    if (request.url === CONNECT_PATH) member.acceptWebSocket(request, socket, head)
    else socket.destroy()
  })
  const port = await listening(server)
  cleanUps.push(async () => member.closeWebSockets())
  return { host: member, port, address: `/ip4/127.0.0.1/tcp/${port}/ws` }
}

test('members speak over WebSocket as over TCP: large frames, in order, several connections at once', async () => {
  const server = await webServer()
  const client = await host()
  const link = await client.dial([server.address], server.host.peerId)
  const second = await client.dial([link.remoteAddress], server.host.peerId)
  await expect.poll(() => server.host.links(client.peerId).length).toBe(2)
  expect(server.host.links(client.peerId)[0]?.remoteAddress).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws/)
  for (const one of [link, second]) {
    const channel = await one.open(ECHO)
    const big = randomBytes(1_900_000)
    await channel.send(Uint8Array.of(1), Uint8Array.of(2))
    await channel.send(big)
    expect([...((await channel.receive()) ?? [])]).toEqual([1, 2])
    expect(Buffer.compare((await channel.receive()) ?? Buffer.alloc(0), big)).toBe(0)
    await channel.close()
    expect(await channel.receive()).toBeNull()
  }
  await link.close()
  await expect(link.open(ECHO)).rejects.toMatchObject({ code: 'OUT_OF_REACH' })
})

test('many megabytes pass both ways whole, through a reader that pauses again and again', async () => {
  const server = await webServer()
  const client = await host()
  const link = await client.dial([server.address], server.host.peerId)
  const stream = await link.openBytes(BYTES)
  const sent = createHash('sha256')
  const received = createHash('sha256')
  const parts = Array.from({ length: 200 }, () => randomBytes(100_000))
  const writing = (async () => {
    for (const part of parts) {
      sent.update(part)
      if (!stream.write(part)) await once(stream, 'drain')
    }
    stream.end()
  })()
  let reads = 0
  for await (const chunk of stream) {
    received.update(chunk)
    if (++reads % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await writing
  expect(received.digest('hex')).toBe(sent.digest('hex'))
})

test('the gate is the same: a peer that is refused gets no connection', async () => {
  const server = await webServer(() => 'refused')
  const client = await host()
  const attempt = client.dial([server.address], server.host.peerId).then(async (link) => {
    await link.closed
    throw new Error('closed')
  })
  await expect(attempt).rejects.toThrow()
  expect(server.host.links(client.peerId)).toHaveLength(0)
})

test('whoever answers with another key is told apart', async () => {
  const server = await webServer()
  const client = await host()
  const { peerId } = await createIdentity()
  await expect(client.dial([server.address], peerId)).rejects.toMatchObject({ code: 'WRONG_COORDINATOR' })
})

test('an address that never answers costs a few seconds once; afterwards the one that answered comes first', async () => {
  const server = await webServer()
  const silentPort = await listening(createTcpServer((socket) => cleanUps.push(async () => socket.destroy())))
  const client = await host()
  const addresses = [`/ip4/127.0.0.1/tcp/${silentPort}`, server.address]
  const first = await client.dial(addresses, server.host.peerId)
  expect(first.remoteAddress).toContain('/ws')
  const before = performance.now()
  await client.dial(addresses, server.host.peerId)
  expect(performance.now() - before).toBeLessThan(2500)
})

test('text, and what is no WebSocket, ends the connection; others go on', async () => {
  const server = await webServer()
  const client = await host()
  const link = await client.dial([server.address], server.host.peerId)
  const talker = new WebSocket(`ws://127.0.0.1:${server.port}${CONNECT_PATH}`)
  await once(talker, 'open')
  talker.send('good morning')
  await once(talker, 'close')
  const socket = connect(server.port, '127.0.0.1')
  socket.write(`GET ${CONNECT_PATH} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: something\r\n\r\n`)
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 4/)
  const channel = await link.open(ECHO)
  await channel.send(Uint8Array.of(5))
  expect([...((await channel.receive()) ?? [])]).toEqual([5])
})

test('a web server that closes its doors ends the connections that came in there', async () => {
  const server = await webServer()
  const client = await host()
  const link = await client.dial([server.address], server.host.peerId)
  server.host.closeWebSockets()
  await link.closed
  await expect(client.dial([server.address], server.host.peerId)).rejects.toMatchObject({ code: 'OUT_OF_REACH' })
})
