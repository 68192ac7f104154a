import { once } from 'node:events'
import { request } from 'node:http'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import {
  type GroupName,
  ownerOfService,
  type ServiceName,
  type UserId,
  type WorkspaceId
} from '../../../src/core/ids.ts'
import { ALICE, ALICES, type Answer, FILES, TOKEN, until } from './federation.ts'
import { RoutedFederation, type RoutedInstance, readBytes } from './routed.ts'

const BOB = 'user:bob' as UserId
const BOBS = 'b'.repeat(32) as WorkspaceId
const PAGE = { accept: 'text/html,*/*', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }

/** The path of an address that must begin so. */
function pathAt(location: string | undefined, url: string): string {
  if (location === undefined || !location.startsWith(`${url}/`)) throw new Error(`${location} is not at ${url}`)
  return location.slice(url.length)
}

/** A browser that was sent to the instance: the cookie that it has now. */
async function sentTo(routed: RoutedFederation, instance: RoutedInstance, path = '/'): Promise<string> {
  const sent = await routed.fed.ask('GET', path, { headers: PAGE })
  expect(sent.status).toBe(307)
  const arrived = await instance.ask(pathAt(sent.headers.location, instance.url), { headers: PAGE })
  expect(arrived.status).toBe(307)
  expect(arrived.headers.location).toBe(instance.url + path)
  return cookieOf(arrived)
}

/** A connection that speaks another protocol by now. */
async function openedAt({ port, url }: RoutedInstance, cookie: string): Promise<Socket> {
  const headers = { connection: 'Upgrade', upgrade: 'echo', cookie, origin: url }
  const opened = request({ host: '127.0.0.1', port, path: '/live', headers, agent: false })
  opened.end()
  const [, socket] = (await once(opened, 'upgrade')) as [unknown, Socket]
  return socket
}

const cookieOf = ({ headers }: Answer): string => headers['set-cookie']?.[0]?.split(';')[0] ?? ''

test('a browser is sent to the home, gets a cookie there, and its address is clean again', async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving(ALICES, 3))
  const sent = await fed.ask('GET', '/a%20b/?q=1&nd_ticket=app', { headers: PAGE })
  expect(sent).toMatchObject({ status: 307, text: '' })
  expect(sent.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'origin' })
  const path = pathAt(sent.headers.location, alpha.url)
  const arrived = await alpha.ask(path, { headers: PAGE })
  expect(arrived.headers).toMatchObject({
    location: `${alpha.url}/a%20b/?q=1&nd_ticket=app`,
    'referrer-policy': 'no-referrer',
    'set-cookie': [expect.stringMatching(/^nd_ingress=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/)]
  })
  expect(alpha.reached).toEqual([])
  const page = await alpha.ask('/a%20b/?q=1', { headers: { ...PAGE, cookie: `theirs=1; ${cookieOf(arrived)}` } })
  expect(page).toMatchObject({ status: 200, text: 'alpha:GET:' })
  expect(page.headers['x-served-by']).toBe('alpha')
  const [reached] = alpha.reached
  expect(reached?.target).toEqual({ workspace: ALICES, epoch: 3, service: 'files', prefix: '', user: ALICE })
  expect(reached?.headers.cookie).toBe('theirs=1')
  expect(reached?.raw.join()).not.toContain('nd_ingress')
  expect(reached?.headers).toMatchObject({ 'x-forwarded-proto': 'http', 'x-forwarded-host': `127.0.0.1:${alpha.port}` })
  expect(alpha.tunnelled).toBe(0)
})

test('a program without cookies is answered at once, and each ticket counts once', async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving())
  const sent = await fed.ask('GET', '/data.csv', { headers: { accept: '*/*' } })
  const path = pathAt(sent.headers.location, alpha.url)
  expect(await alpha.ask(path)).toMatchObject({ status: 200, text: 'alpha:GET:' })
  expect(alpha.reached[0]?.url).toBe('/data.csv')
  const again = await alpha.ask(path)
  expect(again).toMatchObject({ status: 307 })
  expect(again.headers.location).toBe(`http://127.0.0.1:${fed.port}/data.csv?nd_back=0`)
  expect(alpha.reached).toHaveLength(1)
})

