import { hasCode, messageOf } from '../../core/errors.ts'
import type { ServiceName, UserId } from '../../core/ids.ts'
import type { OwnRequest } from '../neighbours.ts'
import { escapeHtml } from '../pages.ts'
import { localPath } from './local-path.ts'
import type { OwnPage } from './own-pages.ts'
import { checkMethod, checkOwnForm, type OwnHtml, queryOf, readForm, sendPage } from './page.ts'
import type { SignInDeps, SignInOptions } from './sign-in-deps.ts'
import { KEEP, problem, SIGN_IN } from './sign-in-page.ts'

type Deps = Pick<SignInDeps, 'accounts' | 'keeping' | 'cookies' | 'clock' | 'log'>

/** `keep`: what was begun as a guest passes to the one who signed in in the same browser. */
export function keepPage(deps: Deps, { secure }: Pick<SignInOptions, 'secure'>): OwnPage {
  return async (asked) => {
    const isPost = checkMethod(asked, 'GET', 'POST') === 'POST'
    if (isPost) checkOwnForm(asked, secure)
    const to = localPath(isPost ? (await readForm(asked)).get('to') : queryOf(asked).get('to'))
    const visitor = await asked.identify()
    const user = 'user' in visitor ? visitor.user : null
    const guest = guestOf(deps, asked)
    if (guest === null || deps.keeping.services(guest).length === 0) return sendPage(asked.response, nothing(to))
    if (user?.startsWith('user:') !== true || user === null) return sendPage(asked.response, signInFirst(to))
    if (deps.accounts.isBlocked(guest)) return sendPage(asked.response, BLOCKED)
    if (!isPost) return sendPage(asked.response, offer(deps, guest, user, to))
    const kept = await keep(deps, guest, user)
    const headers = deps.keeping.services(guest).length > 0 ? [] : forgetting(deps, asked)
    sendPage(asked.response, { ...result(kept, to), headers })
  }
}

/** Whoever holds a guest's cookie is the guest: the one of before signing in, or that of now beside a sign-on proxy. */
function guestOf({ cookies, clock }: Deps, { request }: OwnRequest): UserId | null {
  const { cookie } = request.headers
  const session = cookies.read(cookie, clock.wall())
  return session !== null && 'user' in session ? session.user : cookies.readGuest(cookie)
}

function forgetting({ cookies, clock }: Deps, { request }: OwnRequest): string[] {
  const session = cookies.read(request.headers.cookie, clock.wall())
  const isGuests = session !== null && 'user' in session
  return ['set-cookie', cookies.forget('guest'), ...(isGuests ? ['set-cookie', cookies.forget('session')] : [])]
}

interface Kept {
  readonly kept: readonly ServiceName[]
  /** The user has one of their own. */
  readonly taken: readonly ServiceName[]
  /** It did not work now, and may later. */
  readonly failed: readonly ServiceName[]
}

async function keep({ keeping, log }: Deps, guest: UserId, user: UserId): Promise<Kept> {
  const kept: ServiceName[] = []
  const taken: ServiceName[] = []
  const failed: ServiceName[] = []
  for (const service of keeping.services(guest)) {
    try {
      await keeping.makeOver(service, guest, user)
      kept.push(service)
    } catch (error) {
      log.warn({ service, guest, user, error: messageOf(error) }, "a guest's workspace was not kept under a name")
      if (hasCode(error, 'CONFLICT')) taken.push(service)
      else failed.push(service)
    }
  }
  return { kept, taken, failed }
}

function offer({ keeping }: Deps, guest: UserId, user: UserId, to: string): OwnHtml {
  const own = keeping.services(user)
  const taken = keeping.services(guest).filter((service) => own.includes(service))
  const free = keeping.services(guest).filter((service) => !own.includes(service))
  const name = `<strong>${escapeHtml(user.slice('user:'.length))}</strong>`
  const form = `<form method="post" action="${KEEP}"><input type="hidden" name="to" value="${escapeHtml(to)}">
<button class="primary" type="submit">Keep it under my name</button></form>`
  return {
    title: 'Keep what you began as a guest?',
    body: [
      free.length > 0 ? `<p>What you saved in ${names(free)} becomes that of ${name}.</p>${form}` : '',
      takenNote(taken),
      onwards(to, free.length > 0 ? 'Not now' : 'Go on')
    ].join('\n')
  }
}

const result = ({ kept, taken, failed }: Kept, to: string): OwnHtml => ({
  ...(failed.length > 0 && { status: 503 }),
  title: kept.length > 0 ? 'It is yours now' : 'Nothing has changed',
  body: [
    kept.length > 0 ? `<p class="good">What you saved in ${names(kept)} is kept under your name.</p>` : '',
    takenNote(taken),
    failed.length > 0
      ? `<p class="problem">It did not work for ${names(failed)} just now. Nothing is lost: try it again in a moment.</p><a class="button" href="${KEEP}?to=${encodeURIComponent(to)}">Try again</a>`
      : '',
    onwards(to, 'Go on')
  ].join('\n')
})

const takenNote = (taken: readonly ServiceName[]): string =>
  taken.length === 0
    ? ''
    : `<p>In ${names(taken)} you have saved things under your name already. What you saved there as a guest stays with the guest: sign out to get to it.</p>`

const names = (services: readonly ServiceName[]): string => services.map(escapeHtml).join(', ')
const onwards = (to: string, text: string): string => `<a class="button" href="${escapeHtml(to)}">${text}</a>`

const nothing = (to: string): OwnHtml => ({
  title: 'There is nothing to keep',
  body: `<p>Nothing was saved as a guest in this browser.</p>${onwards(to, 'Go on')}`
})

const signInFirst = (to: string): OwnHtml => ({
  title: 'Sign in to keep what you began',
  body: `<p>You are a guest here. Once you sign in, what you saved can be kept under your name.</p><a class="button primary" href="${SIGN_IN}?to=${encodeURIComponent(`${KEEP}?to=${encodeURIComponent(to)}`)}">Sign in</a>`
})

const BLOCKED = problem(403, 'This guest is blocked', 'Ask the administrators of this federation.')
