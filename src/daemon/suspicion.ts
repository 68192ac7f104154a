import type { KeyValue } from '../core/key-value.ts'

const KEY = 'files-suspect'

/**
 * Whether the users' files on this disk may be older than what was acknowledged. Kept until each workspace has taken
 * note of it: a process that ends before that must not leave the next one in good faith.
 */
export const filesAreSuspect = async (state: KeyValue): Promise<boolean> => (await state.get(KEY)) !== null

/** Durable on return. */
export async function suspectFiles(state: KeyValue): Promise<void> {
  await state.write({ put: [[KEY, new Uint8Array(0)]] }, { durable: true })
}

/** Each workspace knows by now. Durable on return. */
export async function suspicionIsNoted(state: KeyValue): Promise<void> {
  await state.write({ remove: [KEY] }, { durable: true })
}
