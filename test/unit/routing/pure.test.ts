import { expect, test } from 'vitest'
import type { ServiceName, UserId } from '../../../src/core/ids.ts'
import { SessionCookies } from '../../../src/routing/cookie.ts'
import { closeFrame, FrameMeter } from '../../../src/routing/frames.ts'
import { requestHeaders, responseHeaders, trailers } from '../../../src/routing/headers.ts'
import { isCrossSite, tokenOf } from '../../../src/routing/identify.ts'
import { mayRepeat, maySendElsewhere } from '../../../src/routing/replay.ts'
import { compileRoutes, hostName } from '../../../src/routing/route.ts'
import { setsSession, withoutSession } from '../../../src/wire/cookies.ts'

const GUEST = `guest:${'c'.repeat(32)}` as UserId
const NOW = 1_700_000_000_000
const DAY = 24 * 60 * 60 * 1000
const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const service = (name: string, route: { kind: 'path'; prefix: string } | { kind: 'host'; host: string }) => ({
  name: name as ServiceName,
  route,
  scope: 'user' as const,
  writers: null
})

const lines = (text: string, options: { connection?: string; userHeader?: string } = {}): string[] | null =>
  requestHeaders(
    `host h\n${text}`.split('\n').flatMap((line) => [line.split(' ', 1)[0] ?? '', line.slice(line.indexOf(' ') + 1)]),
    {
      connection: options.connection,
      userHeader: options.userHeader ?? null
    }
  )

test.each([
  'X-Workspace-Id abc',
  'x_workspace_id abc',
  'X-Workspace_Dir /etc',
  'X-Workspace-Anything x',
  'X-Remote-User admin',
  'X_Remote_User admin',
  'X-Node-Daemon-Epoch 7',
  'x_node-daemon_service files',
  'X-Forwarded-For 1.2.3.4',
  'X-FORWARDED-HOST evil.example',
  'X_Forwarded_Proto https',
  'Forwarded for=1.2.3.4',
  'X-Forwarded-User root',
  'Remote-User root',
  'REMOTE_USER root',
  'X-Remote-Groups admins',
  'X-Auth-Request-User root',
  'X-Real-IP 1.2.3.4',
  'X_Real_IP 1.2.3.4',
  'X-Scheme https',
  'X-Original-URL /other',
  'Proxy http://evil.example',
  'Authorization Bearer secret',
  'Connection keep-alive',
  'Keep-Alive timeout=5',
  'Proxy-Connection keep-alive',
  'Proxy-Authorization Basic x',
  'TE trailers',
  'Transfer-Encoding chunked',
  'Content-Length 3',
  'Upgrade h2c',
  'HTTP2-Settings AAMAAABk',
  'Expect 100-continue',
  'Cookie nd_session=a',
  'Cookie __Host-nd_session=a; nd_session=b'
])('an instance never sees what a client sent as "%s"', (line) => {
  expect(lines(line)).toEqual(['host', 'h'])
})

test.each([
  'Accept text/html',
  'Range bytes=0-1',
  'If-Match "x"',
  'Destination http://h/b',
  'X-Works yes',
  'X-Remotely yes',
  'Depth 1',
  'Trailer x-sum'
])('"%s" passes through as it was written', (line) => {
  const at = line.indexOf(' ')
  expect(lines(line)).toEqual(['host', 'h', line.slice(0, at), line.slice(at + 1)])
})

test('what the Connection header names goes no further, but the Host does', () => {
  expect(lines('X-Hop 1\nX-Stay 2', { connection: 'close, X-Hop, host' })).toEqual(['host', 'h', 'X-Stay', '2'])
})

test('the header of the sign-on proxy is dropped however it is written', () => {
  expect(lines('X-SSO-User alice\nx_sso_user bob', { userHeader: 'x-sso-user' })).toEqual(['host', 'h'])
})

test('other cookies pass, the session does not', () => {
  expect(withoutSession('a=1; nd_session=x; b=2')).toBe('a=1; b=2')
  expect(withoutSession(' nd_session = x')).toBeNull()
  expect(withoutSession('not_nd_session=1')).toBe('not_nd_session=1')
})

test('two Host lines, or none, are not taken', () => {
  const options = { connection: undefined, userHeader: null }
  expect(requestHeaders(['Host', 'a', 'host', 'b'], options)).toBeNull()
  expect(requestHeaders(['accept', 'b'], options)).toBeNull()
})

test('an instance can neither set the session, nor say who served, nor give orders to the client side', () => {
  const raw = [
    'Set-Cookie',
    'nd_session=x; Path=/',
    'Set-Cookie',
    'app=1',
    'X-Served-By',
    'me',
    'x-node-daemon-retry',
    'safe'
  ]
  expect(setsSession('__Host-nd_session=1')).toBe(true)
  expect(responseHeaders([...raw, 'Connection', 'X-Hop', 'X-Hop', '1'], { newCookie: false })).toEqual([
    'Set-Cookie',
    'app=1'
  ])
})

