import type { IncomingHttpHeaders } from 'node:http'
import { isUnchanged, rangeOf } from '../../src/apps/files/conditions.ts'
import { holds, parseIf } from '../../src/apps/files/if-header.ts'
import { parseTarget as parseFileTarget } from '../../src/apps/files/path.ts'
import type { Found } from '../../src/apps/files/tree.ts'
import type { ServiceName, UserId } from '../../src/core/ids.ts'
import { Clients } from '../../src/routing/client.ts'
import { SessionCookies } from '../../src/routing/cookie.ts'
import { FrameMeter } from '../../src/routing/frames.ts'
import { requestHeaders, responseHeaders, trailers } from '../../src/routing/headers.ts'
import { isCrossSite, tokenOf } from '../../src/routing/identify.ts'
import { originForm } from '../../src/routing/request-target.ts'
import { compileRoutes, hostName, isHost } from '../../src/routing/route.ts'
import { setsSession, withoutSession } from '../../src/wire/cookies.ts'
import { type FuzzTarget, line, textTarget } from './target.ts'

const GUEST = `guest:${'c'.repeat(32)}` as UserId
const NOW = 1_700_000_000_000
const cookies = new SessionCookies({ current: new Uint8Array(32).fill(1), previous: [] }, { secure: false })
const session = (cookies.issue(GUEST, NOW).split(';')[0] ?? '') as string
const MORE = { scope: 'user', writers: null } as const
const routes = compileRoutes([
  { name: 'files' as ServiceName, route: { kind: 'path', prefix: '' }, ...MORE },
  { name: 'notes' as ServiceName, route: { kind: 'path', prefix: '/notes' }, ...MORE },
  { name: 'wiki' as ServiceName, route: { kind: 'host', host: 'wiki.example' }, ...MORE }
])
const clients = new Clients({ trustProxy: ['10.0.0.0/8', 'fd00::/8'], secure: false })

const headerLines = (input: Uint8Array): string[] =>
  Buffer.from(input)
    .toString('latin1')
    .split('\n')
    .flatMap((one) => {
      const colon = one.indexOf(':')
      return colon === -1 ? [one, ''] : [one.slice(0, colon), one.slice(colon + 1).trim()]
    })

const OURS =
  /^x[-_](?:workspace|node[-_]daemon|forwarded|remote)[-_]|^(?:authorization|transfer[-_]encoding|connection)$/i

function checkLines(lines: readonly string[] | null): void {
  for (const [index, name] of (lines ?? []).entries()) {
    if (index % 2 === 0 && OURS.test(name)) throw new Error(`"${name}" would reach an instance`)
  }
}

function checkSession(header: string): void {
  const found = cookies.read(header, NOW)
  if (found !== null && (!('user' in found) || found.user !== GUEST)) throw new Error('a forged session is believed')
  if (
    withoutSession(header)
      ?.split(';')
      .some((pair) => pair.trim().startsWith('nd_session=')) === true
  ) {
    throw new Error('a session would reach an instance')
  }
}

function checkClient(headers: IncomingHttpHeaders): void {
  const client = clients.of({ headers, socket: { remoteAddress: '10.0.0.1' } })
  if (client.host !== '' && client.host !== 'h' && !isHost(client.host)) throw new Error(`a host "${client.host}"`)
  if (/[\r\n,<>" ]/.test(client.address)) throw new Error(`an address "${client.address}"`)
  isCrossSite({ headers: { ...headers, origin: headers.forwarded }, client }, false)
}

const meter: FuzzTarget = {
  name: 'frames of a WebSocket',
  samples: [Buffer.from([0x82, 4, 1, 2, 3, 4]), Buffer.from([0x82, 126, 0, 3, 1, 2, 3]), Buffer.from([0x82, 0xff])],
  take(input) {
    const whole = new FrameMeter()
    const inParts = new FrameMeter()
    whole.push(input)
    for (const byte of input) inParts.push(Uint8Array.of(byte))
    if (whole.atBoundary !== inParts.atBoundary) throw new Error('it depends on how the bytes are cut')
  }
}

export const HTTP_TARGETS: readonly FuzzTarget[] = [
  meter,
  textTarget(
    'a Cookie header',
    [session, `a=b; ${session}`, `nd_session=x; ${session}; nd_console=y`],
    checkSession,
    line
  ),
  textTarget('a Set-Cookie header', [`${session}; Path=/`, '=nd_session=x'], setsSession, line),
  textTarget('an Authorization header', ['Bearer abc', 'Basic YWxpY2U6dG9rZW4='], tokenOf, line),
  textTarget(
    'a Forwarded header',
    ['for=9.9.9.9;proto=https;host=h, for="[2001:db8::1]:80"', 'For="_a\\"b";by=unknown'],
    (forwarded) => checkClient({ host: 'h', forwarded }),
    line
  ),
  textTarget(
    'an X-Forwarded-For header',
    ['9.9.9.9, 10.0.0.2', '[2001:db8::1]:80, fd00::1, ::ffff:9.9.9.9'],
    (value) =>
      checkClient({ host: 'h', 'x-forwarded-for': value, 'x-forwarded-host': value, 'x-forwarded-proto': value }),
    line
  ),
  textTarget(
    'a target',
    ['/notes/a?b', 'http://wiki.example:80/x', '*', '//x', '/.well-known/node-daemon/sign-in'],
    (target) => {
      const path = originForm(target, 'wiki.example:80')
      if (path !== null && !path.startsWith('/')) throw new Error(`"${path}" is no path`)
      if (path !== null) routes.find('h', path)
    },
    line
  ),
  textTarget(
    'a Host header',
    ['wiki.example:80', '[::1]:80', 'h.'],
    (host) => {
      hostName(host)
      routes.find(host, '/')
      if (isHost(host) && /[\s"'<>/\\@]/.test(host)) throw new Error(`"${host}" passes for a host`)
    },
    line
  ),
  {
    name: 'the lines of a request',
    samples: [Buffer.from('Host: h\nX-Workspace-Id: x\nCookie: a=b\nConnection: x-a, close\nX_Remote_User: y')],
    take(input) {
      const raw = headerLines(input)
      checkLines(requestHeaders(raw, { connection: raw[1], userHeader: 'x-sso' }))
      checkLines(trailers(raw).flat())
      responseHeaders(raw, { newCookie: input.length % 2 === 0 })
    }
  },
  textTarget('the path of a file', ['/a/b%20c', '/a/../b', '/%2e%2e/x', '/%ff', '/a//b/'], (path) => {
    parseFileTarget(path, '')
    parseFileTarget(`/base${path}`, '/base')
  }),
  textTarget(
    'an If header',
    ['<http://h/a> (<opaquelocktoken:x> ["e"]) (Not <DAV:no-lock>)', '(<urn:uuid:1>)'],
    async (header) => {
      await holds(parseIf(header), async () => ({ etag: '"e"', tokens: new Set<string>() }))
    },
    line
  ),
  textTarget(
    'conditions and ranges',
    ['bytes=0-9', 'bytes=-5', 'W/"a", "b"', 'Tue, 15 Nov 1994 12:45:26 GMT', '*'],
    (value) => {
      const part =
        rangeOf({ range: value, 'if-range': value }, '"e"', NOW, 10) ?? rangeOf({ range: value }, '"e"', NOW, 10)
      if (part !== null && !(part.start >= 0 && part.start <= part.end && part.end < 10))
        throw new Error('outside the file')
      const found = { kind: 'file', etag: '"e"', modifiedMs: NOW } as Found
      isUnchanged({ 'if-none-match': value, 'if-match': value, 'if-modified-since': value }, found, true)
    },
    line
  )
]
