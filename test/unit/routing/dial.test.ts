import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { createIdentity, type Identity } from '../../../src/core/identity.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import { dialIngress } from '../../../src/routing/routes/dial.ts'
import { IngressDoor } from '../../../src/routing/routes/ingress-door.ts'
import { PROOF_LIMITS, PROOF_PATH } from '../../../src/routing/routes/proof.ts'
import { freeAddress } from '../../tools/free-address.ts'
import { openTlsProxy } from '../../tools/tls-proxy.ts'
import { ManualClock } from './federation.ts'

const deps = { clock: systemClock(), random: systemRandom() }

async function openDoor(identity: Identity, url: string, address: string, clock = deps.clock): Promise<void> {
  const door = new IngressDoor({ identity, clock, random: deps.random, log: silent }, { url, trustProxy: [] })
  onTestFinished(() => door.close())
  const [host = '', port] = address.split(':')
  await door.listen(host, Number(port))
}

/** A server that answers every connection with these bytes, or not at all. */
async function answering(bytes: string | null): Promise<string> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => bytes !== null && socket.end(bytes, 'latin1'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('over https the certificate must be one that this machine knows, and the key the one of the instance', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dial-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const identity = await createIdentity()
  const address = await freeAddress()
  await using proxy = await openTlsProxy(`http://${address}`, folder)
  await openDoor(identity, proxy.url, address)
  await expect(dialIngress(deps, identity.peerId, proxy.url)).rejects.toMatchObject({
    code: 'OUT_OF_REACH',
    message: expect.stringContaining('self-signed')
  })
  const known = getCACertificates('default')
  onTestFinished(() => setDefaultCACertificates(known))
  setDefaultCACertificates([...known, await readFile(proxy.certificate, 'utf8')])
  const { stream, key } = await dialIngress(deps, identity.peerId, proxy.url)
  stream.destroy()
  expect(key).toBe('')
  const other = await createIdentity()
  await expect(dialIngress(deps, other.peerId, proxy.url)).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
})

test('an instance does not vouch for another address', async () => {
  const identity = await createIdentity()
  const address = await freeAddress()
  await openDoor(identity, 'https://alpha.example.org', address)
  const dialled = dialIngress(deps, identity.peerId, `http://${address}`)
  await expect(dialled).rejects.toMatchObject({
    code: 'BAD_SIGNATURE',
    message: expect.stringContaining('alpha.example.org')
  })
})

const OK = 'HTTP/1.1 200 OK\r\n'

test.each([
  ['no HTTP', 'hello\r\n\r\n'],
  ['another page', 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n'],
  ['a page that never ends', `${OK}\r\n${'x'.repeat(20_000)}`],
  ['a proof that is none', `${OK}content-length: 3\r\n\r\nabc`],
  ['nothing', '']
])('who answers with %s is no ingress', async (_what, bytes) => {
  const url = await answering(bytes)
  const identity = await createIdentity()
  await expect(dialIngress(deps, identity.peerId, url)).rejects.toMatchObject({
    code: expect.stringMatching(/^(OUT_OF_REACH|BAD_SIGNATURE)$/)
  })
})

test('who never answers is not waited for', async () => {
  const clock = new ManualClock()
  const url = await answering(null)
  const { peerId } = await createIdentity()
  const dialled = dialIngress({ ...deps, clock }, peerId, url)
  const refused = expect(dialled).rejects.toMatchObject({
    code: 'OUT_OF_REACH',
    message: expect.stringContaining('no answer')
  })
  clock.pass(4_000)
  await refused
})

test('an ingress proves who it is a bounded number of times a second, and for nonces alone', async () => {
  const clock = new ManualClock()
  const address = await freeAddress()
  await openDoor(await createIdentity(), `http://${address}`, address, clock)
  const ask = async (query: string): Promise<number> => (await fetch(`http://${address}${PROOF_PATH}${query}`)).status
  const nonce = `?nonce=${'0a'.repeat(32)}`
  for (const query of ['', '?nonce=', '?nonce=0a', `?nonce=${'0a'.repeat(65)}`, `${nonce}&a=b`, `/x${nonce}`]) {
    expect(await ask(query)).toBe(400)
  }
  const many = await Promise.all(Array.from({ length: PROOF_LIMITS.perSecond }, () => ask(nonce)))
  expect(new Set(many)).toEqual(new Set([200]))
  expect(await ask(nonce)).toBe(503)
  clock.pass(1_000)
  expect(await ask(nonce)).toBe(200)
})
