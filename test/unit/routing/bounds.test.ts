import { once } from 'node:events'
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { ownerOfService, type ServiceName, type UserId, type WorkspaceId } from '../../../src/core/ids.ts'
import { silent } from '../../../src/core/log.ts'
import { BodyBudget } from '../../../src/routing/body.ts'
import { Hold, type Release } from '../../../src/routing/hold.ts'
import { Turns } from '../../../src/routing/turns.ts'
import { ALICE, ALICES, type Answer, Federation, gate, TOKEN, until, untilClosed } from './federation.ts'

const AUTH = `Host: h\r\nAuthorization: Bearer ${TOKEN}\r\n`
const BOB = 'user:bob' as UserId
const BOBS = 'b'.repeat(32) as WorkspaceId
const moving = { state: 'waiting', workspace: ALICES, reason: 'moving' } as const

/** Alice's app hangs until it is told to go on; Bob, on the same instance, has a token too. */
async function hanging(limits: Record<string, number>) {
  const fed = await Federation.start({
    options: { limits },
    users: { byToken: async (token) => ({ user: token === TOKEN ? ALICE : BOB }) }
  })
  fed.table.put(BOB, fed.alpha.serving(BOBS))
  const go = gate()
  fed.alpha.serve = async (_request, response, { workspace }) => {
    if (workspace === ALICES) await go.opened
    response.end('ok')
  }
  const asBob = () => fed.send('GET', '/', { headers: { authorization: 'Bearer bobs' } })
  return { fed, go, asBob }
}

test('an app that hangs takes no more than its share of an instance; the rest of its requests wait', async () => {
  const { fed, go, asBob } = await hanging({ atOncePerUser: 3 })
  await using _fed = fed
  const answers = Array.from({ length: 8 }, () => fed.ask('GET', '/'))
  await until(() => fed.door.load.underWay === 8 && fed.alpha.seen.length === 3)
  expect((await asBob()).status).toBe(200)
  expect(fed.alpha.seen).toHaveLength(4)
  go.open()
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(Array(8).fill(200))
})

test('so much as one user may wait for their turn is bounded, and so is the time', async () => {
  const { fed, go } = await hanging({ atOncePerUser: 1, waitingForTurn: 2 })
  await using _fed = fed
  const answers = Array.from({ length: 3 }, () => fed.ask('GET', '/'))
  await until(() => fed.door.load.underWay === 3)
  expect(await fed.ask('GET', '/')).toMatchObject({ status: 503, headers: { 'retry-after': '2' } })
  go.open()
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200])
})

test('guests take no more than their share of a workspace that people share, those of one address even less', async () => {
  const wiki = 'wiki' as ServiceName
  const limits = { atOncePerWorkspace: 6, atOnceForGuests: 4, atOnceForGuestsPerAddress: 2 }
  await using fed = await Federation.start({ options: { limits, trustProxy: ['127.0.0.1'] } })
  fed.table.list = [{ name: wiki, route: { kind: 'path', prefix: '/wiki' }, scope: 'service', writers: null }]
  fed.table.put(ownerOfService(wiki), fed.alpha.serving(BOBS), wiki)
  const go = gate()
  fed.alpha.serve = async (request, response) => {
    if (request.url === '/wiki/slow') await go.opened
    response.end('ok')
  }
  const slow = (address: string) => fed.send('GET', '/wiki/slow', { headers: { 'x-forwarded-for': address } })
  const answers: Promise<Answer>[] = []
  const more = async (address: string, reached: number): Promise<void> => {
    answers.push(slow(address), slow(address), slow(address))
    await until(() => fed.door.load.underWay === answers.length && fed.alpha.seen.length === reached)
  }
  await more('192.0.2.1', 2)
  await more('192.0.2.2', 4)
  await more('192.0.2.3', 4)
  expect((await fed.ask('GET', '/wiki/')).text).toBe('ok')
  go.open()
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(Array(9).fill(200))
})

test('a turn that does not come in time is refused', async () => {
  await using fed = await Federation.start({ options: { holdMs: 100, limits: { atOncePerWorkspace: 1 } } })
  fed.alpha.serve = () => new Promise(() => undefined)
  const hung = fed.open('GET', '/', { authorization: `Bearer ${TOKEN}` })
  hung.on('error', () => undefined).end()
  await until(() => fed.alpha.seen.length === 1)
  expect((await fed.ask('POST', '/', { body: 'x' })).status).toBe(503)
  hung.destroy()
})

