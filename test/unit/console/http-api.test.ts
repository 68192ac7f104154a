import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { COORDINATOR_ROUTES } from '../../../src/console/coordinator-routes.ts'
import { BODY_MAX_BYTES } from '../../../src/console/exchange.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { type Answer, bearer, codeIn, startAdmin } from './harness.ts'

const admin = bearer('admin')
const post = (body: string | object) => ({ method: 'POST', headers: admin, body })

test('a change reaches the service with its caller, its target and what was asked', async () => {
  const { ask, service } = await startAdmin()
  const caller = { actor: 'olga', role: 'operator' }
  await ask('/api/v1/peers/alpha/approve', {
    method: 'POST',
    headers: bearer('operator'),
    body: { code: 'a-b-c-d-12' }
  })
  await ask('/api/v1/peers/alpha/deny', { method: 'POST', headers: bearer('operator') })
  await ask('/api/v1/peers/alpha/label', {
    method: 'POST',
    headers: bearer('operator'),
    body: { labels: { clearance: 'human', old: null } }
  })
  await ask('/api/v1/workspaces/7f%2F3a/move', { method: 'POST', headers: bearer('operator'), body: { to: 'beta' } })
  expect(service.calls).toEqual([
    ['approve', caller, 'alpha', { code: 'a-b-c-d-12' }],
    ['deny', caller, 'alpha', ''],
    ['label', caller, 'alpha', { clearance: 'human', old: null }],
    ['move', caller, '7f/3a', 'beta']
  ])
})

test('a query is read, bounded, and has its defaults', async () => {
  const { ask, service } = await startAdmin()
  await ask('/api/v1/audit', { headers: admin })
  await ask('/api/v1/audit?limit=7', { headers: admin })
  await ask('/api/v1/workspaces?search=ada&limit=50', { headers: admin })
  expect(service.calls).toEqual([
    ['audit', 100],
    ['audit', 7],
    ['workspaces', { search: 'ada', after: '', limit: 50 }]
  ])
  for (const query of ['limit=0', 'limit=x', 'limit=10001', 'other=1']) {
    expect((await ask(`/api/v1/audit?${query}`, { headers: admin })).status, query).toBe(400)
  }
})

test('a CAR is sent as it comes; one that breaks off is cut, and is not taken for complete', async () => {
  const { ask, service } = await startAdmin()
  const whole = await ask('/api/v1/workspaces/7f/export?sequence=3&path=a%2Fb', { headers: admin })
  expect([whole.status, whole.text]).toEqual([200, 'the first part, the second'])
  expect(whole.headers).toMatchObject({
    'content-type': 'application/vnd.ipld.car',
    'content-disposition': 'attachment; filename="7f.car"'
  })
  expect(service.calls.at(-1)?.slice(2)).toEqual(['7f', { sequence: 3, path: 'a/b' }])
  expect((await ask('/api/v1/repo/export', { method: 'HEAD', headers: admin })).text).toBe('')

  service.exported = [Buffer.from('the first part, '), new Error('a block is damaged')]
  await expect(ask('/api/v1/repo/export', { headers: admin })).rejects.toThrow()
  service.exported = [new NodeDaemonError('INCOMPLETE', 'a block is damaged')]
  const refused = await ask('/api/v1/repo/export', { headers: admin })
  expect([refused.status, codeIn(refused)]).toEqual([409, 'INCOMPLETE'])

  service.exported = [Buffer.from('the first part, '), new NodeDaemonError('INCOMPLETE', 'a block – is damaged')]
  await expect(ask('/api/v1/repo/export', { headers: admin })).rejects.toThrow()
  const { trailers } = await ask('/api/v1/repo/export', { headers: { ...admin, te: 'trailers' } })
  expect(JSON.parse(decodeURIComponent(trailers['nd-error'] ?? ''))).toMatchObject({
    error: { code: 'INCOMPLETE', message: 'a block – is damaged' }
  })
})

test('what an admin does with the repository and the past reaches the service with its caller', async () => {
  const { ask, service } = await startAdmin()
  const caller = { actor: 'root', role: 'admin' }
  const outcomes = [
    await ask('/api/v1/repo/verify', post({ maxBytes: 1000 })),
    await ask('/api/v1/repo/gc', post({ full: true })),
    await ask('/api/v1/repo/reindex', post({})),
    await ask('/api/v1/workspaces/7f/restore', post({ head: 'bafy', path: 'a/b' })),
    await ask('/api/v1/workspaces/7f/history?limit=5', { headers: admin }),
    await ask('/api/v1/workspaces/7f/snapshot?at=2026-01-02T03:04:05Z', { headers: admin })
  ]
  expect(outcomes.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200])
  expect(JSON.parse(outcomes[0]?.text ?? '')).toMatchObject({ state: 'done', left: [] })
  expect(service.calls).toEqual([
    ['verify', caller, { maxBytes: 1000 }],
    ['gc', caller, { full: true }],
    ['reindex', caller],
    ['restore', caller, '7f', { head: 'bafy', path: 'a/b' }],
    ['history', expect.objectContaining({ role: 'admin' }), '7f', 5],
    ['snapshot', '7f', { at: '2026-01-02T03:04:05Z', path: '' }]
  ])
})

