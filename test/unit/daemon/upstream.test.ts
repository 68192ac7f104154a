import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import type { IncomingMessage, RequestListener } from 'node:http'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/core/blocks.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { manualClock } from '../../tools/clock.ts'
import {
  ALPHA,
  BETA,
  homeOf,
  memoryRepository,
  type NearRepository,
  nearRepository,
  nextEpoch,
  until,
  WORKSPACE
} from '../sync/support.ts'
import { appThat, type EntranceBench, entranceBench } from './entrance-bench.ts'

const near = async (): Promise<NearRepository> => nearRepository(await memoryRepository(), homeOf(ALPHA))
const CHANGE = { method: 'POST', body: 'hello' } as const
const folderOf = (request: IncomingMessage): string => String(request.headers['x-workspace-dir'])

/** Writes three files, two of them in a folder that is new, and then answers. */
const guestbook: RequestListener = async (request, response) => {
  const folder = folderOf(request)
  const body = await text(request)
  await mkdir(join(folder, 'entries/2026'), { recursive: true })
  await writeFile(join(folder, 'entries/2026/one.txt'), body)
  await writeFile(join(folder, 'entries/2026/two.txt'), body.toUpperCase())
  await writeFile(join(folder, 'index.txt'), '2')
  response.writeHead(201, { 'x-app': 'guestbook' }).end('written')
}

/** What another instance serves that takes over after the death of the one before. */
async function takenOver(repository: NearRepository, port: number): Promise<EntranceBench> {
  await nextEpoch(repository, BETA)
  return entranceBench(repository, port, { identity: BETA, epoch: 2 })
}

