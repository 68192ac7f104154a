import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { ALICE, ALICES, answerTo, Federation, gate, ManualClock, TOKEN, until } from './federation.ts'

const moving = { state: 'waiting', workspace: ALICES, reason: 'moving' } as const

test('while a workspace moves its requests wait, unread and uncounted, and then go to the new home', async () => {
  await using fed = await Federation.start()
  fed.table.put(ALICE, moving)
  const answers = [fed.ask('GET', '/1'), fed.ask('POST', '/2', { body: 'x' }), fed.ask('PUT', '/3', { body: 'y' })]
  await until(() => fed.door.load.held === 3)
  expect(fed.table.inside).toBe(0)
  fed.table.put(ALICE, { ...moving, reason: 'restoring' })
  fed.table.put(ALICE, fed.beta.serving(ALICES, 2))
  const texts = (await Promise.all(answers)).map(({ text }) => text)
  expect(texts).toEqual(['beta:GET:', 'beta:POST:x', 'beta:PUT:y'])
  expect(fed.beta.seen.every(({ target }) => target.epoch === 2)).toBe(true)
  expect(fed.alpha.seen).toEqual([])
  expect(fed.door.load.held).toBe(0)
})

test('a wait that lasts too long ends with 503, and a browser gets a page that tries again', async () => {
  const clock = new ManualClock()
  await using fed = await Federation.start({ clock, options: { holdMs: 30_000 } })
  fed.table.put(ALICE, moving)
  const program = fed.ask('PUT', '/', { body: 'x' })
  const browser = fed.ask('GET', '/', { headers: { accept: 'text/html,*/*' } })
  await until(() => fed.door.load.held === 2)
  clock.pass(29_999)
  expect(fed.door.load.held).toBe(2)
  clock.pass(1)
  expect(await program).toMatchObject({ status: 503, headers: { 'retry-after': '2', 'x-served-by': 'front-door' } })
  const page = await browser
  expect(page).toMatchObject({ status: 503, headers: { 'content-type': 'text/html; charset=utf-8' } })
  expect(page.text).toContain('<meta http-equiv="refresh" content="2">')
  expect(page.headers['content-security-policy']).toContain("default-src 'none'")
})

test('a client that stops waiting gives up its place', async () => {
  await using fed = await Federation.start()
  fed.table.put(ALICE, moving)
  const opened = fed.open('GET', '/', { authorization: `Bearer ${TOKEN}` })
  opened.on('error', () => undefined)
  opened.end()
  await until(() => fed.door.load.held === 1)
  opened.destroy()
  await until(() => fed.door.load.held === 0)
  fed.table.put(ALICE, fed.alpha.serving())
  expect((await fed.ask('GET', '/after')).status).toBe(200)
  expect(fed.alpha.seen.map(({ url }) => url)).toEqual(['/after'])
})

test('256 requests of one workspace may wait, one more is refused at once', async () => {
  await using fed = await Federation.start()
  fed.table.put(ALICE, moving)
  const waiting = Array.from({ length: 256 }, () => fed.ask('GET', '/'))
  await until(() => fed.door.load.held === 256)
  expect((await fed.ask('GET', '/')).status).toBe(503)
  fed.table.put(ALICE, fed.alpha.serving())
  expect((await Promise.all(waiting)).every(({ status }) => status === 200)).toBe(true)
})

test.each([
  ['GET', undefined, {}],
  ['PROPFIND', '<propfind/>', {}],
  ['PUT', 'x'.repeat(1024 * 1024), {}],
  ['PUT', '', {}]
])(
  'a %s in flight when its home dies is sent again to the new home, before those held',
  async (method, body, headers) => {
    await using fed = await Federation.start()
    const die = gate()
    fed.alpha.serve = async (request) => {
      request.resume()
      await once(request, 'end')
      await die.opened
      fed.alpha.kill()
    }
    const answer = fed.ask(method, '/first', { headers, ...(body !== undefined && { body }) })
    await until(() => fed.alpha.seen.length === 1)
    fed.table.put(ALICE, moving)
    const later = fed.ask('GET', '/later')
    await until(() => fed.door.load.held === 1)
    die.open()
    await until(() => fed.door.load.held === 2)
    expect(fed.table.suspects).toEqual([fed.alpha.peerId])
    fed.table.put(ALICE, fed.beta.serving(ALICES, 2))
    expect((await answer).text).toBe(`beta:${method}:${body ?? ''}`)
    await later
    expect(fed.beta.seen.map(({ url }) => url)).toEqual(['/first', '/later'])
    await until(() => fed.table.inside === 0)
  }
)

