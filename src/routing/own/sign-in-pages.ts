import { keepPage } from './keep-page.ts'
import type { OwnPage } from './own-pages.ts'
import type { SignInDeps, SignInOptions } from './sign-in-deps.ts'
import { SignInPage } from './sign-in-page.ts'
import { signOutPage } from './sign-out-page.ts'

/** The pages on which people say who they are. */
export function signInPages(deps: SignInDeps, options: SignInOptions): Readonly<Record<string, OwnPage>> {
  const signIn = new SignInPage(deps, options)
  return {
    'sign-in': signIn.page,
    'sign-in/': signIn.provider,
    'sign-out': signOutPage(deps, options),
    keep: keepPage(deps, options)
  }
}
