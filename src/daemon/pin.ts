import { z } from 'zod'
import { parsePeerId } from '../core/identity.ts'
import type { PeerIdText } from '../core/ids.ts'
import type { KeyValue } from '../core/key-value.ts'

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

/** Durable on return. */
export async function writePin(state: KeyValue, pin: Pin): Promise<void> {
  await state.write({ put: [[KEY, Buffer.from(JSON.stringify(pin))]] }, { durable: true })
}

export async function removePin(state: KeyValue): Promise<void> {
  await state.write({ remove: [KEY] }, { durable: true })
}