test('an answer that carries a new cookie is kept out of shared caches', () => {
  const raw = ['Cache-Control', 'public, max-age=60', 'ETag', '"x"']
  expect(responseHeaders(raw, { newCookie: true })).toEqual(['ETag', '"x"', 'cache-control', 'private, no-store'])
  expect(responseHeaders(raw, { newCookie: false })).toEqual(raw)
})

test('trailers cannot bring in what headers may not', () => {
  expect(trailers(['X-Sum', '1', 'X-Remote-User', 'admin', 'Content-Length', '4', 'Cookie', 'a=1'])).toEqual([
    ['X-Sum', '1']
  ])
})

test('a cookie is the guest that it was issued to', () => {
  const cookies = new SessionCookies({ current: key(1), previous: [] }, { secure: false })
  const issued = cookies.issue(GUEST, NOW)
  expect(issued).toMatch(/^nd_session=[^;]+; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/)
  expect(cookies.read(`a=b; ${issued.split(';')[0]}`, NOW)).toEqual({ user: GUEST, renew: false })
})

test('over TLS the cookie is bound to the host', () => {
  const cookies = new SessionCookies({ current: key(1), previous: [] }, { secure: true })
  const issued = cookies.issue(GUEST, NOW)
  expect(issued).toMatch(/^__Host-nd_session=.*; Path=\/; .*; Secure$/)
  expect(cookies.read(issued.split(';')[0]?.replace('__Host-', ''), NOW)).toBeNull()
})

test('a forged cookie is no cookie', () => {
  const cookies = new SessionCookies({ current: key(1), previous: [] }, { secure: false })
  const other = new SessionCookies({ current: key(9), previous: [] }, { secure: false })
  const good = cookies.issue(GUEST, NOW).split(';')[0] ?? ''
  const forged = [
    other.issue(GUEST, NOW).split(';')[0] ?? '',
    good.replace('cccc', 'dddd'),
    `${good.slice(0, -4)}AAAA`,
    good.slice(0, -1),
    'nd_session=',
    'nd_session',
    `nd_session=${'c'.repeat(32)}`
  ]
  for (const cookie of forged) expect(cookies.read(cookie, NOW), cookie).toBeNull()
})

test('after a rotation of keys old cookies are known, and renewed; two rotations later they are not', () => {
  const issued = new SessionCookies({ current: key(1), previous: [] }, { secure: false })
    .issue(GUEST, NOW)
    .split(';')[0]
  const rotated = new SessionCookies({ current: key(2), previous: [key(1)] }, { secure: false })
  expect(rotated.read(issued, NOW)).toEqual({ user: GUEST, renew: true })
  const twice = new SessionCookies({ current: key(3), previous: [key(2)] }, { secure: false })
  expect(twice.read(issued, NOW)).toBeNull()
})

test('a cookie is renewed each day, and a clock that jumps shuts nobody out', () => {
  const cookies = new SessionCookies({ current: key(1), previous: [] }, { secure: false })
  const issued = cookies.issue(GUEST, NOW).split(';')[0]
  for (const now of [NOW + 2 * DAY, NOW - 3650 * DAY, NOW + 3650 * DAY]) {
    expect(cookies.read(issued, now)).toEqual({ user: GUEST, renew: true })
  }
})

test('a short cookie key is refused', () => {
  expect(() => new SessionCookies({ current: new Uint8Array(8), previous: [] }, { secure: false })).toThrow(/32 bytes/)
})

test.each([
  ['/', 'files'],
  ['/notes', 'notes'],
  ['/notes?x=1', 'notes'],
  ['/notes/', 'notes'],
  ['/notes/deep/x', 'notes'],
  ['/notes/old/x', 'old-notes'],
  ['/notesy', 'files'],
  ['/.well-known/acme', 'files'],
  ['/.well-known/node-daemonx', 'files']
])('%s belongs to %s', (path, name) => {
  const router = compileRoutes([
    service('files', { kind: 'path', prefix: '' }),
    service('notes', { kind: 'path', prefix: '/notes' }),
    service('old-notes', { kind: 'path', prefix: '/notes/old' })
  ])
  expect(router.find('h', path)).toMatchObject({ kind: 'service', service: { name } })
})

test('a host chooses before a path does, whatever its case and port', () => {
  const router = compileRoutes([
    service('files', { kind: 'path', prefix: '' }),
    service('notes', { kind: 'host', host: 'Notes.example.org' })
  ])
  expect(router.find('notes.EXAMPLE.org:8080', '/')).toMatchObject({ service: { name: 'notes' } })
  expect(router.find('example.org', '/')).toMatchObject({ service: { name: 'files' } })
  expect(router.find('notes.example.org', '/.well-known/node-daemon?x')).toEqual({ kind: 'well-known' })
  expect(router.find('notes.example.org', '/.well-known/node-daemon/x?y')).toEqual({ kind: 'own', path: 'x' })
  expect(compileRoutes([]).find('h', '/')).toEqual({ kind: 'nothing' })
  expect(hostName('[::1]:80')).toBe('[::1]')
})

