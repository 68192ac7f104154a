/** Where people sign in, and as whom this federation goes there. */
export interface ProviderConfig {
  /** 1 to 40 of `a-z 0-9 -`: stands in addresses, and for ever in the accounts of its people. */
  readonly name: string
  /** What the button says. */
  readonly label: string
  /** `oidc`: OpenID Connect, found by its issuer. `oauth2`: OAuth 2 with an API that tells who a token is for, as GitHub has. */
  readonly kind: 'oidc' | 'oauth2'
  readonly issuer: string
  readonly clientId: string
  /** Null for a public client. */
  readonly clientSecret: string | null
  readonly scopes: readonly string[]
  /** What tells people apart for ever: it must never pass from one to another. */
  readonly subjectClaim: string
  /** What a person would like to be called. */
  readonly usernameClaim: string
  /** Of `oauth2`. */
  readonly endpoints: { readonly authorize: string; readonly token: string; readonly userinfo: string } | null
  /** User names, and `@example.org` for all with a verified address there; empty: everybody whom the provider lets in. */
  readonly allow: readonly string[]
}

/** What one sign-in is bound to. Only the browser that began it comes back with the same. */
export interface SignInChecks {
  readonly state: string
  readonly nonce: string
  /** PKCE: 43 characters. */
  readonly verifier: string
}

/** Somebody, as a provider tells it. */
export interface Person {
  readonly subject: string
  readonly name: string
  /** An address that the provider has verified. */
  readonly email: string | null
}

/** Where people sign in. */
export interface Provider extends Pick<ProviderConfig, 'name' | 'label'> {
  /** Where the browser goes. @throws NodeDaemonError `OUT_OF_REACH`, `TIMED_OUT` the provider does not answer */
  begin(redirectUri: string, checks: SignInChecks): Promise<URL>
  /**
   * Who came back. `url` is the redirect URI with the query that the browser brought.
   *
   * @throws NodeDaemonError `OUT_OF_REACH`, `TIMED_OUT` the provider does not answer; `FORBIDDEN` it did not sign them in,
   *   what it says does not verify, or the person is not among those that are let in
   */
  finish(url: URL, checks: SignInChecks): Promise<Person>
}

/** May this person come in? */
export function isAllowed({ allow }: Pick<ProviderConfig, 'allow'>, { name, email }: Person): boolean {
  if (allow.length === 0) return true
  const domain = email === null ? null : email.slice(email.lastIndexOf('@')).toLowerCase()
  return allow.some((one) => (one.startsWith('@') ? one.toLowerCase() === domain : one === name))
}