test('who goes away while waiting for a turn leaves the queue, and a WebSocket keeps its turn until it ends', async () => {
  await using fed = await Federation.start({
    options: { limits: { atOncePerUser: 1 } },
    upgrade: async (_request, { socket }) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    }
  })
  const socket = fed.raw()
  socket.write(`GET /ws HTTP/1.1\r\n${AUTH}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
  await once(socket, 'data')
  const gone = fed.open('GET', '/gone', { authorization: `Bearer ${TOKEN}` })
  gone.on('error', () => undefined).end()
  await until(() => fed.door.load.underWay === 1)
  const stays = fed.ask('GET', '/stays')
  await until(() => fed.door.load.underWay === 2)
  gone.destroy()
  await until(() => fed.door.load.underWay === 1)
  expect(fed.alpha.seen.map(({ url }) => url)).toEqual(['/ws'])
  socket.destroy()
  expect((await stays).status).toBe(200)
  expect(fed.alpha.seen.map(({ url }) => url)).toEqual(['/ws', '/stays'])
})

test('turns are given back once, and in order', () => {
  const turns = new Turns({ atOnce: 1, waiting: 1 })
  const gone: string[] = []
  const first = turns.take('a', () => undefined)
  const second = turns.take('a', () => gone.push('second'))
  expect([first?.now, second?.now, turns.take('a', () => undefined), turns.take('b', () => undefined)?.now]).toEqual([
    true,
    false,
    null,
    true
  ])
  first?.leave()
  first?.leave()
  expect(gone).toEqual(['second'])
  expect(turns.take('a', () => undefined)?.now).toBe(false)
})

test('bodies that are kept are bounded for all and for each user', () => {
  const budget = new BodyBudget({ bytes: 100, perUser: 60 })
  expect([budget.take('a', 60), budget.take('a', 1), budget.take('b', 41), budget.take('b', 40)]).toEqual([
    true,
    false,
    false,
    true
  ])
  budget.giveBack('a', 60)
  expect([budget.take('a', 61), budget.take('a', 60)]).toEqual([false, true])
})

test('one address does not fill the hold for the others, and its places come back', () => {
  const limits = { total: 10, perWorkspace: 10, perClient: 2 }
  const hold = new Hold({ clock: systemClock(), log: silent, changed: () => new Promise(() => undefined) }, limits)
  const released: (Release | null)[] = []
  const wait = (client: string | null) => {
    const index = released.push(null) - 1
    return hold.wait(ALICES, {
      until: Number.MAX_SAFE_INTEGER,
      client,
      first: false,
      ready: () => false,
      done: (release) => {
        released[index] = release
      }
    })
  }
  const [leave] = [
    wait('9.9.9.9'),
    wait('9.9.9.9'),
    wait('9.9.9.9'),
    wait('8.8.8.8'),
    wait(null),
    wait(null),
    wait(null)
  ]
  expect(released).toEqual([null, null, 'full', null, null, null, null])
  leave?.()
  wait('9.9.9.9')
  expect(released.at(-1)).toBe(null)
  hold.close()
})

test('an upgrade whose client goes away while it waits is dropped from the hold at once', async () => {
  await using fed = await Federation.start()
  fed.table.put(ALICE, moving)
  const socket = fed.raw()
  socket.write(`GET /ws HTTP/1.1\r\n${AUTH}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
  await until(() => fed.door.load.held === 1)
  socket.end()
  await until(() => fed.door.load.held === 0 && fed.door.load.underWay === 0)
})

test('a client that waits for 100 Continue, and goes away, is dropped from the hold at once', async () => {
  await using fed = await Federation.start()
  fed.table.put(ALICE, moving)
  const socket = fed.raw()
  socket.write(`PUT / HTTP/1.1\r\n${AUTH}Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n`)
  await until(() => fed.door.load.held === 1)
  socket.destroy()
  await until(() => fed.door.load.held === 0 && fed.door.load.underWay === 0)
})

test('a head that does not come to an end is refused with 408', async () => {
  await using fed = await Federation.start({ options: { limits: { headersMs: 200 } } })
  const socket = fed.raw()
  socket.write(`GET / HTTP/1.1\r\n${AUTH}X-A: `)
  expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 408 /)
})

test('a small body that does not come to an end is refused with 408, and its room given back', async () => {
  await using fed = await Federation.start({ options: { limits: { keptBodyMs: 100 } } })
  const socket = fed.raw()
  socket.write(`PUT / HTTP/1.1\r\n${AUTH}Content-Length: 1000\r\n\r\nabc`)
  const [answer] = await once(socket, 'data')
  expect(String(answer)).toMatch(/^HTTP\/1\.1 408 /)
  socket.destroy()
  await until(() => fed.door.load.underWay === 0)
  expect(fed.alpha.seen).toEqual([])
})

test('a client that stops sending, and one that stops reading, is cut off, and so is its instance', async () => {
  await using fed = await Federation.start({ options: { holdMs: 0, limits: { idleMs: 200 } } })
  const cut = Promise.withResolvers<void>()
  const gone = Promise.withResolvers<void>()
  fed.alpha.serve = async (request, response) => {
    if (request.method === 'POST') {
      request.resume()
      request.once('error', () => cut.resolve())
      return
    }
    const filled = Buffer.alloc(1024 * 1024)
    const fill = (): void => {
      while (!response.destroyed && response.write(filled));
    }
    response.on('drain', fill)
    response.once('close', () => gone.resolve())
    fill()
  }
  const sender = fed.raw()
  sender.write(`POST / HTTP/1.1\r\n${AUTH}Transfer-Encoding: chunked\r\n\r\n5\r\nabc`)
  await untilClosed(sender)
  await cut.promise
  const reader = fed.raw()
  reader.on('error', () => undefined).pause()
  reader.write(`GET / HTTP/1.1\r\n${AUTH}\r\n`)
  await gone.promise
  await until(() => fed.door.load.underWay === 0)
  reader.destroy()
})

test('an instance may take its time to answer, but not for ever', async () => {
  await using fed = await Federation.start({ options: { holdMs: 0, limits: { idleMs: 100, answerMs: 400 } } })
  const started = performance.now()
  fed.alpha.serve = async (request, response) => {
    if (request.url === '/slow') setTimeout(() => response.end('slow'), 250)
  }
  expect((await fed.ask('GET', '/slow')).text).toBe('slow')
  await expect(fed.ask('GET', '/never')).rejects.toThrow(/hang up/)
  expect(performance.now() - started).toBeGreaterThan(600)
  await until(() => fed.door.load.underWay === 0)
})
