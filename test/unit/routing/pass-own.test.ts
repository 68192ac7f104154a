import { once } from 'node:events'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { passedOwnPages, passUpgrade } from '../../../src/routing/doors/pass-own.ts'
import type { OwnRequest } from '../../../src/routing/neighbours.ts'
import { ownPages } from '../../../src/routing/own/own-pages.ts'
import { Federation } from './federation.ts'

const PAGE = '/.well-known/node-daemon/page'

/** A front door that passes its own pages on to another one, and what that one was asked. */
async function passingOn() {
  const asked: { method: string | undefined; address: string; body: string }[] = []
  const page = async ({ request, response, client }: OwnRequest): Promise<void> => {
    asked.push({ method: request.method, address: client.address, body: await text(request) })
    response.end('answered')
  }
  const coordinators = await Federation.start({ ownPages: ownPages({ page }) })
  const open = async () => {
    const [near, far] = duplexPair()
    near.on('error', () => undefined)
    far.on('error', () => undefined)
    coordinators.door.accept(far)
    return near
  }
  const door = await Federation.start({ ownPages: passedOwnPages({ open, userHeader: () => null }) })
  return {
    asked,
    open,
    /** What the door answers to these bytes. */
    async raw(bytes: string): Promise<string> {
      const socket = door.raw()
      socket.write(bytes)
      return text(socket)
    },
    async [Symbol.asyncDispose]() {
      await door[Symbol.asyncDispose]()
      await coordinators[Symbol.asyncDispose]()
    }
  }
}

const chunked = (method: string, body: string): string =>
  `${method} ${PAGE} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`

test('a body is passed on in its frame, and none with a method that has no use for one', async () => {
  await using at = await passingOn()
  const forged = `GET ${PAGE} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.66\r\n\r\n`
  for (const method of ['GET', 'DELETE', 'OPTIONS']) {
    expect(await at.raw(chunked(method, forged))).toMatch(/^HTTP\/1\.1 400 /)
  }
  expect(at.asked).toEqual([])
  expect(await at.raw(chunked('POST', forged))).toMatch(/^HTTP\/1\.1 200 /)
  expect(await at.raw(`GET ${PAGE} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`)).toContain('answered')
  expect(at.asked).toEqual([
    { method: 'POST', address: '127.0.0.1', body: forged },
    { method: 'GET', address: '127.0.0.1', body: '' }
  ])
})

test('connections that are passed on are many clients, and not one that has too many', async () => {
  await using at = await passingOn()
  const streams = await Promise.all(Array.from({ length: 600 }, () => at.open()))
  const answers = streams.map(async (stream, index) => {
    stream.write(`GET ${PAGE} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.${index >> 8}.${index & 255}\r\n\r\n`)
    const [first] = (await once(stream, 'data')) as [Buffer]
    return first.toString('latin1', 9, 12)
  })
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['200']))
  for (const stream of streams) stream.destroy()
})

test('a request to be upgraded is passed on without what its client says of itself', async () => {
  const [socket] = duplexPair()
  const [near, far] = duplexPair()
  const request = new IncomingMessage(new Socket())
  Object.assign(request, { method: 'GET', url: '/.well-known/node-daemon/connect' })
  const lines = ['Host', 'h', 'Connection', 'Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Key', 'k']
  request.rawHeaders = [...lines, 'X-Forwarded-For', '192.0.2.66', 'Forwarded', 'for=192.0.2.66', 'X_User', 'root']
  request.headers = { host: 'h', connection: 'Upgrade', upgrade: 'websocket' }
  const client = { trusted: false, address: '192.0.2.7', addresses: '192.0.2.7', scheme: 'https', host: 'h' } as const
  const deps = { open: async () => near, userHeader: () => 'x-user' }
  await passUpgrade(deps, request, { socket, head: Buffer.from('first frame') }, client)
  socket.destroy()
  const sent = await text(far)
  expect(sent.split('\r\n').toSorted()).toEqual(
    [
      'GET /.well-known/node-daemon/connect HTTP/1.1',
      'host: h',
      'Sec-WebSocket-Key: k',
      'x-forwarded-for: 192.0.2.7',
      'x-forwarded-proto: https',
      'x-forwarded-host: h',
      'connection: upgrade',
      'upgrade: websocket',
      '',
      'first frame'
    ].toSorted()
  )
})
