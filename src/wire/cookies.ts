/** Over TLS each has `__Host-` before it. */
export const USER_COOKIES = {
  session: 'nd_session',
  /** The guest that somebody was before they signed in. */
  guest: 'nd_guest',
  /** A sign-in at a provider that is under way. */
  signIn: 'nd_sign_in'
} as const

/** The console's cookie. Cookies know no ports: a browser brings it to the front door of the same machine too. */
export const CONSOLE_COOKIE = 'nd_console'
/** The cookie of an instance's own entrance. */
export const INGRESS_COOKIES = { plain: 'nd_ingress', secure: '__Host-nd_ingress' } as const
/** None of these ever reaches an instance, nor comes from one. */
export const SESSION_COOKIES: readonly string[] = [
  ...Object.values(USER_COOKIES).flatMap((name) => [name, `__Host-${name}`]),
  CONSOLE_COOKIE,
  ...Object.values(INGRESS_COOKIES)
]

/** A Cookie header without the session cookies; null where nothing is left. */
export function withoutSession(header: string): string | null {
  if (!header.includes('nd_')) return header
  const rest = header.split(';').filter((pair) => !SESSION_COOKIES.includes((pair.split('=', 1)[0] ?? '').trim()))
  return rest.length === 0 ? null : rest.join(';').trim()
}

/** Does this Set-Cookie header set a session cookie? Browsers send a cookie without a name back as its mere value. */
export const setsSession = (header: string): boolean =>
  SESSION_COOKIES.includes((header.replace(/^[\s=]+/, '').split(/[=;]/, 1)[0] ?? '').trim())
