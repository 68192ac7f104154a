import { expect, test } from 'vitest'
import type { UserId } from '../../../src/core/ids.ts'
import { SessionCookies } from '../../../src/routing/cookie.ts'
import { Visitor } from '../../tools/visitor.ts'
import { ALICES, COOKIE_KEYS, FILES } from './federation.ts'
import { type SignInBench, signInBench } from './sign-in-bench.ts'

const DAY_MS = 86_400_000
const COOKIE = 'nd_session'

/** A user with a token, signed in by it in a browser. */
async function signedIn(bench: SignInBench, name = 'ada'): Promise<{ visitor: Visitor; token: string }> {
  const { token } = await bench.accounts.users.add(name, 'test')
  const visitor = new Visitor()
  await visitor.submit(bench.page('sign-in'), { token })
  return { visitor, token }
}

test('a token, typed into the page, makes a session: the same workspace as by Bearer and by Basic', async () => {
  await using bench = await signInBench()
  const { visitor, token } = await signedIn(bench)
  const headers = { origin: bench.address }
  await visitor.ask('PUT', `${bench.address}/f`, { body: 'x', headers })
  const program = new Visitor()
  for (const authorization of [`Bearer ${token}`, `Basic ${btoa(`ada:${token}`)}`]) {
    await program.ask('PUT', `${bench.address}/f`, { body: 'x', headers: { authorization } })
  }
  const second = new Visitor()
  await second.submit(bench.page('sign-in'), { token })
  await second.ask('PUT', `${bench.address}/f`, { body: 'x', headers })
  const puts = bench.federation.alpha.seen.filter(({ method }) => method === 'PUT').map(({ target }) => target)
  expect(puts).toHaveLength(4)
  expect(new Set(puts.map(({ workspace }) => workspace)).size).toBe(1)
  expect(puts.every(({ user }) => user === 'user:ada')).toBe(true)
  expect(second.cookie(bench.address, COOKIE)).not.toBe(visitor.cookie(bench.address, COOKIE))
})

test('after signing in a person gets to where they wanted to, on this address alone', async () => {
  await using bench = await signInBench()
  const { token } = await bench.accounts.users.add('ada', 'test')
  const arrived = await new Visitor().submit(bench.page('sign-in'), { token, to: '/notes/a?b=c d' })
  expect(arrived.url.pathname + arrived.url.search).toBe('/')
  const there = await new Visitor().submit(bench.page('sign-in'), { token, to: '/notes/a?b=c' })
  expect(there.url.href).toBe(`${bench.address}/notes/a?b=c`)
  const elsewhere = [
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example/',
    '\\\\evil.example',
    '/.//evil.example/',
    '/x/..//evil.example/',
    '/\t/evil.example',
    '/%0d%0aset-cookie:x=y\r\nx: y',
    'javascript:alert(1)',
    `/${'x'.repeat(5000)}`
  ]
  for (const to of elsewhere) {
    const { headers, status } = await new Visitor().ask('POST', bench.page('sign-in'), {
      body: new URLSearchParams({ token, to }).toString(),
      headers: { origin: bench.address, 'content-type': 'application/x-www-form-urlencoded' }
    })
    expect({ to, status, location: headers.location }).toEqual({ to, status: 303, location: '/' })
  }
})

test('signing out ends the session: its cookie, sent again, is worth nothing, and other devices stay signed in', async () => {
  await using bench = await signInBench()
  const { visitor, token } = await signedIn(bench)
  const other = new Visitor()
  await other.submit(bench.page('sign-in'), { token })
  const stolen = visitor.cookie(bench.address, COOKIE) ?? ''
  const out = await visitor.submit(bench.page('sign-out'), {})
  expect(out.text).toContain('You are signed out')
  expect(visitor.cookie(bench.address, COOKIE)).toBeNull()
  const thief = new Visitor()
  thief.setCookie(bench.address, COOKIE, stolen)
  const refused = await thief.ask('GET', `${bench.address}/f`)
  expect(refused.status).toBe(401)
  expect(refused.setCookies[0]).toMatch(/^nd_session=; .*Max-Age=0/)
  expect((await other.go(`${bench.address}/f`)).status).toBe(200)
})

