import { describe, expect, test } from 'vitest'
import { COORDINATOR_ROUTES } from '../../../src/console/coordinator-routes.ts'
import { ROLES } from '../../../src/console/views.ts'
import { bearer, codeIn, startAdmin } from './harness.ts'

const ROUTES = COORDINATOR_ROUTES.filter((route) => !route.socketOnly && route.kind !== 'changes')
const BODIES: Readonly<Record<string, object>> = {
  '/peers/:peer/label': { labels: { a: 'b' } },
  '/workspaces/:id/move': { to: 'beta' },
  '/users': { name: 'ada' },
  '/services': { name: 'notes', route: '/notes' },
  '/users/:name/block': { blocked: true },
  '/groups': { name: 'lab' },
  '/groups/:name/grant': { user: 'ada', rights: 'read' },
  '/groups/:name/revoke': { user: 'ada' },
  '/users/:name/quota': { quotaBytes: 50e9 },
  '/admins': { name: 'bob', role: 'viewer' }
}
const asked = (route: { method: string; path: string }, headers: Record<string, string>) => ({
  method: route.method,
  headers,
  ...(route.method !== 'GET' && { body: BODIES[route.path] ?? {} })
})
const pathOf = (path: string): string => `/api/v1${path.replace(/:\w+/, 'alpha')}`

describe.each(ROUTES.map((route) => ({ name: `${route.method} ${route.path}`, route })))('$name', ({ route }) => {
  test('answers each role as the table says, and nobody without a token', async () => {
    const { ask, service } = await startAdmin()
    const nobody = await ask(pathOf(route.path), asked(route, {}))
    expect(nobody.status).toBe(401)
    expect(codeIn(nobody)).toBe('UNAUTHENTICATED')
    expect((await ask(pathOf(route.path), asked(route, { authorization: 'Bearer wrong' }))).status).toBe(401)
    expect(service.calls).toEqual([])
    for (const role of ROLES) {
      const allowed = ROLES.indexOf(role) >= ROLES.indexOf(route.role)
      const answer = await ask(pathOf(route.path), asked(route, bearer(role)))
      expect(answer.status, role).toBe(allowed ? 200 : 403)
    }
  })

  test('takes the console’s session, and for a change only with its CSRF token', async () => {
    const { ask, signIn, service } = await startAdmin()
    const { cookie, csrf } = await signIn('admin')
    const without = await ask(pathOf(route.path), asked(route, { cookie }))
    expect(without.status).toBe(route.method === 'GET' ? 200 : 403)
    if (route.method !== 'GET') expect(service.calls).toEqual([])
    const wrong = await ask(pathOf(route.path), asked(route, { cookie, 'x-nd-csrf': `${csrf}0` }))
    expect(wrong.status).toBe(route.method === 'GET' ? 200 : 403)
    expect((await ask(pathOf(route.path), asked(route, { cookie, 'x-nd-csrf': csrf }))).status).toBe(200)
  })
})

test('the event stream is for viewers and above', async () => {
  const { ask } = await startAdmin()
  expect((await ask('/api/v1/events')).status).toBe(401)
  expect((await ask('/api/v1/events', { headers: bearer('metrics') })).status).toBe(403)
})

test('metrics need a role, the least of all is enough; health needs none', async () => {
  const { ask, service } = await startAdmin()
  expect((await ask('/metrics')).status).toBe(401)
  for (const role of ROLES) expect((await ask('/metrics', { headers: bearer(role) })).status, role).toBe(200)
  expect((await ask('/healthz')).status).toBe(200)
  expect((await ask('/readyz')).status).toBe(200)
  service.isReady = false
  expect((await ask('/readyz')).status).toBe(503)
  expect((await ask('/healthz')).status).toBe(200)
})

test('stopping is for the unix socket only', async () => {
  const { ask, service } = await startAdmin()
  expect((await ask('/api/v1/stop', { method: 'POST', headers: bearer('admin') })).status).toBe(404)
  expect(service.calls).toEqual([])
})

describe('Host', () => {
  test.each([
    '127.0.0.1',
    'localhost:1234',
    'LOCALHOST',
    '[::1]:9481',
    'console.example.org',
    'console.example.org:443'
  ])('%s is one of ours', async (host) => {
    const { ask } = await startAdmin({ hosts: ['console.example.org'] })
    expect((await ask('/', { headers: { host } })).status).toBe(200)
  })

  test.each([
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil.example:9481',
    'localhost@evil',
    ' '
  ])('%s is refused, on every path and with a good token', async (host) => {
    const { ask } = await startAdmin({ hosts: ['console.example.org'] })
    for (const path of ['/', '/api/v1/status', '/metrics', '/healthz', '/session']) {
      expect((await ask(path, { headers: { host, ...bearer('admin') } })).status, path).toBe(403)
    }
  })
})

describe('a page elsewhere', () => {
  test.each([
    { origin: 'http://evil.example' },
    { origin: 'http://127.0.0.1:1' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' }
  ] as Record<string, string>[])('with %o cannot use the session', async (from) => {
    const { ask, signIn } = await startAdmin()
    const { cookie, csrf } = await signIn('admin')
    expect((await ask('/api/v1/status', { headers: { cookie, ...from } })).status).toBe(403)
    const change = { method: 'POST', headers: { cookie, 'x-nd-csrf': csrf, ...from }, body: {} }
    expect((await ask('/api/v1/peers/alpha/approve', change)).status).toBe(403)
    const login = {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...from },
      body: { token: 'token-admin' }
    }
    expect((await ask('/session', login)).status).toBe(403)
  })

  test('gets no CORS header', async () => {
    const { ask } = await startAdmin()
    const answer = await ask('/api/v1/status', {
      method: 'OPTIONS',
      headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' }
    })
    expect(answer.status).toBe(405)
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
  })
})

test('too many wrong tokens from an address are refused for a while; a right one still passes', async () => {
  const { ask, accounts } = await startAdmin()
  accounts.attemptsLeft = 2
  const guess = () => ask('/api/v1/status', { headers: { authorization: 'Bearer guess' } })
  expect((await guess()).status).toBe(401)
  expect((await guess()).status).toBe(401)
  const third = await guess()
  expect(third.status).toBe(503)
  expect(third.headers['retry-after']).toBeDefined()
  const signIn = { method: 'POST', headers: { 'content-type': 'application/json' }, body: { link: 'guess' } }
  expect((await ask('/session', signIn)).status).toBe(503)
  expect((await ask('/api/v1/status', { headers: bearer('viewer') })).status).toBe(200)
})