test.each([
  ['viewer', 'POST', '/repo/verify'],
  ['operator', 'POST', '/repo/gc'],
  ['operator', 'POST', '/repo/reindex'],
  ['operator', 'GET', '/repo/export'],
  ['operator', 'GET', '/workspaces/7f/export'],
  ['operator', 'POST', '/workspaces/7f/restore'],
  ['operator', 'POST', '/failover/confirm'],
  ['viewer', 'POST', '/rebalance'],
  ['viewer', 'POST', '/rebalance/stop']
])('a %s may not %s %s', async (role, method, path) => {
  const { ask, service } = await startAdmin()
  const answer = await ask(`/api/v1${path}`, { method, headers: bearer(role), ...(method === 'POST' && { body: {} }) })
  expect([answer.status, service.calls]).toEqual([403, []])
})

describe('what is refused', () => {
  const long = 'x'.repeat(501)
  test.each([
    ['/peers/alpha/approve', { code: 'x'.repeat(65) }],
    ['/peers/alpha/approve', { name: 'a\u0000b' }],
    ['/peers/alpha/approve', { unknown: 1 }],
    ['/peers/alpha/deny', { reason: long }],
    ['/peers/alpha/drain', { deadlineMs: -1 }],
    ['/peers/alpha/drain', { deadlineMs: 1e15 }],
    ['/peers/alpha/label', {}],
    ['/peers/alpha/label', { labels: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, 'v'])) }],
    ['/invites', { uses: 0 }],
    ['/users', { name: '' }],
    ['/users/ada/block', { blocked: 'yes' }],
    ['/admins', { name: 'bob', role: 'god' }],
    ['/workspaces/7f/move', []],
    ['/repo/verify', { maxBytes: 0 }],
    ['/workspaces/7f/restore', { sequence: 0 }],
    ['/workspaces/7f/restore', { at: 'yesterday' }],
    ['/workspaces/7f/restore', { path: 'a\0b' }],
    ['/users', null],
    [`/peers/${'x'.repeat(129)}/approve`, {}]
  ] as const)('%s %j', async (path, body) => {
    const { ask, service } = await startAdmin()
    const answer = await ask(`/api/v1${path}`, post(JSON.stringify(body)))
    expect(answer.status).toBe(400)
    expect(codeIn(answer)).toBe('BAD_REQUEST')
    expect(service.calls).toEqual([])
  })

  test.each(['{', '\u00ff\u00fe', 'undefined', '{"a":1}{'])('a body that is not JSON: %j', async (body) => {
    const { ask } = await startAdmin()
    expect((await ask('/api/v1/users', post(body))).status).toBe(400)
  })

  test('a body over 256 KiB, whether its length is told or not', async () => {
    const { ask, port, service } = await startAdmin()
    const told = await ask('/api/v1/users', post('x'.repeat(BODY_MAX_BYTES + 1)))
    expect(told.status).toBe(413)
    expect(codeIn(told)).toBe('TOO_LARGE')
    const untold = await raw(
      port,
      `POST /api/v1/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${admin.authorization}\r\nTransfer-Encoding: chunked\r\n\r\n` +
        `${(BODY_MAX_BYTES + 1).toString(16)}\r\n${'x'.repeat(BODY_MAX_BYTES + 1)}\r\n`
    )
    expect(untold).toMatch(/^HTTP\/1\.1 413 /)
    const fits = JSON.stringify({ name: 'ada' }).padEnd(BODY_MAX_BYTES, ' ')
    expect((await ask('/api/v1/users', post(fits))).status).toBe(200)
    expect(service.calls).toHaveLength(1)
  })

  test('an unknown path, a bad escape, a wrong method', async () => {
    const { ask } = await startAdmin()
    for (const path of [
      '/nothing',
      '/api/v1',
      '/api/v1/nothing',
      '/api/v1/peers/',
      '/api/v1/peers/%ff',
      '/console/nothing.js'
    ]) {
      const answer = await ask(path, { headers: admin })
      expect(answer.status, path).toBe(404)
      expect(codeIn(answer), path).toBe('NOT_FOUND')
    }
    const wrong = await ask('/api/v1/users', { method: 'PUT', headers: admin })
    expect(wrong.status).toBe(405)
    expect(wrong.headers.allow).toBe('GET, POST')
    expect((await ask('/metrics', { method: 'POST', headers: admin })).headers.allow).toBe('GET')
  })
})

