import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import type { PeerIdText } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import type { Gate, Host } from '../../../src/network/host.ts'
import { startHost } from '../../../src/network/libp2p-host.ts'
import type { Protocol } from '../../../src/wire/protocol.ts'

const ECHO: Protocol = { id: '/test/echo/1.0.0', maxFrameBytes: 2_000_000, maxStreams: 4, open: 'members' }
const BYTES: Protocol = { id: '/test/bytes/1.0.0', maxFrameBytes: 0, maxStreams: 4, open: 'members' }
const PUBLIC: Protocol = { id: '/test/public/1.0.0', maxFrameBytes: 1000, maxStreams: 1, open: 'anyone' }

const hosts: Host[] = []
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.close()))
})

async function host(standing: Gate['standing'], listen = true, identity?: Identity): Promise<Host> {
  const started = await startHost(
    { identity: identity ?? (await createIdentity()), gate: { standing }, clock: systemClock(), log: silent },
    { listen: listen ? ['/ip4/127.0.0.1/tcp/0'] : [] }
  )
  hosts.push(started)
  return started
}

const everyone: Gate['standing'] = () => 'member'

async function echoServer(standing: Gate['standing']): Promise<Host> {
  const server = await host(standing)
  const echo = async (channel: Parameters<Parameters<Host['handle']>[1]>[0]): Promise<void> => {
    for (let frame = await channel.receive(); frame !== null; frame = await channel.receive()) await channel.send(frame)
  }
  await server.handle(ECHO, echo)
  await server.handle(PUBLIC, echo)
  return server
}

test('frames arrive whole and in order, also large ones, and the end is told', async () => {
  const server = await echoServer(everyone)
  const client = await host(everyone, false)
  const link = await client.dial(server.addresses(), server.peerId)
  const channel = await link.open(ECHO)
  const big = new Uint8Array(1_900_000).fill(7)
  await channel.send(Uint8Array.of(1), Uint8Array.of(2))
  await channel.send(big)
  expect([...((await channel.receive()) ?? [])]).toEqual([1, 2])
  expect(Buffer.compare((await channel.receive()) ?? Buffer.alloc(0), big)).toBe(0)
  await channel.close()
  expect(await channel.receive()).toBeNull()
})

test('a frame over the limit is refused by who sends it and by who receives it', async () => {
  const server = await echoServer(everyone)
  const client = await host(everyone, false)
  const link = await client.dial(server.addresses(), server.peerId)
  const channel = await link.open(ECHO)
  await expect(channel.send(new Uint8Array(2_000_001))).rejects.toMatchObject({ code: 'TOO_LARGE' })
  const liar = await link.open({ ...PUBLIC, maxFrameBytes: 10_000 })
  await liar.send(new Uint8Array(5000))
  await expect(liar.receive()).rejects.toMatchObject({ code: 'CLOSED' })
})

test('a stranger reaches what is open to anyone and nothing else; a refused peer nothing at all', async () => {
  let standing: ReturnType<Gate['standing']> = 'stranger'
  const server = await echoServer(() => standing)
  const client = await host(everyone, false)
  const link = await client.dial(server.addresses(), server.peerId)
  const open = await link.open(PUBLIC)
  await open.send(Uint8Array.of(9))
  expect([...((await open.receive()) ?? [])]).toEqual([9])
  const closed = await link.open(ECHO)
  await closed.send(Uint8Array.of(1)).catch(() => undefined)
  await expect(closed.receive()).rejects.toMatchObject({ code: 'CLOSED' })
  standing = 'refused'
  const refused = await host(everyone, false)
  const attempt = refused.dial(server.addresses(), server.peerId).then(async (second) => {
    const channel = await second.open(PUBLIC)
    await channel.send(Uint8Array.of(1))
    if ((await channel.receive()) === null) throw new Error('ended')
  })
  await expect(attempt).rejects.toThrow()
})

