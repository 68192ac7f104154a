import { codeOf, messageOf } from '../../core/errors.ts'
import type { UserId } from '../../core/ids.ts'
import type { OwnRequest } from '../neighbours.ts'
import { escapeHtml } from '../pages.ts'
import { WELL_KNOWN } from '../route.ts'
import { SIGN_IN_MS } from '../sign-in/pending.ts'
import type { Person, Provider } from '../sign-in/provider.ts'
import { localPath } from './local-path.ts'
import type { OwnPage } from './own-pages.ts'
import { checkMethod, checkOwnForm, type OwnHtml, queryOf, readForm, seeOther, sendPage } from './page.ts'
import type { SignInDeps, SignInOptions } from './sign-in-deps.ts'

export const SIGN_IN = `${WELL_KNOWN}/sign-in`
export const SIGN_OUT = `${WELL_KNOWN}/sign-out`
export const KEEP = `${WELL_KNOWN}/keep`
const USAGE = `${WELL_KNOWN}/usage`

const TOKEN_CHARACTERS_MAX = 512
const CALLBACK = 'callback'

/** Where people sign in: with a token, or at a provider. */
export class SignInPage {
  readonly #deps: SignInDeps
  readonly #options: SignInOptions

  constructor(deps: SignInDeps, options: SignInOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** `sign-in`: the choice, and the form for a token. */
  readonly page: OwnPage = async (asked) => {
    const method = checkMethod(asked, 'GET', 'POST')
    if (method === 'POST') return this.#byToken(asked)
    const to = localPath(queryOf(asked).get('to'))
    sendPage(asked.response, await this.#choice(asked, to))
  }

  /** `sign-in/NAME` leads to a provider, `sign-in/NAME/callback` back from it. */
  readonly provider: OwnPage = async (asked) => {
    checkMethod(asked, 'GET')
    const [, name, step, ...rest] = asked.path.split('/')
    const provider = this.#deps.providers.find((one) => one.name === name)
    if (provider === undefined || rest.length > 0 || (step !== undefined && step !== CALLBACK)) {
      return sendPage(asked.response, problem(404, 'There is no such way to sign in', ''))
    }
    if (step === CALLBACK) return this.#comeBack(asked, provider)
    return this.#leave(asked, provider)
  }

  async #choice(asked: OwnRequest, to: string, wrong: string | null = null): Promise<OwnHtml> {
    const { federationName, anonymous } = this.#options
    const { providers, cookies } = this.#deps
    const visitor = await asked.identify()
    const user = 'user' in visitor ? visitor.user : null
    if (user?.startsWith('user:') === true && wrong === null) return signedIn(user, to, this.#hasSession(asked))
    const guest = user ?? cookies.readGuest(asked.request.headers.cookie)
    const parts = [
      wrong === null ? '' : `<p class="problem" role="alert">${escapeHtml(wrong)}</p>`,
      ...providers.map(
        (one) =>
          `<a class="button primary" href="${escapeHtml(leading(one, to))}">Sign in with ${escapeHtml(one.label)}</a>`
      ),
      providers.length === 0 ? '' : '<hr>',
      `<form method="post" action="${SIGN_IN}"><input type="hidden" name="to" value="${escapeHtml(to)}">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required maxlength="${TOKEN_CHARACTERS_MAX}" spellcheck="false">
<button${providers.length === 0 ? ' class="primary"' : ''} type="submit">Sign in with a token</button></form>`,
      guest !== null && this.#hasSaved(guest)
        ? '<p class="quiet small">What you saved as a guest stays: once signed in, you can keep it under your name.</p>'
        : '',
      anonymous ? `<p><a href="${escapeHtml(to)}">Go on as a guest</a></p>` : ''
    ]
    return {
      status: wrong === null ? 200 : 403,
      title: `Sign in to ${federationName}`,
      body: parts.filter((part) => part !== '').join('\n')
    }
  }

  async #byToken(asked: OwnRequest): Promise<void> {
    checkOwnForm(asked, this.#options.secure)
    const form = await readForm(asked)
    const to = localPath(form.get('to'))
    const token = (form.get('token') ?? '').trim().slice(0, TOKEN_CHARACTERS_MAX)
    const found = token === '' ? null : await this.#deps.accounts.byToken(token)
    if (found === 'blocked') return sendPage(asked.response, BLOCKED)
    if (found !== null) return this.#enter(asked, found.user, to)
    if (this.#deps.accounts.attempt(asked.client.address)) {
      return sendPage(asked.response, await this.#choice(asked, to, 'This token is not known here.'))
    }
    sendPage(asked.response, {
      ...problem(429, 'Too many wrong tokens', 'Wait a minute, then try again.'),
      headers: ['retry-after', '60']
    })
  }

  async #leave(asked: OwnRequest, provider: Provider): Promise<void> {
    if (asked.request.headers['sec-fetch-site'] === 'cross-site') {
      return sendPage(
        asked.response,
        problem(403, 'Please sign in here yourself', 'A page of another site led you here.')
      )
    }
    const { value, checks } = this.#deps.pending.begin(provider.name, localPath(queryOf(asked).get('to')))
    try {
      const there = await provider.begin(this.#redirectUri(asked, provider), checks)
      const cookie = this.#deps.cookies.set('signIn', value, SIGN_IN_MS / 1000)
      seeOther(asked.response, there.href, ['set-cookie', cookie])
    } catch (error) {
      this.#failed(asked, provider, error)
    }
  }

  async #comeBack(asked: OwnRequest, provider: Provider): Promise<void> {
    const { cookies, pending, accounts } = this.#deps
    const query = queryOf(asked)
    const values = cookies.values('signIn', asked.request.headers.cookie)
    const begun = pending.take(values, provider.name, query.get('state') ?? '')
    if (begun === null) return sendPage(asked.response, NOT_BEGUN)
    const url = new URL(this.#redirectUri(asked, provider))
    url.search = query.toString()
    let person: Person
    try {
      person = await provider.finish(url, begun.checks)
    } catch (error) {
      return this.#failed(asked, provider, error)
    }
    const user = await accounts.byProvider(provider.name, person)
    if (user === 'blocked') return sendPage(asked.response, BLOCKED)
    await this.#enter(asked, user, begun.to)
  }

  /** Always a new session: nobody can have put one into this browser that they know. */
  async #enter(asked: OwnRequest, user: UserId, to: string): Promise<void> {
    const { accounts, cookies, clock } = this.#deps
    const now = clock.wall()
    const before = cookies.read(asked.request.headers.cookie, now)
    const session = await accounts.begin(user)
    if (before !== null && 'session' in before) await accounts.end(before.session)
    const headers = ['set-cookie', cookies.issueSession(session, now), 'set-cookie', cookies.forget('signIn')]
    const guest = before !== null && 'user' in before && this.#hasSaved(before.user) ? before.user : null
    if (guest !== null) headers.push('set-cookie', cookies.keepGuest(guest, now))
    seeOther(asked.response, guest === null ? to : `${KEEP}?to=${encodeURIComponent(to)}`, headers)
  }

  #failed(asked: OwnRequest, { name, label }: Provider, error: unknown): void {
    const code = codeOf(error)
    this.#deps.log.warn({ provider: name, error: messageOf(error) }, 'a sign-in failed')
    if (code === 'FORBIDDEN') {
      return sendPage(
        asked.response,
        problem(
          403,
          'You were not signed in',
          `${label} did not say who you are, or you are not among those who may come in.`
        )
      )
    }
    sendPage(asked.response, problem(502, `${label} does not answer`, 'Try again in a while, or sign in another way.'))
  }

  #redirectUri({ client }: OwnRequest, { name }: Provider): string {
    return `${this.#deps.origin(client)}${SIGN_IN}/${name}/${CALLBACK}`
  }