describe('the answer to a change', () => {
  test('comes once all that the app wrote is in the main repository: the next home has it', async () => {
    const repository = await near()
    const { port } = await appThat(guestbook)
    const alpha = await entranceBench(repository, port)
    const answer = await alpha.ask(CHANGE)
    expect([answer.status, answer.headers['x-app'], answer.body]).toEqual([201, 'guestbook', 'written'])
    const beta = await takenOver(repository, port)
    const read = (path: string): Promise<string> => readFile(join(beta.folder, path), 'utf8')
    expect([await read('entries/2026/one.txt'), await read('entries/2026/two.txt'), await read('index.txt')]).toEqual([
      'hello',
      'HELLO',
      '2'
    ])
  })

  test('waits for what the kernel has not told of yet', async () => {
    const repository = await near()
    const { port } = await appThat(async (request, response) => {
      await writeFile(join(folderOf(request), await text(request)), 'x')
      response.end()
    })
    const alpha = await entranceBench(repository, port, { eventsLateMs: 100 })
    await alpha.ask({ ...CHANGE, body: 'first' })
    await alpha.ask({ ...CHANGE, body: 'second' })
    const beta = await takenOver(repository, port)
    expect(await readdir(beta.folder)).toEqual(['first', 'second'])
  })

  test('waits while the repository has not got it', async () => {
    const repository = await near()
    const answered = Promise.withResolvers<void>()
    const { port } = await appThat((request, response) => {
      response.once('finish', answered.resolve)
      void guestbook(request, response)
    })
    const alpha = await entranceBench(repository, port)
    await alpha.ask({ path: '/notes/first', ...CHANGE })
    const gate = Promise.withResolvers<void>()
    let held = 0
    repository.before = () => {
      held++
      return gate.promise
    }
    let done = false
    const asked = alpha.ask({ ...CHANGE, body: 'other' }).finally(() => {
      done = true
    })
    await answered.promise
    await until(() => held > 0)
    expect(done).toBe(false)
    gate.resolve()
    expect((await asked).status).toBe(201)
  })

  test('is 503 where that takes more than 30 s, and says that the change may have been made', async () => {
    const repository = await near()
    const { port } = await appThat(guestbook)
    const clock = manualClock()
    const alpha = await entranceBench(repository, port, { clock })
    await alpha.ask(CHANGE)
    const gate = Promise.withResolvers<void>()
    let held = 0
    repository.before = () => {
      held++
      return gate.promise
    }
    const asked = alpha.ask({ ...CHANGE, body: 'other' })
    await until(() => held > 0)
    clock.advance(30_000)
    const answer = await asked
    gate.resolve()
    expect([answer.status, answer.headers['x-app']]).toEqual([503, undefined])
    expect(answer.body).toContain('the change may have been made')
  })

  test('is no success, and no word to try elsewhere, where another home took over meanwhile', async () => {
    const repository = await near()
    const { port } = await appThat(guestbook)
    const alpha = await entranceBench(repository, port)
    await alpha.ask(CHANGE)
    repository.before = async () => {
      throw new NodeDaemonError('SEALED', 'another epoch')
    }
    const answer = await alpha.ask({ ...CHANGE, body: 'other' })
    expect([answer.status, answer.headers['x-node-daemon-moved']]).toEqual([503, undefined])
  })

  test('waits for nothing where the app wrote nothing', async () => {
    const repository = await near()
    const { port } = await appThat((_request, response) => void response.end('as you were'))
    const alpha = await entranceBench(repository, port)
    await until(() => alpha.resident.unsynced().ageMs === 0)
    let published = 0
    repository.before = async () => void published++
    expect((await alpha.ask(CHANGE)).body).toBe('as you were')
    expect(published).toBe(0)
  })

  test('that is long begins once what was written is safe, and ends once the rest is', async () => {
    const repository = await near()
    const goOn = Promise.withResolvers<void>()
    const { port } = await appThat(async (request, response) => {
      await writeFile(join(folderOf(request), 'begun.txt'), 'x')
      response.write(Buffer.alloc(300_000, 'a'))
      await goOn.promise
      await writeFile(join(folderOf(request), 'ended.txt'), 'y')
      response.end('end')
    })
    const alpha = await entranceBench(repository, port)
    const outgoing = alpha.open(CHANGE)
    outgoing.end()
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    goOn.resolve()
    expect((await buffer(incoming)).length).toBe(300_003)
    const beta = await takenOver(repository, port)
    expect(await readFile(join(beta.folder, 'begun.txt'), 'utf8')).toBe('x')
    expect(await readFile(join(beta.folder, 'ended.txt'), 'utf8')).toBe('y')
  })

  test('that cannot end safely is cut off', async () => {
    const repository = await near()
    const goOn = Promise.withResolvers<void>()
    const { port } = await appThat(async (request, response) => {
      response.writeHead(200, { 'content-length': '300003' }).write(Buffer.alloc(300_000, 'a'))
      await goOn.promise
      await writeFile(join(folderOf(request), 'late.txt'), 'y')
      response.end('end')
    })
    const alpha = await entranceBench(repository, port)
    const outgoing = alpha.open(CHANGE)
    outgoing.end()
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    repository.before = async () => {
      throw new NodeDaemonError('SEALED', 'another epoch')
    }
    goOn.resolve()
    await expect(buffer(incoming)).rejects.toThrow()
    expect(incoming.complete).toBe(false)
  })
})

describe('with local acknowledgements', () => {
  test('a change is answered while the repository is away, told as not synced, and published later', async () => {
    const repository = await near()
    const { port } = await appThat(guestbook)
    const alpha = await entranceBench(repository, port, { level: 'local' })
    const gate = Promise.withResolvers<void>()
    repository.before = () => gate.promise
    expect((await alpha.ask(CHANGE)).status).toBe(201)
    await until(() => alpha.resident.unsynced().ageMs > 0)
    gate.resolve()
    await until(() => alpha.resident.unsynced().ageMs === 0)
    const beta = await takenOver(repository, port)
    expect(await readFile(join(beta.folder, 'entries/2026/one.txt'), 'utf8')).toBe('hello')
  })

  test('nothing is acknowledged any more once the lease has ended, and then nothing is served', async () => {
    const repository = await near()
    const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const { port } = await appThat(async (request, response) => {
      begun.resolve()
      await goOn.promise
      await guestbook(request, response)
    })
    const alpha = await entranceBench(repository, port, { level: 'local' })
    const asked = alpha.ask(CHANGE)
    await begun.promise
    alpha.leased.valid = false
    goOn.resolve()
    expect((await asked).status).toBe(503)
    const next = await alpha.ask(CHANGE)
    expect([next.status, next.headers['x-node-daemon-moved']]).toEqual([421, '1'])
  })
})

