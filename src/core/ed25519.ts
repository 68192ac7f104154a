import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import type { Ed25519PrivateKey, PrivateKey, PublicKey } from '@libp2p/interface'
import { BoundedMap } from './bounded-map.ts'

/** Keys of others that are kept ready: those of the members, and some strangers' in turn. */
const READY_MAX = 4096
const SEED_BYTES = 32

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')

const signing = new WeakMap<PrivateKey, KeyObject>()
const verifying = new BoundedMap<string, KeyObject>(READY_MAX)

/** The key, with a `sign` that makes it ready once and not for every signature (RFC 8032). */
export function readyToSign(key: Ed25519PrivateKey): PrivateKey {
  let ready = signing.get(key)
  if (ready === undefined) {
    const d = base64url(key.raw.subarray(0, SEED_BYTES))
    ready = createPrivateKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', d, x: base64url(key.publicKey.raw) } })
    signing.set(key, ready)
  }
  const keyObject = ready
  return withMethod(key, 'sign', (message: Bytes) => sign(null, message.subarray(), keyObject))
}

/** The key, with a `verify` that makes it ready once and not for every signature. Keys that are not Ed25519 verify nothing. */
export function readyToVerify(key: PublicKey): PublicKey {
  if (key.type !== 'Ed25519') return withMethod(key, 'verify', () => false)
  const x = base64url(key.raw)
  const ready = verifying.get(x) ?? createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x } })
  verifying.set(x, ready)
  return withMethod(key, 'verify', (message: Bytes, signature: Uint8Array) =>
    verify(null, message.subarray(), ready, signature)
  )
}

interface Bytes {
  subarray(): Uint8Array
}

/** The same object but for one method. */
function withMethod<T extends object, Name extends keyof T>(of: T, name: Name, method: unknown): T {
  return Object.create(of, { [name]: { value: method } })
}
