import type { ErrorCode } from '../core/errors.ts'
import { codeOf, ERRORS, NodeDaemonError } from '../core/errors.ts'
import type { Disclaim } from './claim.ts'
import type { Refusal } from './identify.ts'
import type { Page } from './pages.ts'
import { WELL_KNOWN } from './route.ts'

const RETRY_AFTER_S = 2

const REFUSED: Readonly<Record<Refusal['why'], { title: string; text: string }>> = {
  'unknown-credentials': {
    title: 'These credentials are not known here',
    text: 'Use a token of this federation: as Bearer, or as the password of Basic. Its administrators give them out.'
  },
  'token-needed': {
    title: 'Please say who you are',
    text: 'People sign in. Programs send a token of this federation (as Bearer, or as the password of Basic), which its administrators give out. Where guests are welcome, opening the address in a browser first is enough.'
  },
  'unknown-user': {
    title: 'This user name cannot be used here',
    text: 'The sign-on in front of this address named a user who cannot be one here. Ask the administrators of this federation.'
  },
  'session-ended': {
    title: 'You are not signed in any more',
    text: 'Nothing is lost. Sign in again to get to what is yours.'
  },
  blocked: { title: 'This user is blocked', text: 'Ask the administrators of this federation.' },
  'cross-site': {
    title: 'A page of another site asked for this change',
    text: 'Changes are taken from pages of this address alone.'
  }
}

/** How somebody is asked who they are. */
export interface Invitation {
  readonly federationName: string
  /** What was asked for, so that a person gets there once signed in. */
  readonly url: string
  /** Is it a person who goes to a page? A browser would ask them for a password first, and show the page only then. */
  readonly navigates: boolean
}

export function refusalPage(refusal: Refusal, { federationName, url, navigates }: Invitation): Page {
  const cookie = refusal.setCookie === undefined ? [] : ['set-cookie', refusal.setCookie]
  const page = { status: refusal.status, ...REFUSED[refusal.why] }
  if (refusal.status !== 401) return { ...page, headers: cookie }
  const realm = federationName.replaceAll(/[^\x20-\x7e]|["\\]/g, '')
  const challenge = navigates ? `Bearer realm="${realm}"` : `Basic realm="${realm}", charset="UTF-8"`
  return {
    ...page,
    links: [{ path: signInPath(navigates ? url : '/'), text: 'Sign in' }],
    headers: ['www-authenticate', challenge, ...cookie]
  }
}

/** The page on which people sign in; from there they go on to `url`, a path of this address. */
export const signInPath = (url: string): string =>
  url === '/' ? `${WELL_KNOWN}/sign-in` : `${WELL_KNOWN}/sign-in?to=${encodeURIComponent(url)}`

const DISCLAIMED = {
  'no-member': { title: 'This is not yours', text: 'You are not in the group that this address names.' },
  'read-only': { title: 'You may only read here', text: 'Ask the administrators of this federation for more.' }
} as const

/** Where there is no workspace for them at this address, or not for this. */
export function disclaimPage(disclaim: Disclaim, invitation: Invitation): Page {
  if (disclaim.why === 'sign-in') return refusalPage({ status: 401, why: 'token-needed' }, invitation)
  if (disclaim.why !== 'choose') return { status: 403, ...DISCLAIMED[disclaim.why] }
  const { prefix, groups } = disclaim
  if (groups.length === 0) {
    return { status: 403, title: 'You are in no group', text: 'Ask the administrators of this federation.' }
  }
  const links = groups.map((group) => ({ path: `${prefix}/${group}/`, text: group }))
  return { status: 200, title: 'Your groups', text: 'Each has a place of its own here:', links }
}

export const unavailable = (title: string): Page => ({
  status: 503,
  title,
  text: 'Nothing is lost. Please try again in a moment.',
  retryAfterS: RETRY_AFTER_S
})

/** `waitMs`: until one more may come. */
export const tooMany = (waitMs: number): Page => ({
  status: 429,
  title: 'Too many requests',
  text: 'They come from your address, which others may share. Please try again in a moment.',
  retryAfterS: Math.ceil(waitMs / 1000)
})

/** `waitMs`: until somebody else may begin at their address. */
export const tooManyGuests = (waitMs: number): Page => {
  const minutes = Math.ceil(waitMs / 60_000)
  return {
    status: 429,
    title: 'Too many new guests',
    text: `Nobody else can begin to save as a guest from your address, which others may share, for ${minutes === 1 ? 'a minute' : `${minutes} minutes`}. Reading works, and so does saving once you have signed in.`,
    retryAfterS: Math.ceil(waitMs / 1000)
  }
}

export const TOO_MANY_WRONG_TOKENS: Page = {
  status: 429,
  title: 'Too many wrong tokens',
  text: 'They came from your address. Please wait a minute.',
  retryAfterS: 60
}

/** The connection to the home was lost. `safe`: the request was certainly not executed. */
export const lostHome = (retry: 'safe' | 'unsafe'): Page => ({
  status: 502,
  title: 'The server that keeps these files was lost on the way',
  text:
    retry === 'safe'
      ? 'Your request was not carried out. Please send it again.'
      : 'Your request was perhaps carried out. Please look before you send it again.',
  headers: ['x-node-daemon-retry', retry],
  ...(retry === 'safe' && { retryAfterS: RETRY_AFTER_S })
})

/** Moved, but the body has already gone by: certainly not executed. */
export const movedMeanwhile: Page = {
  ...unavailable('These files have just moved to another server'),
  headers: ['x-node-daemon-retry', 'safe']
}

const TITLES: Partial<Record<ErrorCode, string>> = {
  BUSY: 'No server has room at the moment',
  NO_SPACE: 'There is no room left',
  NOT_FOUND: 'There is nothing here'
}

/** The page of an error, by the table of errors. The text of an unexpected one stays in the log. */
export function errorPage(error: unknown): Page {
  const code = codeOf(error)
  const status = ERRORS[code].http
  const page: Page = {
    status,
    title: TITLES[code] ?? `This did not work (${code})`,
    text: error instanceof NodeDaemonError && code !== 'UNEXPECTED' ? error.message : 'The log says more.'
  }
  return status === 503 ? { ...page, retryAfterS: RETRY_AFTER_S } : page
}

export const NOTHING_HERE: Page = { status: 404, title: 'There is nothing here', text: 'No service has this address.' }
export const TOO_LARGE: Page = { status: 413, title: 'This is too large', text: 'The body is larger than allowed.' }
export const BAD_REQUEST: Page = { status: 400, title: 'Bad request', text: 'This request is malformed or ambiguous.' }
export const VERSION_NOT_SPOKEN: Page = {
  status: 505,
  title: 'This version of HTTP is not spoken here',
  text: 'Use HTTP/1.1.'
}
export const BODY_TOO_SLOW: Page = {
  status: 408,
  title: 'This took too long',
  text: 'The body did not come in time.'
}
export const URL_TOO_LONG: Page = { status: 414, title: 'This address is too long', text: 'Use a shorter one.' }
export const NOT_ALLOWED: Page = { status: 405, title: 'Not allowed', text: 'This method is not used here.' }
export const EXPECTATION_FAILED: Page = {
  status: 417,
  title: 'Expectation failed',
  text: 'Only 100-continue can be expected.'
}