test('another key at the address is told apart from an address that does not answer', async () => {
  const server = await echoServer(everyone)
  const client = await host(everyone, false)
  const other = (await createIdentity()).peerId
  await expect(client.dial(server.addresses(), other)).rejects.toMatchObject({ code: 'WRONG_COORDINATOR' })
  await expect(client.dial(['/ip4/127.0.0.1/tcp/1'], other)).rejects.toMatchObject({ code: 'OUT_OF_REACH' })
})

test('cutting a peer ends all its connections at once', async () => {
  const server = await echoServer(everyone)
  const client = await host(everyone, false)
  const [first, second] = [
    await client.dial(server.addresses(), server.peerId),
    await client.dial(server.addresses(), server.peerId)
  ]
  expect(first.id).not.toBe(second.id)
  await expect.poll(() => server.links(client.peerId).length).toBe(2)
  server.cut(client.peerId, 'revoked')
  await Promise.all([first.closed, second.closed])
  expect(client.links(server.peerId)).toEqual([])
})

test('a slow reader holds the writer back', async () => {
  const server = await host(everyone)
  const { promise: go, resolve: release } = Promise.withResolvers<void>()
  let received = 0
  await server.handle(ECHO, async (channel) => {
    await go
    for (let frame = await channel.receive(); frame !== null; frame = await channel.receive()) received += frame.length
    await channel.send(Uint8Array.of(1))
  })
  const client = await host(everyone, false)
  const channel = await (await client.dial(server.addresses(), server.peerId)).open(ECHO)
  let sent = 0
  const frame = new Uint8Array(1_000_000)
  const sending = (async () => {
    for (let count = 0; count < 60; count++) {
      await channel.send(frame)
      sent += frame.length
    }
    await channel.close()
  })()
  await expect.poll(() => sent, { interval: 50 }).toBeGreaterThan(0)
  const stalled = async (): Promise<boolean> => {
    const before = sent
    await new Promise((resolve) => setImmediate(resolve))
    return sent === before
  }
  await expect.poll(stalled).toBe(true)
  expect(sent).toBeLessThan(30_000_000)
  release()
  await sending
  expect([...((await channel.receive()) ?? [])]).toEqual([1])
  expect(received).toBe(60_000_000)
})

test('HTTP runs on an accepted byte stream opened towards a host that only dialled out', async () => {
  const server = await host(everyone)
  const web = createServer((incoming, response) => {
    incoming.pipe(response)
  })
  const client = await host(everyone, false)
  await client.handleBytes(BYTES, (stream) => web.emit('connection', stream))
  await client.dial(server.addresses(), server.peerId)
  await expect.poll(() => server.links(client.peerId).length).toBe(1)
  const link = server.links(client.peerId)[0]
  const stream = await link?.openBytes(BYTES)
  if (stream === undefined) throw new Error('no stream')
  const sent = Buffer.alloc(5_000_000, 'x')
  const outgoing = request({ method: 'PUT', createConnection: () => stream })
  outgoing.end(sent)
  const [response] = await once(outgoing, 'response')
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part)
  expect(Buffer.concat(parts).equals(sent)).toBe(true)
  stream.destroy()
})

test('streams over the limit of a protocol are told as out of reach, not as open', async () => {
  const server = await host(everyone)
  await server.handleBytes(BYTES, () => undefined)
  const client = await host(everyone, false)
  const link = await client.dial(server.addresses(), server.peerId)
  const streams = await Promise.all(Array.from({ length: 4 }, () => link.openBytes(BYTES)))
  await expect(link.openBytes({ ...BYTES, maxStreams: 100 })).rejects.toMatchObject({ code: 'OUT_OF_REACH' })
  for (const stream of streams) stream.destroy()
})

test('two hosts cannot listen on one port', async () => {
  const server = await host(everyone)
  const taken = server.addresses()[0]?.split('/p2p/')[0] ?? ''
  const identity = await createIdentity()
  const starting = startHost(
    { identity, gate: { standing: everyone }, clock: systemClock(), log: silent },
    { listen: [taken] }
  )
  await expect(starting).rejects.toMatchObject({ code: 'PORT_IN_USE' })
  expect(identity.peerId satisfies PeerIdText).not.toBe(server.peerId)
})
