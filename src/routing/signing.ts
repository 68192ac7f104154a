import { createHmac, timingSafeEqual } from 'node:crypto'
import { NodeDaemonError } from '../core/errors.ts'
import type { CookieKeys } from './neighbours.ts'

const MIN_KEY_BYTES = 32

/** What is signed for one purpose is worth nothing for another. */
export type Purpose = 'session' | 'named-session' | 'sign-in' | 'sign-in-nonce' | 'sign-in-verifier'

/** Signs what goes out in cookies, by keys that change. */
export class Signing {
  readonly #keys: CookieKeys

  /** @throws NodeDaemonError `BAD_CONFIG` a key is shorter than 32 bytes */
  constructor(keys: CookieKeys) {
    if ([keys.current, ...keys.previous].some((key) => key.length < MIN_KEY_BYTES)) {
      throw new NodeDaemonError('BAD_CONFIG', `a cookie key needs at least ${MIN_KEY_BYTES} bytes`)
    }
    this.#keys = keys
  }

  /** Another object after each change of keys. */
  get generation(): object {
    return this.#keys.current
  }

  /** 43 characters of `A-Z a-z 0-9 - _`, by the current key. */
  sign(purpose: Purpose, payload: string): string {
    return mac(this.#keys.current, purpose, payload).toString('base64url')
  }

  /** The key by which this was signed; null where none of ours did. Takes no longer for a near miss. */
  signer(purpose: Purpose, payload: string, signature: string): Uint8Array | null {
    const claimed = Buffer.from(signature, 'base64url')
    const keys = [this.#keys.current, ...this.#keys.previous]
    return keys.find((key) => isEqual(mac(key, purpose, payload), claimed)) ?? null
  }

  isCurrent(key: Uint8Array): boolean {
    return key === this.#keys.current
  }
}

/** Nobody without the key can tell it from chance. */
export const derived = (key: Uint8Array, purpose: Purpose, payload: string): string =>
  mac(key, purpose, payload).toString('base64url')

const mac = (key: Uint8Array, purpose: Purpose, payload: string): Buffer =>
  createHmac('sha256', key).update(`node-daemon-${purpose}/1\n${payload}`).digest()

const isEqual = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)