test.each([
  ['POST', 'x', {}],
  ['DELETE', undefined, {}],
  ['PUT', 'x', { 'if-match': '"1"' }],
  ['PUT', 'x'.repeat(1024 * 1024 + 1), {}]
])(
  'a %s in flight when its home dies is executed at most once, and the client is told',
  async (method, body, headers) => {
    await using fed = await Federation.start()
    fed.alpha.serve = async (request) => {
      request.resume()
      await once(request, 'end')
      fed.table.put(ALICE, fed.beta.serving(ALICES, 2))
      fed.alpha.kill()
    }
    const answer = await fed.ask(method, '/', { headers, ...(body !== undefined && { body }) })
    expect(answer).toMatchObject({
      status: 502,
      headers: { 'x-node-daemon-retry': 'unsafe', 'x-served-by': 'front-door' }
    })
    expect(fed.alpha.seen.length + fed.beta.seen.length).toBe(1)
    expect(fed.table.suspects).toEqual([fed.alpha.peerId])
  }
)

test('what was certainly not sent waits for the new home, whatever it is', async () => {
  await using fed = await Federation.start()
  fed.alpha.kill()
  const large = 'x'.repeat(2 * 1024 * 1024)
  const answers = [fed.ask('POST', '/', { body: 'x' }), fed.ask('POST', '/', { body: large })]
  await until(() => fed.table.suspects.length >= 2)
  fed.table.put(ALICE, fed.beta.serving(ALICES, 2))
  expect((await Promise.all(answers)).map(({ text }) => text)).toEqual(['beta:POST:x', `beta:POST:${large}`])
})

test('what was certainly not sent, and finds no home in time, may safely be sent again', async () => {
  await using fed = await Federation.start({ options: { holdMs: 200 } })
  fed.alpha.kill()
  const answer = await fed.ask('POST', '/', { body: 'x' })
  expect(answer).toMatchObject({ status: 502, headers: { 'x-node-daemon-retry': 'safe' } })
})

test('a home that is back in the same place is asked again', async () => {
  await using fed = await Federation.start()
  fed.alpha.alive = false
  const answer = fed.ask('POST', '/', { body: 'x' })
  await until(() => fed.table.suspects.length > 0)
  fed.alpha.alive = true
  expect((await answer).text).toBe('alpha:POST:x')
})

test('a request that kills one home after the other is not sent for ever', async () => {
  await using fed = await Federation.start()
  fed.alpha.serve = async (request) => {
    request.socket.destroy()
  }
  const answer = await fed.ask('GET', '/')
  expect(answer).toMatchObject({ status: 502, headers: { 'x-node-daemon-retry': 'unsafe' } })
  expect(fed.alpha.seen).toHaveLength(3)
})

test('an answer that is cut off never looks whole', async () => {
  await using fed = await Federation.start()
  for (const headers of [{}, { 'content-length': '100' }]) {
    fed.alpha.serve = async (_request, response) => {
      response.writeHead(200, headers)
      response.write('half')
    }
    const opened = fed.open('GET', '/', { authorization: `Bearer ${TOKEN}` })
    opened.end()
    const answer = answerTo(opened)
    await once(opened, 'response')
    fed.alpha.kill()
    await expect(answer).rejects.toThrow(/aborted/)
    fed.alpha.alive = true
  }
})

test('an instance that says that it is not the home is not asked to do it; the new home is', async () => {
  await using fed = await Federation.start()
  fed.alpha.serve = async () => {
    throw new NodeDaemonError('NOT_HOME', 'moved')
  }
  const large = 'x'.repeat(2 * 1024 * 1024)
  const answers = [
    fed.ask('POST', '/', { body: 'x' }),
    fed.ask('DELETE', '/'),
    fed.ask('POST', '/', { body: large }),
    fed.ask('GET', '/')
  ]
  await until(() => fed.alpha.seen.length >= 4 && fed.door.load.held === 4)
  fed.table.put(ALICE, fed.beta.serving(ALICES, 2))
  const texts = (await Promise.all(answers)).map(({ text }) => text)
  expect(texts).toEqual(['beta:POST:x', 'beta:DELETE:', `beta:POST:${large}`, 'beta:GET:'])
  expect(fed.table.suspects).toEqual([])
})

test('an instance that turns a request away after it has taken the body ends it with 503, safe to send again', async () => {
  await using fed = await Federation.start()
  fed.alpha.serve = async (request) => {
    for await (const _ of request) throw new NodeDaemonError('NOT_HOME', 'moved')
  }
  const answer = await fed.ask('PUT', '/', { body: 'x'.repeat(2 * 1024 * 1024) })
  expect(answer).toMatchObject({ status: 503, headers: { 'x-node-daemon-retry': 'safe', 'retry-after': '2' } })
  expect(fed.beta.seen).toEqual([])
})