test.each([
  ['GET', [], 'none', true],
  ['HEAD', ['If-None-Match', '"x"'], 'none', true],
  ['PROPFIND', [], 'kept', true],
  ['PROPFIND', [], 'passed-on', false],
  ['PUT', [], 'kept', true],
  ['PUT', [], 'none', true],
  ['PUT', [], 'unread', false],
  ['PUT', [], 'passed-on', false],
  ['PUT', ['If-Match', '"x"'], 'kept', false],
  ['PUT', ['if', '(<x>)'], 'kept', false],
  ['PUT', ['If-Unmodified-Since', 'x'], 'kept', false],
  ['PUT', ['Content-Range', 'bytes 0-1/2'], 'kept', false],
  ['POST', [], 'none', false],
  ['DELETE', [], 'none', false],
  ['MKCOL', [], 'none', false],
  ['MOVE', [], 'none', false],
  ['LOCK', [], 'kept', false]
] as const)('%s %j with its body %s: perhaps executed, may it be repeated? %s', (method, raw, body, expected) => {
  expect(mayRepeat(method, raw, body)).toBe(expected)
})

test('what was not executed may go elsewhere as long as its body is whole', () => {
  expect(maySendElsewhere('kept')).toBe(true)
  expect(maySendElsewhere('unread')).toBe(true)
  expect(maySendElsewhere('passed-on')).toBe(false)
})

test.each([
  [{}, false],
  [{ origin: 'http://h:80' }, false],
  [{ origin: 'https://h:80' }, false],
  [{ origin: 'HTTP://H:80' }, false],
  [{ origin: 'http://h' }, true],
  [{ origin: 'http://evil.example' }, true],
  [{ origin: 'http://sub.h:80' }, true],
  [{ origin: 'null' }, true],
  [{ 'sec-fetch-site': 'cross-site' }, true],
  [{ 'sec-fetch-site': 'same-site' }, true],
  [{ 'sec-fetch-site': 'same-origin' }, false],
  [{ 'sec-fetch-site': 'none' }, false],
  [{ 'sec-fetch-site': 'cross-site', origin: 'http://h:80' }, true]
])('%j comes from another site: %s', (headers, expected) => {
  const client = { trusted: false, address: '', addresses: '', scheme: 'http' as const, host: 'h:80' }
  expect(isCrossSite({ headers, client }, false)).toBe(expected)
})

test('behind TLS a page over plain http is another site', () => {
  const client = { trusted: false, address: '', addresses: '', scheme: 'https' as const, host: 'h' }
  expect(isCrossSite({ headers: { origin: 'http://h' }, client }, true)).toBe(true)
  expect(isCrossSite({ headers: { origin: 'https://h' }, client }, true)).toBe(false)
})

test.each([
  ['Bearer abc', { scheme: 'bearer', token: 'abc' }],
  ['bearer abc', { scheme: 'bearer', token: 'abc' }],
  [`Basic ${btoa('any:abc')}`, { scheme: 'basic', token: 'abc' }],
  [`Basic ${btoa(':a:b')}`, { scheme: 'basic', token: 'a:b' }],
  [`Basic ${btoa('abc')}`, null],
  [`Basic ${btoa('abc:')}`, null],
  ['Bearer', null],
  ['Digest abc', null],
  [`Bearer ${'x'.repeat(513)}`, null]
])('the token of "%s"', (header, expected) => {
  expect(tokenOf(header)).toEqual(expected)
})

test('a frame meter finds the ends of frames, however the bytes are cut', () => {
  const long = Buffer.concat([Buffer.from([0x82, 126, 0x01, 0x00]), Buffer.alloc(256)])
  const huge = Buffer.concat([Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Buffer.alloc(65_536)])
  const masked = Buffer.from([0x81, 0x81, 1, 2, 3, 4, 5])
  const bytes = Buffer.concat([
    Buffer.from([0x81, 2, 65, 66]),
    long,
    closeFrame(1012),
    huge,
    masked,
    Buffer.from([0x89, 0])
  ])
  for (const step of [1, 2, 3, 7, 1000, bytes.length]) {
    const meter = new FrameMeter()
    const ends: number[] = []
    for (let at = 0; at < bytes.length; at += step) {
      const end = meter.push(bytes.subarray(at, at + step))
      if (end !== -1) ends.push(at + end)
    }
    expect(ends[0]).toBe(4)
    expect(meter.atBoundary).toBe(true)
    if (step === 1) expect(ends).toEqual([4, 264, 268, 268 + 65_546, 268 + 65_553, bytes.length])
  }
})