test('a blocked user is out at once, and back in when let in; a removed one is out for good, also under the same name', async () => {
  await using bench = await signInBench()
  const { users } = bench.accounts
  const { visitor } = await signedIn(bench)
  await users.block('ada', 'test')
  expect((await visitor.go(bench.address)).status).toBe(403)
  await users.unblock('ada', 'test')
  expect((await visitor.go(bench.address)).status).toBe(200)
  await users.remove('ada', 'test')
  bench.clock.advance(1)
  await users.add('ada', 'test')
  expect((await visitor.go(bench.address)).status).toBe(401)
})

test('a session lasts 30 days from its last use, and its cookie is issued again each day', async () => {
  await using bench = await signInBench()
  const { visitor } = await signedIn(bench)
  const first = visitor.cookie(bench.address, COOKIE)
  for (let day = 0; day < 40; day++) {
    bench.clock.advance(DAY_MS + 1)
    expect((await visitor.go(bench.address)).status).toBe(200)
  }
  expect(visitor.cookie(bench.address, COOKIE)).not.toBe(first)
  bench.clock.advance(30 * DAY_MS + 1)
  expect((await visitor.go(bench.address)).status).toBe(401)
})

test('a cookie of a named user works where guests are not welcome; that of a guest does not', async () => {
  await using bench = await signInBench([], { anonymous: false })
  const { visitor } = await signedIn(bench)
  expect((await visitor.go(bench.address)).status).toBe(200)
  const guest = new Visitor()
  const cookies = new SessionCookies(COOKIE_KEYS, { secure: false })
  const line = cookies.issue(`guest:${'c'.repeat(32)}` as UserId, bench.clock.wall())
  guest.setCookie(bench.address, COOKIE, line.slice(line.indexOf('=') + 1, line.indexOf(';')))
  expect((await guest.go(bench.address)).status).toBe(401)
})

test('forged, cut and foreign sessions are nobody', async () => {
  await using bench = await signInBench()
  const { visitor } = await signedIn(bench)
  const good = visitor.cookie(bench.address, COOKIE) ?? ''
  const id = good.split('.')[1] ?? ''
  const foreign = new SessionCookies({ current: new Uint8Array(32).fill(7), previous: [] }, { secure: false })
  const line = foreign.issueSession(id, bench.clock.wall())
  const forged = [
    line.slice(line.indexOf('=') + 1, line.indexOf(';')),
    good.slice(0, -1),
    good.slice(2),
    good.replace(/^s\./, 'S.'),
    good.replace(id, id.replaceAll(/[0-9a-f]/g, '0')),
    `s.${id}`,
    `${good}.${good}`,
    `s.${id}..`
  ]
  for (const value of forged) {
    const thief = new Visitor()
    thief.setCookie(bench.address, COOKIE, value)
    const answer = await thief.ask('PUT', `${bench.address}/f`, { body: 'x', headers: { origin: bench.address } })
    expect(answer.status, value).toBe(401)
  }
})

test('a session that somebody put into a browser does not survive signing in there', async () => {
  await using bench = await signInBench()
  const attacker = await signedIn(bench, 'mallory')
  const planted = attacker.visitor.cookie(bench.address, COOKIE) ?? ''
  const { token } = await bench.accounts.users.add('ada', 'test')
  const victim = new Visitor()
  victim.setCookie(bench.address, COOKIE, planted)
  await victim.submit(bench.page('sign-in'), { token })
  expect(victim.cookie(bench.address, COOKIE)).not.toBe(planted)
  expect((await attacker.visitor.go(bench.address)).status).toBe(401)
  await victim.go(`${bench.address}/mine`)
  expect(bench.federation.alpha.seen.at(-1)?.target.user).toBe('user:ada')
})

test.each([
  ['another origin', { origin: 'https://evil.example' }],
  ['no origin at all', {}],
  ['an origin that a browser hides', { origin: 'null' }],
  ['another site', { origin: 'http://127.0.0.1', 'sec-fetch-site': 'cross-site' }]
])('a form that %s sends signs nobody in and nobody out, and keeps nothing', async (_what, headers) => {
  await using bench = await signInBench()
  const { visitor, token } = await signedIn(bench)
  const form = { 'content-type': 'application/x-www-form-urlencoded', ...headers }
  const stranger = new Visitor()
  const login = await stranger.ask('POST', bench.page('sign-in'), { body: `token=${token}`, headers: form })
  expect(login.status).toBe(403)
  expect(login.setCookies).toEqual([])
  for (const page of ['sign-out', 'keep']) {
    expect((await visitor.ask('POST', bench.page(page), { body: '', headers: form })).status).toBe(403)
  }
  expect((await visitor.go(bench.address)).status).toBe(200)
})

