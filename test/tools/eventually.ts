import { expect } from 'vitest'

/** Expects something of what is not yet so, and happens outside the test's hands. */
export const eventually: typeof expect.poll = (look, options) => expect.poll(look, { timeout: 15_000, ...options })
