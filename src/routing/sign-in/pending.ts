import { BoundedMap } from '../../core/bounded-map.ts'
import type { Clock } from '../../core/clock.ts'
import type { Random } from '../../core/random.ts'
import type { CookieKeys } from '../neighbours.ts'
import { derived, Signing } from '../signing.ts'
import type { SignInChecks } from './provider.ts'

/** Within so long a person has to come back from the provider. */
export const SIGN_IN_MS = 10 * 60_000
/** States that came back are remembered, so that none comes back twice. */
const USED_MAX = 10_000
const VALUE = /^([a-z0-9-]{1,40})\.([A-Za-z0-9_-]{43})\.([0-9a-z]{1,11})\.([A-Za-z0-9_-]{0,2800})\.([A-Za-z0-9_-]{43})$/

/** A sign-in at a provider that somebody began. */
export interface Pending {
  readonly provider: string
  readonly checks: SignInChecks
  /** Where they go on afterwards: a path of this address. */
  readonly to: string
}

/**
 * Sign-ins that are under way, each in a signed cookie of the browser that began it: nobody else's browser can end it, and
 * nobody else's sign-in can be ended in this one. Nonce and verifier do not stand in the cookie, but follow from the state
 * by the key that signed it. Any front door of the federation can go on with it.
 */
export class PendingSignIns {
  readonly #signing: Signing
  readonly #keys: CookieKeys
  readonly #clock: Clock
  readonly #random: Random
  readonly #used = new BoundedMap<string, true>(USED_MAX)

  constructor(deps: { readonly keys: CookieKeys; readonly clock: Clock; readonly random: Random }) {
    this.#signing = new Signing(deps.keys)
    this.#keys = deps.keys
    this.#clock = deps.clock
    this.#random = deps.random
  }

  /** The value of the cookie, and what the provider is told. */
  begin(provider: string, to: string): { readonly value: string; readonly checks: SignInChecks } {
    const state = Buffer.from(this.#random.bytes(32)).toString('base64url')
    const begun = Math.max(0, Math.floor(this.#clock.wall())).toString(36)
    const payload = `${provider}.${state}.${begun}.${Buffer.from(to).toString('base64url')}`
    const value = `${payload}.${this.#signing.sign('sign-in', payload)}`
    return { value, checks: checksOf(state, this.#keys.current) }
  }

  /** What one of these cookies says, once: null where it is not ours, is too old, or came back before. */
  take(values: readonly string[], provider: string, state: string): Pending | null {
    for (const value of values) {
      const [, name, own, begun = '', to = '', signature = ''] = VALUE.exec(value) ?? []
      if (name !== provider || own === undefined || own !== state) continue
      const key = this.#signing.signer('sign-in', value.slice(0, value.lastIndexOf('.')), signature)
      const age = Math.abs(this.#clock.wall() - Number.parseInt(begun, 36))
      if (key === null || age > SIGN_IN_MS || this.#used.get(state) !== undefined) continue
      this.#used.set(state, true)
      return { provider, checks: checksOf(state, key), to: Buffer.from(to, 'base64url').toString('utf8') }
    }
    return null
  }
}

const checksOf = (state: string, key: Uint8Array): SignInChecks => ({
  state,
  nonce: derived(key, 'sign-in-nonce', state),
  verifier: derived(key, 'sign-in-verifier', state)
})