test('a wrong token is told, on the same page; too many are slowed down; bodies are bounded', async () => {
  await using bench = await signInBench()
  const visitor = new Visitor()
  const wrong = await visitor.submit(bench.page('sign-in'), { token: 'wrong', to: '/<script>' })
  expect(wrong.status).toBe(403)
  expect(wrong.text).toContain('not known')
  expect(wrong.text).not.toContain('<script>')
  for (let count = 0; count < 9; count++) await visitor.submit(bench.page('sign-in'), { token: 'wrong' })
  expect((await visitor.submit(bench.page('sign-in'), { token: 'wrong' })).status).toBe(429)
  expect((await visitor.submit(bench.page('sign-in'), { token: 'x'.repeat(17_000) })).status).toBe(413)
  const other = await visitor.ask('POST', bench.page('sign-in'), { body: '{}', headers: { origin: bench.address } })
  expect(other.status).toBe(400)
})

test('a browser that is refused gets a page that leads to the sign-in page; a program is asked for Basic', async () => {
  await using bench = await signInBench([], { anonymous: false })
  const person = await new Visitor().go(`${bench.address}/notes?x="><b>`)
  expect(person.status).toBe(401)
  expect(person.headers['www-authenticate']).toMatch(/^Bearer/)
  const link = /href="([^"]+)"/.exec(person.text)?.[1] ?? ''
  expect(link).toMatch(/^\/\.well-known\/node-daemon\/sign-in\?to=%2Fnotes/)
  const page = await new Visitor().go(new URL(link.replaceAll('&amp;', '&'), bench.address))
  expect(page.text).toContain('Sign in with a token')
  expect(page.text).not.toContain('<b>')
  const program = await new Visitor().ask('GET', `${bench.address}/notes`)
  expect(program.headers['www-authenticate']).toMatch(/^Basic/)
})

test('the pages load nothing, run nothing and are framed by nobody', async () => {
  await using bench = await signInBench()
  for (const path of ['sign-in', 'sign-out', 'keep', 'sign-in/nowhere']) {
    const { headers } = await new Visitor().go(bench.page(path))
    const policy = headers['content-security-policy'] ?? ''
    expect(policy, path).toContain("default-src 'none'")
    expect(policy, path).toContain("frame-ancestors 'none'")
    expect(policy, path).not.toContain('script-src')
    expect(headers['cache-control'], path).toBe('no-store')
  }
})

async function guestWithFile(bench: SignInBench): Promise<{ visitor: Visitor; guest: UserId }> {
  const visitor = new Visitor()
  await visitor.go(bench.address)
  await visitor.ask('PUT', `${bench.address}/f`, { body: 'x', headers: { origin: bench.address } })
  const guest = bench.federation.table.created.at(-1)
  if (guest === undefined) throw new Error('no workspace came into being')
  return { visitor, guest: guest as UserId }
}

test('what was begun as a guest is kept under a name: the same workspace, and the guest has none any more', async () => {
  await using bench = await signInBench()
  const { token } = await bench.accounts.users.add('ada', 'test')
  const { visitor, guest } = await guestWithFile(bench)
  const before = bench.federation.table.find(FILES, guest)
  const arrived = await visitor.submit(bench.page('sign-in'), { token, to: '/f' })
  expect(arrived.url.pathname).toBe('/.well-known/node-daemon/keep')
  expect(arrived.text).toContain('Keep it under my name')
  const kept = await visitor.submit(bench.page('keep'), { to: '/f' })
  expect(kept.text).toContain('kept under your name')
  expect(bench.federation.table.find(FILES, 'user:ada' as UserId)).toEqual(before)
  expect(bench.federation.table.find(FILES, guest)).toBeNull()
  expect(visitor.cookie(bench.address, 'nd_guest')).toBeNull()
  await visitor.go(`${bench.address}/f`)
  expect(bench.federation.alpha.seen.at(-1)?.target.workspace).toBe(before?.workspace)
})

