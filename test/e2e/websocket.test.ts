import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { parseMultiaddr } from '../../src/membership/addresses.ts'
import { TestFederation } from '../tools/federation.ts'
import { openTlsProxy } from '../tools/tls-proxy.ts'

/** Takes connections and never says a word, as behind a firewall that swallows what it does not know. */
async function blackHole(host: string, port: number): Promise<AsyncDisposable> {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)))
  server.listen(port, host)
  await once(server, 'listening')
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  }
}

test('where nothing but the web gets through, instances join by WebSocket through a proxy, serve, and drain', async () => {
  await using federation = await TestFederation.open(['--announce', '127.0.0.3'])
  const told = parseMultiaddr(federation.ready.addresses[0] ?? '')
  expect(told?.host).toBe('127.0.0.3')
  await using _firewall = await blackHole('127.0.0.3', told?.port ?? 0)
  await using proxy = await openTlsProxy(federation.ready.http, federation.root)
  const env = { NODE_EXTRA_CA_CERTS: proxy.certificate }
  await Promise.all(
    ['alpha', 'beta'].map(async (name) => {
      const program = federation.start(name, ['join', proxy.url, '--name', name], federation.folder(name), env)
      const { code } = await program.event('pending')
      await federation.api.send('POST', `/peers/${name}/approve`, { code })
      await program.event('serving')
    })
  )
  expect((await federation.status('alpha')).coordinator).toMatchObject({ connected: true, by: 'websocket' })
  const users = await federation.addUsers(4)
  await Promise.all(users.map((user) => user.save('/mine.txt', `of ${user.name}`.repeat(100_000))))
  await federation.settled()
  const drained = await federation.command('alpha', 'drain')
  expect(drained.code, drained.log).toBe(0)
  expect(await federation.program('alpha').ended()).toEqual({ code: 0, signal: null })
  for (const user of users) {
    const answer = await user.get('/mine.txt')
    expect([answer.by, answer.text === `of ${user.name}`.repeat(100_000)]).toEqual(['beta', true])
  }
})
