import type { Providers } from '../../src/network/providers.ts'
import type { Members } from '../../src/sync/members.ts'

/** There are no others: everything comes from the main repository. */
export const noMembers: Members = {
  near: () => ({ want: async () => [], close: async () => undefined }),
  holds: () => undefined,
  letGo: () => undefined
}

/** Knows nobody. */
export const noProviders: Providers = {
  announce: async () => undefined,
  forget: async () => undefined,
  find: async () => [],
  close: async () => undefined
}