test('a page at the home changes things and opens WebSockets there, pages of others do not', async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving())
  const cookie = await sentTo(routed, alpha)
  expect(alpha.door.busy()).toEqual([])
  const own = { cookie, origin: alpha.url, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' }
  const saved = await alpha.ask('/a', { method: 'PUT', headers: own, body: 'x' })
  expect(saved).toMatchObject({ status: 200, text: 'alpha:PUT:x' })
  const theirs = [
    { ...own, origin: 'http://evil.example' },
    { cookie, 'sec-fetch-site': 'cross-site' },
    { ...own, origin: 'null' }
  ]
  for (const headers of theirs) {
    expect((await alpha.ask('/a', { method: 'PUT', headers, body: 'x' })).status).toBe(403)
  }
  expect(alpha.reached).toHaveLength(1)
  const upgrade = { connection: 'Upgrade', upgrade: 'echo' }
  expect((await alpha.ask('/live', { headers: { ...upgrade, cookie, origin: 'http://evil.example' } })).status).toBe(
    403
  )
  const socket = await openedAt(alpha, cookie)
  socket.write('hello')
  expect(await readBytes(socket, 5)).toBe('hello')
  expect(alpha.door.busy()).toEqual([ALICES])
  // The workspace goes elsewhere: the connection ends by itself.
  alpha.isHome = false
  await once(socket, 'close')
  await until(() => alpha.door.busy().length === 0)
})

test('what is no request for a page is proxied: changes, scripts, frames, WebSockets, services with a host of their own', async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving())
  expect((await fed.ask('PUT', '/a', { body: 'x' })).text).toBe('alpha:PUT:x')
  const proxied = [
    { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' },
    { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
    { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
    { referer: `http://127.0.0.1:${fed.port}/`, accept: '*/*' }
  ]
  for (const headers of proxied) expect((await fed.ask('GET', '/a', { headers })).text).toBe('alpha:GET:')
  fed.table.list = [
    {
      name: fed.table.list[0]?.name ?? ('files' as never),
      route: { kind: 'host', host: 'files.test' },
      scope: 'user',
      writers: null
    }
  ]
  expect((await fed.ask('GET', '/', { headers: { ...PAGE, host: 'files.test' } })).text).toBe('alpha:GET:')
  expect(alpha.tunnelled).toBeGreaterThan(0)
})

test('a user of a workspace that has moved is sent back, and from there to its new home', async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, beta, fed } = routed
  fed.table.put(ALICE, alpha.serving(ALICES, 1))
  const cookie = await sentTo(routed, alpha)
  alpha.isHome = false
  fed.table.put(ALICE, beta.serving(ALICES, 2))
  const script = await alpha.ask('/a', { method: 'PUT', headers: { cookie, origin: alpha.url }, body: 'x' })
  expect(script.status).toBe(421)
  expect(script.text).toContain(`Begin at http://127.0.0.1:${fed.port}`)
  const back = await alpha.ask('/x?y=1', { headers: { ...PAGE, cookie: await sentAgain() } })
  expect(back).toMatchObject({ status: 307 })
  expect(back.headers.location).toBe(`http://127.0.0.1:${fed.port}/x?y=1&nd_back=1`)
  const on = await fed.ask('GET', pathAt(back.headers.location, `http://127.0.0.1:${fed.port}`), { headers: PAGE })
  expect(pathAt(on.headers.location, beta.url)).toMatch(/^\/x\?y=1&nd_ticket=/)
  // The session of before is over.
  expect((await alpha.ask('/x', { headers: { cookie, ...PAGE } })).headers.location).toContain('nd_back=0')

  async function sentAgain(): Promise<string> {
    fed.table.put(ALICE, alpha.serving(ALICES, 1))
    const again = await sentTo(routed, alpha)
    fed.table.put(ALICE, beta.serving(ALICES, 2))
    return again
  }
})

