import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'
import { freeAddress } from '../tools/free-address.ts'
import { until } from '../tools/program.ts'
import { sha256 } from '../tools/web-user.ts'

const START = fileURLToPath(new URL('../../examples/nginx/start.sh', import.meta.url))
const BIG_BYTES = 8 * 1024 * 1024

/** An app on this machine that answers with what it was told, and repeats what a WebSocket says. */
async function startApp(): Promise<string> {
  const server = createServer((incoming, response) => {
    const { 'x-forwarded-for': address, 'x-forwarded-proto': scheme, 'x-forwarded-host': host } = incoming.headers
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ address, scheme, host }))
  })
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${incoming.headers.upgrade}\r\n\r\n`
    )
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('nginx of the example in front: https, large bodies both ways, WebSockets, and only its word about the client', async () => {
  const listen = await freeAddress()
  const own = `https://${listen}`
  await using federation = await TestFederation.open(['--public-url', own, '--trust-proxy', '127.0.0.1'])
  const folder = await federation.spare('nginx')
  const nginx: ChildProcess = spawn(START, [folder, listen, new URL(federation.ready.http).host], { stdio: 'inherit' })
  onTestFinished(async () => {
    nginx.kill('SIGQUIT')
    if (nginx.exitCode === null) await once(nginx, 'exit')
  })
  const app = await startApp()
  await federation.join('alpha', ['--service', 'files', '--service', `echo=${app}`])
  expect((await federation.admin('services', 'add', 'echo', '--route', '/echo')).code).toBe(0)
  const [host = '', port = ''] = listen.split(':')
  await until('nginx listens', async () => {
    const socket = connect(Number(port), host)
    return await Promise.race([once(socket, 'connect'), once(socket, 'error')])
      .then(
        () => true,
        () => false
      )
      .finally(() => socket.destroy())
  })
  const ca = await readFile(`${folder}/certificate.pem`)

  const send = async (
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body?: Buffer
  ): Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }> => {
    const opened = request(own + path, { method, headers, ca, agent: false })
    opened.end(body)
    const [incoming] = (await once(opened, 'response')) as [IncomingMessage]
    const parts: Buffer[] = []
    for await (const part of incoming as AsyncIterable<Buffer>) parts.push(part)
    return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(parts) }
  }

  const first = await send('GET', '/', { accept: 'text/html' })
  expect(first.status).toBe(200)
  const [set = ''] = first.headers['set-cookie'] ?? []
  expect(set).toMatch(/^__Host-nd_session=.*; Secure$/)
  const cookie = set.split(';')[0] ?? ''
  const big = Buffer.alloc(BIG_BYTES, 'node-daemon ')
  expect((await send('PUT', '/big.bin', { cookie, origin: own }, big)).status).toBe(201)
  expect(sha256((await send('GET', '/big.bin', { cookie })).body)).toBe(sha256(big))
  expect((await send('PUT', '/x', { cookie, origin: `http://${listen}` }, Buffer.from('x'))).status).toBe(403)

  const lies = { 'x-forwarded-for': '10.9.8.7', 'x-forwarded-host': 'evil.example', forwarded: 'for=10.9.8.7' }
  expect((await send('PUT', '/echo/', { cookie, origin: own, ...lies }, Buffer.from('x'))).status).toBe(200)
  const told = JSON.parse((await send('GET', '/echo/', { cookie, ...lies })).body.toString())
  expect(told).toEqual({ address: '127.0.0.1, 127.0.0.1', scheme: 'https', host: listen })

  const opened = request(`${own}/echo/live`, {
    ca,
    agent: false,
    headers: { cookie, origin: own, connection: 'Upgrade', upgrade: 'echo' }
  })
  opened.end()
  const [, socket] = (await once(opened, 'upgrade')) as [IncomingMessage, Duplex]
  socket.write('through nginx')
  const [said] = (await once(socket, 'data')) as [Buffer]
  expect(said.toString()).toBe('through nginx')
  socket.destroy()
})
