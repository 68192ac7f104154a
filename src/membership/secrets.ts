import { sha256 } from '../core/blocks.ts'
import type { Random } from '../core/random.ts'

const SECRET_BYTES = 32
/** The longest text that is taken for a secret at all. */
const SECRET_LENGTH_MAX = 512

/** 256 unguessable bits as text. Shown once; only its hash is kept. */
export function newSecret(random: Random, prefix = ''): string {
  return prefix + Buffer.from(random.bytes(SECRET_BYTES)).toString('base64url')
}

/**
 * What is kept of a secret. Secrets are looked up by this hash: how long a look-up takes tells something about the
 * hash at most, from which nobody gets back to the secret.
 */
export function secretHash(secret: string): string {
  return sha256(Buffer.from(secret.slice(0, SECRET_LENGTH_MAX), 'utf8')).toString('hex')
}
