import crypto, { type KeyObject } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'

/** Of one run. */
const known = new Map<string, boolean>()
const KNOWN_MAX = 100_000
const names = new WeakMap<KeyObject, string>()
let isSet = false

/**
 * From now on no signature is checked twice in this process, and none that was made in it: in a federation everybody
 * checks the same ones. What is signed and what verifies stays the same.
 */
export function rememberSignatures(): void {
  known.clear()
  if (isSet) return
  isSet = true
  const { sign, verify } = crypto
  const remember = (name: string, isValid: boolean): boolean => {
    if (known.size >= KNOWN_MAX) known.clear()
    known.set(name, isValid)
    return isValid
  }
  Object.assign(crypto, {
    sign(algorithm: null, message: Uint8Array, key: KeyObject) {
      const signature = sign(algorithm, message, key)
      remember(nameOf(key, message, signature), true)
      return signature
    },
    verify(algorithm: null, message: Uint8Array, key: KeyObject, signature: Uint8Array) {
      const name = nameOf(key, message, signature)
      return known.get(name) ?? remember(name, verify(algorithm, message, key, signature))
    }
  })
  syncBuiltinESMExports()
}

function nameOf(key: KeyObject, message: Uint8Array, signature: Uint8Array): string {
  const name = names.get(key) ?? String(key.export({ format: 'jwk' }).x)
  names.set(key, name)
  return `${name} ${Buffer.from(signature).toString('latin1')} ${crypto.hash('sha1', message, 'latin1' as 'hex')}`
}
