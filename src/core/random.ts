import { randomBytes } from 'node:crypto'

/** Randomness, as everything outside this folder sees it. */
export interface Random {
  /** Unguessable bytes: for ids, tokens and keys. */
  bytes(length: number): Uint8Array
  /** A number in [0, 1): for jitter. */
  fraction(): number
}

export function systemRandom(): Random {
  return { bytes: (length) => randomBytes(length), fraction: () => Math.random() }
}

/** `ms` made longer or shorter by up to a quarter, so that many waiters do not come back at once. */
export function jitter(random: Random, ms: number): number {
  return ms * (0.75 + random.fraction() / 2)
}