describe('an app', () => {
  test('is told whose files these are and where, and nothing that is meant for the daemon', async () => {
    let seen: IncomingMessage | null = null
    const { port } = await appThat((request, response) => {
      seen = request
      response.writeHead(200, { connection: 'x-hop', 'x-hop': '1', 'x-app': 'yes' }).end('ok')
    })
    const alpha = await entranceBench(await near(), port)
    const answer = await alpha.ask({
      path: '/notes/a?b=c',
      headers: { 'x-forwarded-prefix': '/notes', te: 'trailers' }
    })
    expect([answer.headers['x-app'], answer.headers['x-hop']]).toEqual(['yes', undefined])
    const { url, headers } = seen as unknown as IncomingMessage
    expect(url).toBe('/notes/a?b=c')
    expect(headers).toMatchObject({
      host: 'main.example.org',
      'x-workspace-id': WORKSPACE,
      'x-workspace-dir': alpha.folder,
      'x-remote-user': 'user:ada',
      'x-forwarded-prefix': '/notes'
    })
    expect(Object.keys(headers).filter((name) => name.startsWith('x-node-daemon-') || name === 'te')).toEqual([])
  })

  test('sees a newcomer without a workspace', async () => {
    let seen: IncomingMessage['headers'] = {}
    const { port } = await appThat((request, response) => {
      seen = request.headers
      response.end('welcome')
    })
    const alpha = await entranceBench(await near(), port)
    const { body } = await alpha.ask({ headers: { 'x-workspace-id': '', 'x-node-daemon-epoch': '' } })
    expect([body, seen['x-workspace-id'], seen['x-workspace-dir']]).toEqual(['welcome', undefined, undefined])
  })

  test('is not asked about the workspace of another service', async () => {
    const { port } = await appThat((_request, response) => void response.end('mine'))
    const repository = await near()
    const alpha = await entranceBench(repository, port)
    const answer = await alpha.ask({ headers: { 'x-node-daemon-service': 'files' } })
    expect([answer.status, answer.body]).toEqual([503, 'BUSY: the service files does not run on this server now\n'])
  })

  test('gets large bodies whole and gives large answers whole', async () => {
    const { port } = await appThat((request, response) => {
      request.pipe(response)
    })
    const alpha = await entranceBench(await near(), port)
    const bytes = Buffer.alloc(8_000_000, 'some bytes that are not all the same ')
    const outgoing = alpha.open({
      method: 'PROPFIND',
      headers: { 'transfer-encoding': 'chunked', expect: '100-continue' }
    })
    outgoing.once('continue', () => Readable.from([bytes]).pipe(outgoing))
    outgoing.flushHeaders()
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    expect(sha256(await buffer(incoming)).equals(sha256(bytes))).toBe(true)
  })

  test('that is away is told as that, and serves again as soon as it is back', async () => {
    const app = await appThat((_request, response) => void response.end('here'))
    const alpha = await entranceBench(await near(), app.port)
    expect((await alpha.ask()).body).toBe('here')
    app.server.closeAllConnections()
    app.server.close()
    await once(app.server, 'close')
    const [read, change] = [await alpha.ask(), await alpha.ask(CHANGE)]
    expect([read.status, change.status]).toEqual([502, 502])
    expect([read.body.includes('may have been made'), change.body.includes('may have been made')]).toEqual([
      false,
      true
    ])
    await appThat((_request, response) => void response.end('here again'), app.port)
    expect((await alpha.ask()).body).toBe('here again')
  })

  test('that closes an idle connection is asked again on another one', async () => {
    const app = await appThat((_request, response) => void response.end('here'))
    const alpha = await entranceBench(await near(), app.port)
    for (let round = 0; round < 20; round++) {
      expect((await alpha.ask()).body).toBe('here')
      app.server.closeAllConnections()
    }
  })

  test('is not left at work for a user who has gone away', async () => {
    const gone = Promise.withResolvers<void>()
    const { port } = await appThat((_request, response) => {
      response.once('close', gone.resolve)
      response.write('the beginning')
    })
    const alpha = await entranceBench(await near(), port)
    const outgoing = alpha.open()
    outgoing.on('error', () => undefined)
    outgoing.end()
    await once(outgoing, 'response')
    outgoing.destroy()
    await gone.promise
  })
})

