import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'
import { NodeDaemonError } from '../core/errors.ts'
import { CONSOLE_COOKIE } from '../wire/cookies.ts'
import type { Admin, AdminAccounts, Session } from './service.ts'
import { ROLES, type Role } from './views.ts'

/** The name of the console's cookie. Cookies know no ports: who forwards requests on the same host must drop it. */
const CSRF_HEADER = 'x-nd-csrf'
const SECRET_MAX = 256
const SAFE_METHODS: readonly string[] = ['GET', 'HEAD']

/**
 * A name in Host that is not ours means that a page elsewhere had its own name point here (DNS rebinding). The port may
 * differ: tunnels change it.
 *
 * @throws NodeDaemonError `FORBIDDEN`
 */
export function checkHost(request: IncomingMessage, hosts: readonly string[]): void {
  const name = hostName(request.headers.host ?? '')
  const local = request.socket.localAddress ?? ''
  const own = ['localhost', '127.0.0.1', '::1', local, local.replace(/^::ffff:/, '')]
  if (name !== null && [...own, ...hosts.map(hostName)].includes(name)) return
  throw new NodeDaemonError('FORBIDDEN', 'the console does not go by this host name', {
    advice: 'use the address that the coordinator prints'
  })
}

/** The host of `host:port`, in lower case and without brackets; null where it is none. */
function hostName(host: string): string | null {
  if (isIPv6(host)) return host.toLowerCase()
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(host)
  return (match?.[1] ?? match?.[2])?.toLowerCase() ?? null
}

/** @throws NodeDaemonError `FORBIDDEN` */
export function checkRole(role: Role, least: Role): void {
  if (ROLES.indexOf(role) >= ROLES.indexOf(least)) return
  throw new NodeDaemonError('FORBIDDEN', `this needs the role ${least}, and you have ${role}`, {
    advice: 'ask an admin, or use another token'
  })
}

/**
 * A browser sends the cookie along whoever asks. Only the console's own page may use it.
 *
 * @throws NodeDaemonError `FORBIDDEN`
 */
export function checkSameOrigin(request: IncomingMessage): void {
  const site = request.headers['sec-fetch-site']
  const { origin, host = '' } = request.headers
  const foreignSite = site !== undefined && site !== 'same-origin' && site !== 'none'
  const foreignOrigin = origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`
  if (foreignSite || foreignOrigin) throw new NodeDaemonError('FORBIDDEN', 'the request comes from another page')
}

/**
 * Who asks: by a Bearer token, else by the console's session, whose changes need its CSRF token too.
 *
 * @throws NodeDaemonError `UNAUTHENTICATED` nobody that we know, `FORBIDDEN` another page, or without the CSRF token,
 *   `BUSY` too many wrong secrets from this address. A right secret always passes, so that nobody is locked out by a
 *   neighbour behind the same address.
 */
export async function authenticate(request: IncomingMessage, accounts: AdminAccounts): Promise<Admin> {
  const token = bearerToken(request)
  if (token !== null) return (await accounts.byToken(token)) ?? refuseSecret(request, accounts)
  const session = await sessionOf(request, accounts)
  if (session === null) {
    throw new NodeDaemonError('UNAUTHENTICATED', 'a token or a session is needed', {
      advice: 'sign in at the console, or send Authorization: Bearer TOKEN'
    })
  }
  if (!SAFE_METHODS.includes(request.method ?? '')) checkCsrf(request, session)
  return session
}

/** The session of the request's cookie, null where there is none or it has ended. @throws NodeDaemonError `FORBIDDEN` */
export async function sessionOf(request: IncomingMessage, accounts: AdminAccounts): Promise<Session | null> {
  const id = cookieValue(request)
  if (id === null) return null
  checkSameOrigin(request)
  return accounts.session(id)
}

/** @throws NodeDaemonError `FORBIDDEN` */
export function checkCsrf(request: IncomingMessage, session: Session): void {
  const given = Buffer.from(String(request.headers[CSRF_HEADER] ?? ''))
  const expected = Buffer.from(session.csrf)
  if (given.length === expected.length && timingSafeEqual(given, expected)) return
  throw new NodeDaemonError('FORBIDDEN', `a change needs the session's ${CSRF_HEADER}`, {
    advice: 'reload the console'
  })
}

/** Counts a wrong secret. @throws NodeDaemonError always: `UNAUTHENTICATED`, or `BUSY` after too many */
export function refuseSecret(
  request: IncomingMessage,
  accounts: AdminAccounts,
  what = 'the token is not known'
): never {
  if (!accounts.attempt(request.socket.remoteAddress ?? '')) {
    throw new NodeDaemonError('BUSY', 'too many wrong tokens from this address', { advice: 'wait a minute' })
  }
  throw new NodeDaemonError('UNAUTHENTICATED', what, { advice: 'sign in again' })
}

function bearerToken(request: IncomingMessage): string | null {
  const match = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')
  return match?.[1]?.slice(0, SECRET_MAX) ?? null
}

function cookieValue(request: IncomingMessage): string | null {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [name, value] = pair.trim().split('=')
    if (name === CONSOLE_COOKIE && value !== undefined && value !== '') return value.slice(0, SECRET_MAX)
  }
  return null
}

/** The Set-Cookie header that begins a session, or with null ends it. */
export function sessionCookie(id: string | null, options: { readonly secure: boolean }): string {
  const life = id === null ? '; Max-Age=0' : ''
  return `${CONSOLE_COOKIE}=${id ?? ''}; Path=/; HttpOnly; SameSite=Strict${life}${options.secure ? '; Secure' : ''}`
}
