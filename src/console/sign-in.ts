import type { IncomingMessage, ServerResponse } from 'node:http'
import { NodeDaemonError } from '../core/errors.ts'
import { readJson, replyJson } from './exchange.ts'
import { checkCsrf, checkRole, checkSameOrigin, refuseSecret, sessionCookie, sessionOf } from './gate.ts'
import { signIn } from './inputs.ts'
import { checkInput } from './route.ts'
import type { AdminAccounts, Session } from './service.ts'

/**
 * The console's session: POST begins one with a token or a one-use link, GET tells whose it is, DELETE ends it. The
 * CSRF token is told once, to the page that signed in: neither the cookie alone nor another page gets at it.
 */
export async function serveSession(
  request: IncomingMessage,
  response: ServerResponse,
  accounts: AdminAccounts,
  options: { readonly secure: boolean }
): Promise<void> {
  checkSameOrigin(request)
  if (request.method === 'POST') {
    const session = await begin(request, accounts)
    const { name, role, csrf } = session
    return replyJson(response, 200, { name, role, csrf }, { 'set-cookie': sessionCookie(session.id, options) })
  }
  const session = await sessionOf(request, accounts)
  if (session === null) throw new NodeDaemonError('UNAUTHENTICATED', 'nobody is signed in')
  if (request.method !== 'DELETE') return replyJson(response, 200, { name: session.name, role: session.role })
  checkCsrf(request, session)
  await accounts.endSession(session.id)
  replyJson(response, 200, {}, { 'set-cookie': sessionCookie(null, options) })
}

async function begin(request: IncomingMessage, accounts: AdminAccounts): Promise<Session> {
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new NodeDaemonError('BAD_REQUEST', 'sign in with a JSON body')
  }
  const secret = checkInput(signIn, await readJson(request))
  if ('link' in secret) {
    return (
      (await accounts.redeemLink(secret.link)) ?? refuseSecret(request, accounts, 'the link was used or has expired')
    )
  }
  const admin = (await accounts.byToken(secret.token)) ?? refuseSecret(request, accounts)
  checkRole(admin.role, 'viewer')
  return accounts.createSession(admin)
}