describe('a WebSocket', () => {
  const UPGRADE = { headers: { connection: 'Upgrade', upgrade: 'websocket' } }

  test('passes both ways, and keeps no freeze waiting', async () => {
    const { port, server } = await appThat((_request, response) => void response.end())
    server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
      socket.on('error', () => undefined)
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Dir: ${folderOf(request)}\r\n\r\nhi `
      )
      socket.pipe(socket)
    })
    const alpha = await entranceBench(await near(), port)
    const outgoing = alpha.open(UPGRADE)
    outgoing.end()
    const [incoming, socket, head] = (await once(outgoing, 'upgrade')) as [IncomingMessage, Socket, Buffer]
    expect(incoming.headers['x-dir']).toBe(alpha.folder)
    let heard = head.toString()
    socket.on('data', (bytes: Buffer) => {
      heard += bytes
    })
    socket.write('ping')
    await until(() => heard === 'hi ping')
    await alpha.resident.order({ kind: 'freeze', workspace: WORKSPACE })
    socket.destroy()
  })

  test('that the app declines is answered as the app says', async () => {
    const { port } = await appThat((_request, response) => void response.writeHead(403).end('no sockets'))
    const alpha = await entranceBench(await near(), port)
    const answer = await alpha.ask(UPGRADE)
    expect([answer.status, answer.body]).toEqual([403, 'no sockets'])
  })

  test('to an app that is away is an error like any other', async () => {
    const app = await appThat(() => undefined)
    app.server.close()
    await once(app.server, 'close')
    const alpha = await entranceBench(await near(), app.port)
    expect((await alpha.ask(UPGRADE)).status).toBe(502)
  })
})

test('what an app writes while it answers a read is published by and by', async () => {
  const repository = await near()
  const { port } = await appThat(async (request, response) => {
    await writeFile(join(folderOf(request), 'seen.txt'), 'by ada')
    response.end('read')
  })
  const alpha = await entranceBench(repository, port)
  const gate = Promise.withResolvers<void>()
  repository.before = () => gate.promise
  expect((await alpha.ask()).body).toBe('read')
  await until(() => repository.published.length > 0)
  gate.resolve()
})

describe('a workspace in which there is no room', () => {
  const limit = (bytes: number): Record<string, string> => ({ 'x-node-daemon-limit': String(bytes) })

  test('takes no change before the app is asked; what makes room, and reads, pass', async () => {
    const asked: string[] = []
    const { port } = await appThat(async (request, response) => {
      asked.push(request.method ?? '')
      await writeFile(join(folderOf(request), 'log'), await text(request))
      response.end('done')
    })
    const alpha = await entranceBench(await near(), port)
    expect((await alpha.ask({ ...CHANGE, headers: limit(5) })).status).toBe(200)
    const refused = await alpha.ask({ ...CHANGE, headers: limit(5) })
    expect([refused.status, refused.body]).toEqual([507, expect.stringContaining('0 bytes of it are left')])
    const others = [
      await alpha.ask({ method: 'DELETE', headers: limit(5) }),
      await alpha.ask({ headers: limit(0) }),
      await alpha.ask(CHANGE)
    ]
    expect([others.map(({ status }) => status), asked]).toEqual([
      [200, 200, 200],
      ['POST', 'DELETE', 'GET', 'POST']
    ])
  })

  test('nor does one on a disk that is nearly full', async () => {
    const { port } = await appThat((_, response) => void response.end())
    const space = { totalBytes: 1e12, freeBytes: 64 * 1024 * 1024 + 4 }
    const alpha = await entranceBench(await near(), port, { space })
    const refused = await alpha.ask(CHANGE)
    expect([refused.status, refused.body]).toEqual([507, expect.stringContaining('the disk of this server is full')])
    expect((await alpha.ask()).status).toBe(200)
  })

  test('a bound that is none is refused', async () => {
    const { port } = await appThat((_, response) => void response.end())
    const alpha = await entranceBench(await near(), port)
    expect((await alpha.ask({ headers: { 'x-node-daemon-limit': '-1' } })).status).toBe(400)
  })
})