test('an admin named link can be removed, and the link endpoint stays itself', async () => {
  const { ask, service } = await startAdmin()
  await ask('/api/v1/admins/link', { method: 'DELETE', headers: admin })
  await ask('/api/v1/admins/link', { method: 'POST', headers: admin })
  expect(service.calls.map(([name]) => name)).toEqual(['removeAdmin', 'createConsoleLink'])
})

test('errors carry code, message and advice; what is not ours tells nothing of the inside', async () => {
  const { ask } = await startAdmin()
  const known = await ask('/api/v1/peers/zulu', { headers: admin })
  expect(known.status).toBe(404)
  expect(known.json).toEqual({ error: { code: 'NOT_FOUND', message: 'no peer zulu', advice: 'see peers ls' } })
  const unknown = await ask('/api/v1/peers/broken', { headers: admin })
  expect(unknown.status).toBe(500)
  expect(codeIn(unknown)).toBe('UNEXPECTED')
  expect(unknown.text).not.toContain('/var/lib')
})

test('the description lists every route with its role, and nothing that is not served here', async () => {
  const { ask } = await startAdmin()
  expect((await ask('/api/v1/openapi.json')).status).toBe(401)
  const { paths } = (await ask('/api/v1/openapi.json', { headers: bearer('viewer') })).json as {
    paths: Record<string, Record<string, { 'x-role': string }>>
  }
  const listed = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => `${method.toUpperCase()} ${path} ${operation['x-role']}`)
  )
  const served = COORDINATOR_ROUTES.filter((route) => !route.socketOnly).map(
    (route) => `${route.method} /api/v1${route.path.replaceAll(/:(\w+)/g, '{$1}')} ${route.role}`
  )
  expect(listed.sort()).toEqual(served.sort())
})

test('the exit certificate comes as a file', async () => {
  const { ask } = await startAdmin()
  const answer = await ask('/api/v1/peers/alpha/certificate', { headers: admin })
  expect(answer.json).toEqual({ format: 'node-daemon-exit-certificate/1' })
  expect(answer.headers['content-disposition']).toBe('attachment; filename="exit-certificate-alpha.json"')
})

test('HEAD answers like GET, without a body', async () => {
  const { ask } = await startAdmin()
  for (const path of ['/', '/healthz', '/api/v1/status', '/api/v1/events']) {
    const answer = await ask(path, { method: 'HEAD', headers: admin })
    expect(answer.status, path).toBe(200)
    expect(answer.text, path).toBe('')
  }
})

describe('the page', () => {
  const strict = (answer: Answer): void => {
    expect(answer.headers['content-security-policy']).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )
    expect(answer.headers['x-content-type-options']).toBe('nosniff')
    expect(answer.headers['referrer-policy']).toBe('no-referrer')
    expect(answer.headers['cache-control']).toBe('no-store')
  }

  test('is served with all its files, each under the strict policy', async () => {
    const { ask } = await startAdmin()
    const html = await ask('/')
    expect(html.headers['content-type']).toBe('text/html; charset=utf-8')
    strict(html)
    const files = new Set([...html.text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path ?? ''))
    for (const path of files) {
      const answer = await ask(path)
      expect(answer.status, path).toBe(200)
      strict(answer)
      for (const [, name] of answer.text.matchAll(/from '\.\/(\w+\.js)'/g)) files.add(`/console/${name}`)
    }
    expect(files.size).toBeGreaterThan(10)
  })

  test('has no script, style or handler within its markup', async () => {
    const { ask } = await startAdmin()
    const { text } = await ask('/')
    expect(text).not.toMatch(/<script>|<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/i)
  })

  test('errors and API answers are under the same policy', async () => {
    const { ask } = await startAdmin()
    strict(await ask('/nothing'))
    strict(await ask('/api/v1/status', { headers: admin }))
  })
})

/** Sends bytes as they are, and gives what comes back until the other side closes. */
function raw(port: number, bytes: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
  let text = ''
  socket.on('data', (part: Buffer) => {
    text += part.toString()
  })
  socket.on('error', () => undefined)
  socket.on('close', () => resolve(text))
  return promise
}