test('where the named user has a workspace already nothing is made over and nothing is lost: signed out, it is there', async () => {
  await using bench = await signInBench()
  const { token } = await bench.accounts.users.add('ada', 'test')
  bench.federation.table.put('user:ada' as UserId, bench.federation.alpha.serving(ALICES))
  const { visitor, guest } = await guestWithFile(bench)
  const arrived = await visitor.submit(bench.page('sign-in'), { token })
  expect(arrived.text).toContain('stays with the guest')
  expect(arrived.text).not.toContain('Keep it under my name')
  const kept = await visitor.submit(bench.page('keep'), {})
  expect(kept.text).toContain('Nothing has changed')
  expect(bench.federation.table.find(FILES, guest)).not.toBeNull()
  await visitor.submit(bench.page('sign-out'), {})
  await visitor.go(`${bench.address}/f`)
  expect(bench.federation.alpha.seen.at(-1)?.target.user).toBe(guest)
})

test("nobody keeps what is another's: without the guest's cookie, as a blocked guest, or without a name", async () => {
  await using bench = await signInBench()
  const { guest, visitor } = await guestWithFile(bench)
  expect((await visitor.submit(bench.page('keep'), {})).text).toContain('Sign in to keep')
  const { visitor: other } = await signedIn(bench, 'mallory')
  other.setCookie(bench.address, 'nd_guest', `${guest.slice(6)}.abc.${'A'.repeat(43)}`)
  expect((await other.submit(bench.page('keep'), {})).text).toContain('nothing to keep')
  await bench.accounts.users.guests.block(guest, 'test')
  const { token } = await bench.accounts.users.add('ada', 'test')
  await visitor.submit(bench.page('sign-in'), { token })
  expect((await visitor.submit(bench.page('keep'), {})).status).toBe(403)
  expect(bench.federation.table.find(FILES, guest)).not.toBeNull()
})

test('a blocked guest is refused at once', async () => {
  await using bench = await signInBench()
  const { guest, visitor } = await guestWithFile(bench)
  await bench.accounts.users.guests.block(guest, 'test')
  expect((await visitor.go(`${bench.address}/f`)).status).toBe(403)
  await bench.accounts.users.guests.unblock(guest, 'test')
  expect((await visitor.go(`${bench.address}/f`)).status).toBe(200)
})

const TRUSTED = { trustProxy: ['127.0.0.1'], trustUserHeader: 'X-Sso-User' } as const

test('whom the sign-on proxy names comes into being, is listed, and can be blocked', async () => {
  await using bench = await signInBench([], TRUSTED)
  const proxy = new Visitor()
  const headers = { 'x-sso-user': 'Ada' }
  expect((await proxy.ask('GET', `${bench.address}/f`, { headers })).status).toBe(200)
  expect(bench.federation.alpha.seen.at(-1)?.headers).not.toHaveProperty('x-sso-user')
  expect(bench.federation.alpha.seen.at(-1)?.headers['x-remote-user']).toBe('user:ada')
  expect(bench.accounts.users.list()).toMatchObject([{ name: 'ada', source: { kind: 'sign-on' } }])
  await bench.accounts.users.block('ada', 'test')
  expect((await proxy.ask('GET', `${bench.address}/f`, { headers })).status).toBe(403)
  for (const name of ['a b', '../x', 'user:ada', 'x'.repeat(65)]) {
    expect((await proxy.ask('GET', bench.address, { headers: { 'x-sso-user': name } })).status, name).toBe(403)
  }
})

test('the header of the sign-on proxy is worth nothing from anybody else, under any spelling', async () => {
  await using bench = await signInBench([], { ...TRUSTED, trustProxy: ['10.0.0.1'] })
  const spoofs = ['x-sso-user', 'x_sso_user', 'x-remote-user', 'x_remote_user', 'X-Remote_User', 'x-forwarded-user']
  for (const name of spoofs) {
    const answer = await new Visitor().ask('GET', `${bench.address}/f`, { headers: { [name]: 'root' } })
    expect(answer.status).toBe(200)
    const { target, headers } = bench.federation.alpha.seen.at(-1) ?? {}
    expect(target?.user, name).toBeNull()
    expect(Object.values(headers ?? {}), name).not.toContain('root')
  }
  expect(bench.accounts.users.list()).toEqual([])
})

test('through the sign-on proxy too, only its own header counts', async () => {
  await using bench = await signInBench([], TRUSTED)
  for (const name of ['x_sso_user', 'x-remote-user', 'x_remote_user']) {
    await new Visitor().ask('GET', `${bench.address}/f`, { headers: { [name]: 'root' } })
    expect(bench.federation.alpha.seen.at(-1)?.target.user, name).toBeNull()
  }
})
