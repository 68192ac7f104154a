import type { Clock, Instant } from '../../core/clock.ts'
import { open, seal } from '../../core/envelope.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import type { Identity } from '../../core/identity.ts'
import type { PeerIdText } from '../../core/ids.ts'
import { ingressProofRecord } from '../../core/records.ts'
import { WELL_KNOWN } from '../route.ts'

/** Where an ingress proves whose it is. Nothing else is reserved at an ingress. */
export const PROOF_PATH = `${WELL_KNOWN}/ingress`

export const PROOF_LIMITS = { nonceBytesMin: 16, nonceBytesMax: 64, answerBytes: 4_096, perSecond: 100 } as const

const NONCE = /^\?nonce=((?:[0-9a-f]{2}){16,64})$/

/** What somebody asks with; null where it is no nonce. `query` begins with `?`. */
export function nonceIn(query: string): Uint8Array | null {
  const [, hex] = NONCE.exec(query) ?? []
  return hex === undefined ? null : Buffer.from(hex, 'hex')
}

export const proofUrl = (nonce: Uint8Array): string => `${PROOF_PATH}?nonce=${Buffer.from(nonce).toString('hex')}`

/** Signs for whoever asks, a bounded number a second. */
export class Prover {
  readonly #deps: { readonly identity: Identity; readonly clock: Clock }
  readonly #url: string
  #since: Instant = Number.NEGATIVE_INFINITY
  #given = 0

  constructor(deps: { readonly identity: Identity; readonly clock: Clock }, url: string) {
    this.#deps = deps
    this.#url = url
  }

  /**
   * `key`: the id of the newest ticket key that is known here.
   *
   * @throws NodeDaemonError `BUSY` too many ask
   */
  async prove(nonce: Uint8Array, key: string): Promise<Uint8Array> {
    const { identity, clock } = this.#deps
    const now = clock.now()
    if (now - this.#since >= 1000) {
      this.#since = now
      this.#given = 0
    }
    this.#given += 1
    if (this.#given > PROOF_LIMITS.perSecond) throw new NodeDaemonError('BUSY', 'too many ask for a proof')
    return (await seal(ingressProofRecord, { url: this.#url, nonce, key }, identity)).bytes
  }
}

/**
 * Checks that the ingress of this peer answers at this address. Resolves with the id of the newest ticket key that it knows.
 *
 * @throws NodeDaemonError `BAD_SIGNATURE`
 */
export async function checkProof(
  proof: Uint8Array,
  about: { readonly peer: PeerIdText; readonly url: string; readonly nonce: Uint8Array }
): Promise<string> {
  const { value } = await open(ingressProofRecord, proof, about.peer)
  if (value.url === about.url && Buffer.from(value.nonce).equals(about.nonce)) return value.key
  throw new NodeDaemonError('BAD_SIGNATURE', `the ingress that answers at ${about.url} says that it is ${value.url}`)
}