test('nobody goes round in a circle: whom an ingress sent back is proxied where nothing has changed', async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving(ALICES, 5))
  for (const mark of ['nd_back=5', 'nd_back=0', 'nd_back=9']) {
    const answer = await fed.ask('GET', `/a?q=1&${mark}`, { headers: PAGE })
    expect(answer).toMatchObject({ status: 200, text: 'alpha:GET:' })
    expect(alpha.reached.at(-1)?.url).toBe('/a?q=1')
  }
  // Elsewhere in an address the name is the app's.
  await fed.ask('PUT', '/a?nd_back=1&b=2', { body: 'x' })
  expect(alpha.reached.at(-1)?.url).toBe('/a?nd_back=1&b=2')
})

test('users that are let in are asked anew who they are when the coordinator says so', async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed, book } = routed
  fed.table.put(ALICE, alpha.serving())
  const cookie = await sentTo(routed, alpha)
  const unused = await fed.ask('GET', '/b', { headers: PAGE })
  book.endSessions()
  expect((await alpha.ask('/a', { headers: { ...PAGE, cookie } })).headers.location).toContain('nd_back=0')
  const late = await alpha.ask(pathAt(unused.headers.location, alpha.url), { headers: PAGE })
  expect(late.headers.location).toContain('nd_back=0')
  expect(alpha.reached).toEqual([])
  await routed.untilUsed(alpha.peer, 'redirect')
  expect((await alpha.ask('/a', { headers: { cookie: await sentTo(routed, alpha) } })).status).toBe(200)
})

test.each([
  ['asks anew who users are', (routed: RoutedFederation) => routed.book.endSessions()],
  [
    'says that users do not go there any more',
    (routed: RoutedFederation) => {
      routed.labels.set(routed.alpha.peer, 'tunnel')
      routed.book.relabelled(routed.alpha.peer)
    }
  ]
])('what users have open at the home ends when the coordinator %s', async (_what, say) => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving())
  const socket = await openedAt(alpha, await sentTo(routed, alpha))
  const closed = once(socket, 'close')
  say(routed)
  await closed
})

test('one user can be shown out at the home: their session, what they have open, and their tickets', async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed, book } = routed
  fed.table.put(ALICE, alpha.serving())
  const cookie = await sentTo(routed, alpha)
  const socket = await openedAt(alpha, cookie)
  const { location } = (await fed.ask('GET', '/late', { headers: PAGE })).headers
  book.endSessionsOf(BOB)
  expect((await alpha.ask('/', { headers: { ...PAGE, cookie } })).status).toBe(200)
  const closed = once(socket, 'close')
  book.endSessionsOf(ALICE)
  await closed
  for (const path of ['/', pathAt(location, alpha.url)]) {
    const back = await alpha.ask(path, { headers: { ...PAGE, cookie } })
    expect(back.headers.location).toContain('nd_back=0')
    expect(back.headers['set-cookie']).toBeUndefined()
  }
  // The key stays, and so do all others.
  expect(alpha.told.map(({ alone }) => alone)).toEqual([true, false, false])
})

test("nobody puts a browser into their own session: not over another user's, nor from a page of another site", async () => {
  await using routed = await RoutedFederation.start('redirect', {
    users: { byToken: async (token) => ({ user: token === TOKEN ? ALICE : BOB }) }
  })
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving())
  const arrive = async (headers: Record<string, string>): Promise<Answer> => {
    const sent = await fed.ask('GET', '/', { headers: PAGE })
    return alpha.ask(pathAt(sent.headers.location, alpha.url), { headers: { ...PAGE, ...headers } })
  }
  const door = `http://127.0.0.1:${fed.port}`
  const back = { status: 307, headers: { location: `${door}/?nd_back=0` } }
  const elsewhere = { 'sec-fetch-site': 'cross-site' }
  for (const headers of [elsewhere, { ...elsewhere, referer: 'https://evil.example/' }]) {
    const arrived = await arrive(headers)
    expect(arrived).toMatchObject(back)
    expect(arrived.headers['set-cookie']).toBeUndefined()
  }
  const victims = cookieOf(await arrive({ ...elsewhere, referer: `${door}/` }))
  expect(victims).toContain('nd_ingress=')
  fed.table.put(BOB, alpha.serving(BOBS))
  const bobs = await fed.ask('GET', '/', { headers: { ...PAGE, authorization: 'Bearer bobs-token' } })
  const arrived = await alpha.ask(pathAt(bobs.headers.location, alpha.url), { headers: { ...PAGE, cookie: victims } })
  expect(arrived).toMatchObject(back)
  expect(arrived.headers['set-cookie']).toBeUndefined()
  await alpha.ask('/', { headers: { ...PAGE, cookie: victims } })
  expect(alpha.reached.at(-1)?.headers['x-remote-user']).toBe(ALICE)
})