  #hasSaved(user: UserId): boolean {
    return this.#deps.keeping.services(user).length > 0
  }

  #hasSession({ request }: OwnRequest): boolean {
    const session = this.#deps.cookies.read(request.headers.cookie, this.#deps.clock.wall())
    return session !== null && 'session' in session
  }
}

const leading = ({ name }: Provider, to: string): string => `${SIGN_IN}/${name}?to=${encodeURIComponent(to)}`

function signedIn(user: UserId, to: string, canSignOut: boolean): OwnHtml {
  const name = escapeHtml(user.slice('user:'.length))
  const out = canSignOut
    ? `<form method="post" action="${SIGN_OUT}"><button type="submit">Sign out</button></form>`
    : ''
  return {
    title: 'You are signed in',
    body: `<p>You are <strong>${name}</strong>.</p><a class="button primary" href="${escapeHtml(to)}">Go on</a>
<a class="button" href="${USAGE}">What I have saved</a>${out}`
  }
}

/** A page that says what did not work, and leads back. */
export const problem = (status: number, title: string, text: string): OwnHtml => ({
  status,
  title,
  body: `<p>${escapeHtml(text)}</p><a class="button" href="${SIGN_IN}">Sign in</a>`
})

const BLOCKED: OwnHtml = {
  status: 403,
  title: 'This user is blocked',
  body: '<p>Ask the administrators of this federation.</p>'
}
const NOT_BEGUN = problem(
  400,
  'This sign-in cannot be gone on with',
  'It was not begun in this browser, took too long, or was ended already. Begin again.'
)
