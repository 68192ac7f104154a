/** Sums over the whole repository. `logicalBytes` is what the tips of all workspaces name, each counted in full. */
export interface Counters {
  blocks: number
  storedBytes: number
  logicalBytes: number
  heads: number
  workspaces: number
}

export const NO_COUNTERS: Counters = { blocks: 0, storedBytes: 0, logicalBytes: 0, heads: 0, workspaces: 0 }
