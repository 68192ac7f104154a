import type { OwnPage } from './own-pages.ts'
import { checkMethod, checkOwnForm, sendPage } from './page.ts'
import type { SignInDeps, SignInOptions } from './sign-in-deps.ts'
import { SIGN_IN, SIGN_OUT } from './sign-in-page.ts'

/** `sign-out`: ends the session of this browser, and of it alone. */
export function signOutPage(
  { accounts, cookies, clock }: Pick<SignInDeps, 'accounts' | 'cookies' | 'clock'>,
  { secure }: Pick<SignInOptions, 'secure'>
): OwnPage {
  return async (asked) => {
    const { request, response } = asked
    if (checkMethod(asked, 'GET', 'POST') === 'GET') {
      return sendPage(response, {
        title: 'Sign out',
        body: `<form method="post" action="${SIGN_OUT}"><button class="primary" type="submit">Sign out of this browser</button></form>`
      })
    }
    checkOwnForm(asked, secure)
    const session = cookies.read(request.headers.cookie, clock.wall())
    const isNamed = session !== null && 'session' in session
    if (isNamed) await accounts.end(session.session)
    sendPage(response, {
      title: 'You are signed out',
      body: `<p>What you saved stays where it is.</p><a class="button" href="${SIGN_IN}">Sign in again</a>`,
      headers: isNamed ? ['set-cookie', cookies.forget('session')] : []
    })
  }
}
