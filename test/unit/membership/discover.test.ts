import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { createIdentity } from '../../../src/core/identity.ts'
import { discover, type Fetch, type Found } from '../../../src/membership/discover.ts'
import { inviteLink, parseTarget } from '../../../src/membership/target.ts'

const PATIENT = { timeout: 10_000 }

const PEER = (await createIdentity()).peerId
const OTHER = (await createIdentity()).peerId
const SECRET = 'a'.repeat(43)
const deps = { fetch, clock: systemClock() }

const description = {
  federation: 'Main',
  peerId: PEER as string,
  addresses: ['/ip4/127.0.0.1/tcp/9470'],
  services: ['files'],
  terms: 'https://main.example.org/terms',
  version: '0.1.0'
}

const servers: Server[] = []
afterEach(async () => {
  await Promise.all(
    servers.splice(0).map((server) => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    })
  )
})

async function web(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const telling = (body: unknown, status = 200): Promise<string> =>
  web((request, response) => {
    response.writeHead(request.url === '/.well-known/node-daemon' ? status : 404)
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })

const find = async (text: string, signal?: AbortSignal): Promise<Found> => discover(deps, parseTarget(text), signal)

test('a coordinator is found by its web address', async () => {
  expect(await find(await telling(description))).toEqual({
    peerId: PEER,
    addresses: [`/ip4/127.0.0.1/tcp/9470/p2p/${PEER}`],
    federation: 'Main',
    terms: 'https://main.example.org/terms'
  })
})

test('where members come in by WebSocket too, that is tried after all else', async () => {
  const base = await telling({ ...description, connect: '/.well-known/node-daemon/connect' })
  const port = new URL(base).port
  expect((await find(base)).addresses).toEqual([
    `/ip4/127.0.0.1/tcp/9470/p2p/${PEER}`,
    `/ip4/127.0.0.1/tcp/${port}/ws/p2p/${PEER}`
  ])
  const alone = await telling({ ...description, addresses: [], connect: '/.well-known/node-daemon/connect' })
  expect((await find(alone)).addresses).toEqual([`/ip4/127.0.0.1/tcp/${new URL(alone).port}/ws/p2p/${PEER}`])
  const elsewhere = await telling({ ...description, connect: '//evil.example/connect' })
  expect((await find(elsewhere)).addresses).toEqual([`/ip4/127.0.0.1/tcp/9470/p2p/${PEER}`])
})

test('a multiaddr needs nobody to ask', async () => {
  const address = `/ip4/192.0.2.1/tcp/9470/p2p/${PEER}`
  expect(await find(address)).toEqual({ peerId: PEER, addresses: [address], federation: null, terms: null })
})

test('what a later version adds does not matter, and texts are put on one line', async () => {
  const found = await find(await telling({ ...description, federation: 'Ma\nin', more: { x: 1 } }))
  expect(found.federation).toBe('Ma in')
})

test('another coordinator than the one of the invite is refused', async () => {
  const base = await telling(description)
  await expect(find(inviteLink(SECRET, OTHER, { web: base }))).rejects.toMatchObject({ code: 'WRONG_COORDINATOR' })
  expect((await find(inviteLink(SECRET, PEER, { web: base }))).peerId).toBe(PEER)
})

test.each([
  ['a page', '<!doctype html><title>hello</title>', 200],
  ['nothing there', 'not found', 404],
  ['other JSON', { hello: 'world' }, 200],
  ['a PeerId that is none', { ...description, peerId: 'x' }, 200],
  ['an address that is none', { ...description, addresses: ['main.example.org'] }, 200],
  ['the address of another', { ...description, addresses: [`/ip4/192.0.2.1/tcp/1/p2p/${OTHER}`] }, 200],
  ['too many addresses', { ...description, addresses: Array.from({ length: 100 }, () => '/ip4/192.0.2.1/tcp/1') }, 200],
  ['too much', { ...description, more: 'x'.repeat(70_000) }, 200]
])('%s is not a coordinator', async (_, body, status) => {
  const error = { code: 'BAD_USAGE', message: expect.stringContaining('not a node-daemon coordinator') }
  await expect(find(await telling(body, status))).rejects.toMatchObject(error)
})

test('an answer without end is not read to its end', async () => {
  let stopped = false
  const base = await web((_, response) => {
    const more = (): void => {
      while (!stopped && response.write('x'.repeat(10_000)));
    }
    response.on('drain', more).on('close', () => {
      stopped = true
    })
    more()
  })
  await expect(find(base)).rejects.toMatchObject({ code: 'BAD_USAGE' })
  await expect.poll(() => stopped, PATIENT).toBe(true)
})

test('a coordinator without addresses, and one that is down behind its proxy, are out of reach', async () => {
  const unreachable = { code: 'OUT_OF_REACH' }
  await expect(find(await telling({ ...description, addresses: [] }))).rejects.toMatchObject(unreachable)
  await expect(find(await telling('bad gateway', 502))).rejects.toMatchObject(unreachable)
})

test('a redirect is followed on the same host, and nowhere else', async () => {
  const target = await telling(description)
  const redirecting = (location: string): Promise<string> =>
    web((_, response) => response.writeHead(302, { location }).end())
  expect((await find(await redirecting(`${target}/.well-known/node-daemon`))).peerId).toBe(PEER)
  const elsewhere = await redirecting(`${target.replace('127.0.0.1', 'localhost')}/.well-known/node-daemon`)
  await expect(find(elsewhere)).rejects.toMatchObject({
    code: 'BAD_USAGE',
    message: expect.stringContaining('localhost')
  })
  await expect(find(await redirecting('/.well-known/node-daemon'))).rejects.toMatchObject({ code: 'BAD_USAGE' })
})

test('a closed port, a name that nobody has and https at a plain port are told apart', async () => {
  const gone = await telling(description)
  await new Promise((resolve) => servers.pop()?.close(resolve))
  await expect(find(gone)).rejects.toMatchObject({
    code: 'OUT_OF_REACH',
    message: expect.stringMatching(/nothing listens/)
  })
  const plain = (await telling(description)).replace('http:', 'https:')
  await expect(find(plain)).rejects.toMatchObject({ code: 'OUT_OF_REACH', advice: expect.stringContaining('http://') })
  const nobody = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
  const failing: Fetch = async () => {
    throw new TypeError('fetch failed', { cause: nobody })
  }
  const search = discover({ ...deps, fetch: failing }, parseTarget('main.example.invalid'))
  await expect(search).rejects.toMatchObject({ code: 'OUT_OF_REACH', message: expect.stringMatching(/no host called/) })
})

test('asking ends with the signal', async () => {
  const { promise: asked, resolve } = Promise.withResolvers<void>()
  const base = await web(() => resolve())
  const controller = new AbortController()
  const finding = find(base, controller.signal)
  await asked
  controller.abort()
  await expect(finding).rejects.toMatchObject({ code: 'ABORTED' })
})