test('an instance that is not the home yet is asked again', async () => {
  await using fed = await Federation.start()
  const { serve } = fed.alpha
  fed.alpha.serve = async () => {
    fed.alpha.serve = serve
    throw new NodeDaemonError('NOT_HOME', 'not yet')
  }
  expect((await fed.ask('POST', '/', { body: 'x' })).text).toBe('alpha:POST:x')
})

test("an app's own 421 is an answer like any other", async () => {
  await using fed = await Federation.start()
  fed.alpha.serve = async (_request, response) => {
    response.writeHead(421).end('mine')
  }
  expect(await fed.ask('GET', '/')).toMatchObject({ status: 421, text: 'mine' })
})

test('streams are used again, and one that the instance closed in the meantime costs nothing', async () => {
  await using fed = await Federation.start()
  for (let i = 0; i < 5; i += 1) await fed.ask('POST', '/', { body: 'x' })
  expect(fed.alpha.connections).toBe(1)
  fed.alpha.kill()
  fed.alpha.alive = true
  await until(() => fed.alpha.connections === 0)
  const answers = await Promise.all([1, 2, 3].map(() => fed.ask('GET', '/')))
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
})

test('giving up a home decides at once what is under way there', async () => {
  await using fed = await Federation.start()
  fed.alpha.serve = () => new Promise(() => undefined)
  const read = fed.ask('GET', '/')
  const change = fed.ask('POST', '/', { body: 'x' })
  await until(() => fed.alpha.seen.length === 2)
  fed.table.put(ALICE, fed.beta.serving(ALICES, 2))
  fed.door.dropHome(fed.alpha.peerId)
  expect((await read).text).toBe('beta:GET:')
  expect((await change).headers['x-node-daemon-retry']).toBe('unsafe')
})

test('a request that is broken off for a move is cut off, asked of the next home, or refused', async () => {
  await using fed = await Federation.start()
  fed.alpha.serve = async (request, response) => {
    request.resume()
    if (request.url === '/events') response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1')
  }
  const events = fed.open('GET', '/events', { authorization: `Bearer ${TOKEN}` })
  events.end()
  const [stream] = (await once(events, 'response')) as [IncomingMessage]
  const cut = once(stream.resume(), 'error')
  const read = fed.ask('GET', '/poll')
  const change = fed.ask('POST', '/change', { body: 'x' })
  await until(() => fed.alpha.seen.length === 3 && fed.table.inside === 3)
  fed.table.put(ALICE, moving)
  for (const breakOff of fed.table.breakOff) breakOff()
  await cut
  expect(await change).toMatchObject({ status: 502, headers: { 'x-node-daemon-retry': 'unsafe' } })
  await until(() => fed.table.inside === 0)
  fed.table.put(ALICE, fed.beta.serving(ALICES, 2))
  expect((await read).text).toBe('beta:GET:')
})

test('a workspace that moves while a body is being read gets it at its new home', async () => {
  await using fed = await Federation.start()
  const opened = fed.open('POST', '/', { authorization: `Bearer ${TOKEN}`, 'content-length': '4' })
  const answer = answerTo(opened)
  opened.write('ab')
  await until(() => fed.door.load.underWay === 1)
  fed.table.put(ALICE, fed.beta.serving(ALICES, 2))
  opened.end('cd')
  expect((await answer).text).toBe('beta:POST:abcd')
  expect(fed.alpha.seen).toEqual([])
})

test('a workspace that moves while a stream is being opened is not sought where it was', async () => {
  await using fed = await Federation.start()
  const slow = gate()
  fed.alpha.reachable = slow.opened
  const answer = fed.ask('POST', '/', { body: 'x' })
  await until(() => fed.alpha.dialled === 1)
  fed.table.put(ALICE, fed.beta.serving(ALICES, 2))
  slow.open()
  expect((await answer).text).toBe('beta:POST:x')
  expect(fed.alpha.seen).toEqual([])
})

test('at most so many streams lead to one home; the rest waits its turn', async () => {
  await using fed = await Federation.start({ options: { maxStreamsPerHome: 2 } })
  const go = gate()
  let most = 0
  fed.alpha.serve = async (_request, response) => {
    most = Math.max(most, fed.alpha.connections)
    await go.opened
    response.end('ok')
  }
  const answers = Array.from({ length: 8 }, () => fed.ask('GET', '/'))
  await until(() => fed.alpha.seen.length === 2 && fed.door.load.underWay === 8)
  go.open()
  expect((await Promise.all(answers)).map(({ text }) => text)).toEqual(Array(8).fill('ok'))
  expect(most).toBe(2)
})

test('closing lets those who wait go', async () => {
  await using fed = await Federation.start()
  fed.table.put(ALICE, moving)
  const answer = fed.ask('GET', '/')
  await until(() => fed.door.load.held === 1)
  await fed.door.close()
  expect((await answer).status).toBe(503)
})
