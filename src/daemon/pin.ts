import { z } from 'zod'
import { parsePeerId } from '../core/identity.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { KeyValue } from '../core/key-value.ts'
import { HIGHEST_KEY } from '../handover/resident.ts'
import { MEMBER_KEYS } from './known-members.ts'

/** The coordinator that this instance has joined. Its key never changes. */
export interface Pin {
  readonly peer: PeerIdText
  readonly addresses: readonly string[]
  /** What the volunteer typed, to find it anew where its addresses have changed. Without the secret of an invite. */
  readonly typed: string
  readonly federation: string
  /** The name that was asked for. */
  readonly name: string
  /** The address of the terms that the volunteer accepted; empty where there were none. */
  readonly acceptedTerms: string
}

const KEY = 'pin'
const schema = z.object({
  peer: z.string().transform(parsePeerId),
  addresses: z.array(z.string()),
  typed: z.string(),
  federation: z.string(),
  name: z.string(),
  acceptedTerms: z.string()
})

export async function readPin(state: KeyValue): Promise<Pin | null> {
  const stored = await state.get(KEY)
  return stored === null ? null : schema.parse(JSON.parse(Buffer.from(stored).toString('utf8')))
}

/** What stands beside the pin and counts in its federation alone. */
const OF_FEDERATION = [...MEMBER_KEYS, `resident/${HIGHEST_KEY}`]

/** The first pin, or the first one after a leave. What an earlier federation left counts no more. Durable on return. */
export async function pinFirst(state: KeyValue, pin: Pin): Promise<void> {
  await state.write({ put: [[KEY, encode(pin)]], remove: OF_FEDERATION }, { durable: true })
}

/** Durable on return. */
export async function writePin(state: KeyValue, pin: Pin): Promise<void> {
  await state.write({ put: [[KEY, encode(pin)]] }, { durable: true })
}

/** The pin, and with it all that counts in its federation alone. Durable on return. */
export async function removePin(state: KeyValue): Promise<void> {
  await state.write({ remove: [KEY, ...OF_FEDERATION] }, { durable: true })
}

const encode = (pin: Pin): Uint8Array => Buffer.from(JSON.stringify(pin))