test("one instance's tickets and cookies are worth nothing at another", async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, beta, fed } = routed
  fed.table.put(ALICE, alpha.serving())
  const sent = await fed.ask('GET', '/', { headers: { accept: '*/*' } })
  const path = pathAt(sent.headers.location, alpha.url)
  expect((await beta.ask(path)).headers.location).toContain('nd_back=0')
  const cookie = await sentTo(routed, alpha)
  expect((await beta.ask('/', { headers: { cookie } })).headers.location).toContain('nd_back=0')
  expect(beta.reached).toEqual([])
})

test('the pages of the front door itself are at the front door', async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed } = routed
  fed.table.put(ALICE, alpha.serving())
  const cookie = await sentTo(routed, alpha)
  const own = await alpha.ask('/.well-known/node-daemon/sign-in', { headers: { ...PAGE, cookie } })
  expect(own.headers.location).toBe(`http://127.0.0.1:${fed.port}/.well-known/node-daemon/sign-in`)
})

test('a guest is sent to the home once there is a workspace', async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed } = routed
  fed.table.room = { home: alpha.peer, homeName: 'alpha' }
  fed.table.any = { home: alpha.peer, homeName: 'alpha' }
  const first = await fed.send('GET', '/', { headers: PAGE })
  expect(first).toMatchObject({ status: 200, text: 'alpha:GET:' })
  expect(alpha.reached[0]?.target.workspace).toBeNull()
  const cookie = cookieOf(first)
  expect((await fed.send('PUT', '/a', { headers: { cookie }, body: 'x' })).text).toBe('alpha:PUT:x')
  const sent = await fed.send('GET', '/', { headers: { ...PAGE, cookie } })
  expect(pathAt(sent.headers.location, alpha.url)).toMatch(/^\/\?nd_ticket=/)
})

test('the services of one address are told apart at the home too, and who may only read may only read there', async () => {
  await using routed = await RoutedFederation.start('redirect')
  const { alpha, fed } = routed
  const wiki = 'wiki' as ServiceName
  fed.table.list = [
    { name: FILES, route: { kind: 'path', prefix: '' }, scope: 'user', writers: null },
    { name: wiki, route: { kind: 'path', prefix: '/wiki' }, scope: 'service', writers: 'editors' as GroupName }
  ]
  fed.table.put(ALICE, alpha.serving())
  fed.table.put(ownerOfService(wiki), alpha.serving('c'.repeat(32) as WorkspaceId, 7), wiki)
  const cookie = await sentTo(routed, alpha)
  const strange = await alpha.ask('/wiki/Home', { headers: { ...PAGE, cookie } })
  expect(strange.headers.location).toBe(`http://127.0.0.1:${fed.port}/wiki/Home?nd_back=0`)
  const sent = await fed.ask('GET', '/wiki/Home', { headers: PAGE })
  const arrived = await alpha.ask(pathAt(sent.headers.location, alpha.url), { headers: { ...PAGE, cookie } })
  expect(cookieOf(arrived)).toBe(cookie)
  expect((await alpha.ask('/wiki/Home', { headers: { ...PAGE, cookie } })).status).toBe(200)
  expect(alpha.reached.at(-1)?.target).toMatchObject({ service: wiki, epoch: 7, prefix: '/wiki', user: ALICE })
  expect((await alpha.ask('/', { headers: { ...PAGE, cookie } })).status).toBe(200)
  expect(alpha.reached.at(-1)?.target).toMatchObject({ service: FILES, prefix: '' })
  const own = { cookie, origin: alpha.url }
  expect((await alpha.ask('/wiki/Home', { method: 'PUT', headers: own, body: 'x' })).status).toBe(403)
  expect((await alpha.ask('/a', { method: 'PUT', headers: own, body: 'x' })).status).toBe(200)
})
